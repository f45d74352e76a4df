"""Finds and reads the runs below what a user names: runs, directories of runs, studies."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwlit.bounded_files import read_json
from hwlit.errors import IntegrityError, UsageError
from hwlit.paths import last_name, without_folders
from hwlit.records import Record, read_record
from hwlit.study.inside import SCHEMA, LeavesError, check_name, check_row, refuse_links

PLAIN = (str, int, float, bool, type(None))
NO_RECORD = Record(status="failed", readings={}, absent={})


@dataclass(frozen=True)
class Run:
    """One run as it was found.

    Args:
        name: The cell of a study, or the directory as the user knows it.
        folder: The run's directory; None where a cell never had one.
        status: "ok", or why there is no row.
        reason: One sentence, where it is not ok.
        values: What a study set for it, by axis.
        record: What `record.json` holds; `NO_RECORD` where there is none.
        study: The directory of its study; None where it is of none.
        remarks: What its study says is to be kept in mind of it.
    """

    name: str
    folder: Path | None
    status: str
    reason: str | None
    values: Mapping[str, str]
    record: Record
    study: Path | None = None
    remarks: Sequence[str] = ()

    @property
    def seed(self) -> int:
        """Seed of all that is random in training."""
        return self.record.seed or 0

    @property
    def data_seed(self) -> int | None:
        """Seed that divided the data; None where nothing was divided."""
        return self.record.data.seed

    @property
    def seeds(self) -> tuple[int, int]:
        """Both seeds, by which runs of two methods are paired; -1 where nothing was divided."""
        return self.seed, -1 if self.data_seed is None else self.data_seed


@dataclass
class Collection:
    """Everything that was found.

    Args:
        runs: In the study's order, else by name.
        left_out: Path and reason of each file that cannot be read.
        metric: What the study ranks by.
        mode: Whether more of it is better: "max" or "min".
        baseline: The study's baseline.
        name: What it is a collection of.
        choose: The validation metric by which the study chooses a method.
        waiting: How many cells of a study have not ended.
        studies: Their names.
    """

    name: str = ""
    runs: list[Run] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    metric: str | None = None
    mode: str | None = None
    baseline: str | None = None
    choose: str | None = None
    waiting: int = 0
    studies: list[str] = field(default_factory=list)


def collect(paths: Sequence[Path]) -> Collection:
    """Read every run below the paths.

    Raises:
        UsageError: A path does not exist, or there is no run at all.
        IntegrityError: There are some, and none can be read; or a study leads out of its directory.
    """
    found = Collection(name=", ".join(str(path) for path in paths))
    collects = gc.isenabled()
    gc.disable()  # records are trees: looking for cycles in thousands takes a third of the time
    try:
        _read_all(paths, found)
    finally:
        if collects:
            gc.enable()
    if found.studies and all(run.study is not None for run in found.runs):
        found.name = ", ".join(found.studies)
    if found.runs or (found.waiting and not found.left_out):
        if not found.studies:
            found.name = ", ".join(path.absolute().name or str(path) for path in paths)
        return found
    if found.left_out:
        path, reason = found.left_out[0]
        others = f", and so for {len(found.left_out) - 1} more" if found.left_out[1:] else ""
        where = "" if str(path.parent) in reason else f"{path}: "
        raise IntegrityError(
            f"nothing below {found.name} can be read: {where}{reason}{others}; bring the files "
            "back, or run it again"
        )
    raise UsageError(
        f"no record.json below {found.name}; give directories that `hwlit fit` or "
        "`hwlit study run` wrote"
    )


def _read_all(paths: Sequence[Path], found: Collection) -> None:
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; give directories of runs or of studies")
        for folder in _folders(path.parent if path.name == "record.json" else path):
            if (place := folder.resolve()) in seen:
                continue
            seen.add(place)
            if (folder / "study.json").is_file():
                _read_study(folder, found)
            else:
                _read_run(folder, path, found)


def _folders(path: Path) -> Iterator[Path]:
    """Yield the directories of studies and runs, not those within them."""
    for folder, inside, files in os.walk(path):
        inside.sort()
        if "study.json" in files or "record.json" in files:
            inside.clear()
            yield Path(folder)


def _read_study(folder: Path, found: Collection) -> None:
    try:
        study = _object(folder / "study.json")
        cells = [str(cell) for cell in study["cells"]]
    except (IntegrityError, LookupError, TypeError) as error:
        found.left_out.append((folder / "study.json", _reason(error)))
        return
    found.metric = found.metric or _text(study.get("metric"))
    found.mode = found.mode or _text(study.get("mode"))
    found.baseline = found.baseline or _text(study.get("baseline"))
    found.choose = found.choose or _text(study.get("choose"))
    found.studies.append(_text(study.get("name")) or str(folder))
    refuse_links(folder)
    for cell in cells:
        path = folder / "rows" / f"{check_name(cell, folder / 'study.json')}.json"
        try:
            if path.is_file():
                row = _object(path)
                check_row(row, cell, path)
                found.runs.append(_cell(folder, cell, row))
            else:
                found.waiting += 1
        except LeavesError:
            raise
        except (OSError, IntegrityError, LookupError, TypeError, AttributeError) as error:
            found.left_out.append((path, _reason(error)))


def _cell(study: Path, name: str, row: Mapping[str, Any]) -> Run:
    values = {str(axis): _label(value) for axis, value in row["values"].items()}
    status, reason = str(row["status"]), _sentence(row.get("reason"))
    folder = study / str(row["run"]) if row.get("run") else None
    record = NO_RECORD
    if status == "ok":
        if folder is None:
            raise IntegrityError("the row is ok and names no run")
        record = _public(read_record(folder))
        status, reason = record.status, _sentence(record.error)
    remarks = row.get("remarks", [])
    if not isinstance(remarks, list):
        raise IntegrityError("not written by hwlit: remarks is no list")
    told = [without_folders(str(remark)) for remark in remarks]
    return Run(name, folder, status, reason, values, record, study, told)


def _read_run(folder: Path, root: Path, found: Collection) -> None:
    try:
        record = _public(read_record(folder))
    except IntegrityError as error:
        found.left_out.append((folder / "record.json", str(error)))
        return
    inside = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
    name = folder.resolve().name if inside == "." else inside
    status, reason = record.status, _sentence(record.error)
    found.runs.append(Run(name, folder, status, reason, {}, record))


def _object(path: Path) -> dict[str, Any]:
    try:
        facts = read_json(path)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"not readable JSON ({error})") from None
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise IntegrityError(f"not written by hwlit: no object of schema {SCHEMA}")
    return facts


def _public(record: Record) -> Record:
    """Return a record whose sentences tell of no folder: people show comparisons to others.

    What only serves to tell runs apart keeps its path: `model.pretrained`, `data.source`, `source`.
    """
    hub_id = None if record.model.hub_id is None else last_name(record.model.hub_id)
    return dataclasses.replace(
        record,
        absent={name: without_folders(why) for name, why in record.absent.items()},
        remarks=[without_folders(remark) for remark in record.remarks],
        model=dataclasses.replace(record.model, hub_id=hub_id),
    )


def _sentence(value: object) -> str | None:
    """Return a reason without folders."""
    return without_folders(text) if (text := _text(value)) else None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, IntegrityError) else f"not written by hwlit: {error!r}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _label(value: object) -> str:
    return str(value) if isinstance(value, PLAIN) else json.dumps(value)
