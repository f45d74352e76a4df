"""What a run reports: readings with unit and method, gathered in one record.

Needs neither torch nor Lightning, so that records can be read where they are not.
"""

from __future__ import annotations

import contextlib
import json
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwlit.bounded_files import read_json
from hwlit.errors import IntegrityError
from hwlit.run_directory import check_plain, check_plain_file
from hwlit.storage import write_text

SCHEMA = 1
LARGEST = 1e100
MISSING = object()
# Of each field that anything reads: its name, with `*` for each of a list or an object and `?`
# where it may be missing, and what it must be. What holds others comes before them.
FIELDS = {
    "status": "text",
    "readings": "object",
    "absent": "object",
    **dict.fromkeys(
        (
            "adapter?", "source?", "model?", "device?", "data?", "versions?", "comparability?",
            "curves?", "check?", "encoders?",
        ),
        "object",
    ),
    **dict.fromkeys(
        (
            "code?", "confusion_matrix?", "best_checkpoint?", "resumed_from?",
            "adapter?.quantisation?",
        ),
        "object or null",
    ),
    **dict.fromkeys(
        (
            "phases?", "per_class?", "per_prompt?", "step_times?", "remarks?", "disturbed?",
            "data?.before?", "model?.labels?",
        ),
        "list",
    ),
    **dict.fromkeys(
        ("readings.*", "phases?.*", "per_class?.*", "per_prompt?.*", "disturbed?.*"), "object"
    ),
    **dict.fromkeys(("phases?.*.peak_memory?", "phases?.*.energy?"), "object"),
    **dict.fromkeys(
        (
            "absent.*", "readings.*.unit", "readings.*.method", "per_class?.*.label",
            "phases?.*.name", "remarks?.*", "name?", "adapter?.name?", "adapter?.class?",
            "model?.pretrained?", "model?.hub_id?", "model?.sha256?", "model?.labels?.*",
            "device?.name?", "data?.text_column?", "data?.before?.*", "config_sha256?",
            "best_checkpoint?.path?", "versions?.*", "disturbed?.*.phase", "disturbed?.*.cause",
        ),
        "text",
    ),
    **dict.fromkeys(
        (
            "readings.*.value", "readings.*.low?", "readings.*.high?", "per_class?.*.precision?",
            "per_class?.*.recall?", "per_class?.*.f1?", "per_class?.*.support?",
            "phases?.*.wall_time", "phases?.*.share?", "phases?.*.peak_memory?.*",
            "phases?.*.energy?.*", "step_times?.*",
            "data?.majority_class_accuracy?", "resumed_from?.step",
            "check?.rows?", "check?.max_abs_difference?", "check?.pictures?",
            "check?.mean_pixel_difference?", "check?.max_pixel_difference?",
            "check?.mean_difference_from_base?", "disturbed?.*.value", "disturbed?.*.limit",
        ),
        "number",
    ),
    "seed?": "number or null",
    "error?": "text or null",
    "model?.dtype?": "precision",
    "data?.max_length?": "length",
}  # fmt: skip
FITS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "text or null": lambda value: value is None or isinstance(value, str),
    "number": lambda value: _is_number(value),
    "length": lambda value: type(value) is int and 0 < value < 2**31,
    "number or null": lambda value: value is None or _is_number(value),
    "object": lambda value: isinstance(value, dict),
    "object or null": lambda value: value is None or isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "precision": lambda value: value in ("float32", "float16", "bfloat16", "float64"),
}


@dataclass(frozen=True)
class Reading:
    """One number with its unit and how it was obtained.

    Args:
        value: The number, in SI units (s, B, J) or "1" for shares and counts.
        unit: The unit of `value`, `low` and `high`.
        method: How it was obtained; starts with "measured", "sampled", "estimated" or "counted"
            and names the source.
        low: Lower end of the 95 % interval, where one is known.
        high: Upper end of the 95 % interval.
        n: How many observations the value rests on.
    """

    value: float
    unit: str
    method: str
    low: float | None = None
    high: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(
                f"a reading must be finite, got {self.value}; leave it out, with a reason"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass
class RunRecord:
    """One run, one record: what was asked, what was run, what was measured.

    `readings` maps `phase/quantity` to a `Reading`; `absent` maps the names of quantities that this
    device cannot give to the reason; `details` holds what is no scalar (`per_class`,
    `confusion_matrix`, `curves`, `phases`, ...), each under its fixed name.
    """

    status: str
    description: dict[str, Any] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the layout of `record.json`, plain data only."""
        head: dict[str, Any] = {"schema": SCHEMA, "status": self.status}
        if self.error is not None:
            head["error"] = self.error
        return {
            **head,
            **self.description,
            "readings": {
                name: reading.to_dict() for name, reading in sorted(self.readings.items())
            },
            "absent": dict(sorted(self.absent.items())),
            **self.details,
        }

    def write(self, path: Path) -> None:
        """Write the record durably; NaN and infinity are refused, for JSON has neither."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


def read_record(run: Path) -> dict[str, Any]:
    """Read `record.json` of a run directory as plain data.

    Raises:
        IntegrityError: There is no record, it is a link, it is not one of ours, or a field is of
            another type.
    """
    path = run / "record.json"
    check_plain_file(path)
    try:
        record = read_json(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and (run / "config.yaml").is_file():
            raise IntegrityError(
                f"{run} has no record yet: it is going on, or it was killed; where it was, go on "
                f"with: hwlit fit --resume {shlex.quote(str(run))}"
            ) from None
        raise IntegrityError(
            f"{run} holds no readable record.json ({error.strerror}); give the directory of a run"
        ) from None
    except ValueError as error:
        raise IntegrityError(
            f"{path} is not readable JSON ({error}); the file is damaged"
        ) from None
    known = isinstance(record, Mapping) and record.get("schema") == SCHEMA
    if not known or not {"status", "readings", "absent"} <= record.keys():
        raise IntegrityError(f"{path} is not a record of schema {SCHEMA}; was it written by hwlit?")
    for name, kind in FIELDS.items():
        _check(path, record, name, kind)
    return dict(record)


def read_run(run: Path) -> dict[str, Any]:
    """Read the record of a run whose other files are read as well; see `read_record`.

    Raises:
        IntegrityError: There is no record, or something in the run's directory is a link.
    """
    check_plain(run)
    return read_record(run)


def need(run: Path, record: Mapping[str, Any], *names: str) -> None:
    """Refuse a record that lacks what its use needs.

    Args:
        run: The run's directory.
        record: Its record, as `read_record` gives it.
        names: Names of fields, such as `model.pretrained`, of those that `read_record` looks at.

    Raises:
        IntegrityError: One is missing.
    """
    kinds = {name.replace("?", ""): kind for name, kind in FIELDS.items()}
    for name in names:
        above = name.rpartition(".")[0]
        for part in (above, name) if above else (name,):
            _check(run / "record.json", record, part, kinds[part])


@contextlib.contextmanager
def using(run: Path) -> Iterator[None]:
    """Say that a record is damaged where whatever reads it finds no sense in a field.

    Raises:
        IntegrityError: It is.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise IntegrityError(
            f"{run / 'record.json'} is damaged, or of another version ({told}); bring the file back"
        ) from error


def _check(path: Path, record: Any, name: str, kind: str) -> None:
    for where, found in _found(record, name.split("."), ""):
        if not FITS[kind](found):
            told = "is missing" if found is MISSING else f"is no {kind}"
            raise IntegrityError(f"{path} is damaged: {where} {told}; bring the file back")


def _found(value: Any, path: list[str], where: str) -> Iterator[tuple[str, Any]]:
    """Yield what lies below a value at a path, with its full name."""
    if not path:
        yield where, value
        return
    name, rest = path[0], path[1:]
    inner: Iterable[tuple[Any, Any]] = ()  # of null, where that may be
    if name == "*" and isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
    elif isinstance(value, dict) and not (name.endswith("?") and name[:-1] not in value):
        inner = [(name.rstrip("?"), value.get(name.rstrip("?"), MISSING))]
    for key, found in inner:
        yield from _found(found, rest, f"{where}.{key}" if where else str(key))


def _is_number(value: Any) -> bool:
    # Nothing that is measured is beyond that, and squares of it are still numbers.
    return type(value) in (int, float) and -LARGEST < value < LARGEST
