"""What a run reports: readings with unit and method, gathered in one record.

Needs neither torch nor Lightning, so that records can be read where they are not.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hwlit.errors import IntegrityError
from hwlit.run_directory import check_plain, check_plain_file
from hwlit.storage import write_text

SCHEMA = 1


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


def read_json(path: Path) -> Any:
    """Read a JSON file; what of a text is no Unicode becomes a question mark.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON; NaN and infinity are not.
    """
    data = path.read_bytes()
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:  # also of a path in another encoding, as Python writes it
        text = json.dumps(json.loads(data, parse_constant=_refuse), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))


def _refuse(name: str) -> None:
    raise ValueError(f"it has {name}")


def read_record(run: Path) -> dict[str, Any]:
    """Read `record.json` of a run directory as plain data.

    Raises:
        IntegrityError: There is no record, it is a link, or it is not one of ours.
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
    except (ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{path} is not readable JSON ({error}); the file is damaged"
        ) from None
    known = isinstance(record, Mapping) and record.get("schema") == SCHEMA
    if not known or not {"status", "readings", "absent"} <= record.keys():
        raise IntegrityError(f"{path} is not a record of schema {SCHEMA}; was it written by hwlit?")
    return dict(record)


def read_run(run: Path) -> dict[str, Any]:
    """Read the record of a run whose other files are read as well; see `read_record`.

    Raises:
        IntegrityError: There is no record, or something in the run's directory is a link.
    """
    check_plain(run)
    return read_record(run)
