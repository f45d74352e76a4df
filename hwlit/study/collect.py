"""Finds and reads the runs below what a user names: runs, directories of runs, studies."""

from __future__ import annotations

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
from hwlit.records import SCHEMA, read_record
from hwlit.study.inside import LeavesError, check_name, check_row, refuse_links

LARGEST = 1e100
PLAIN = (str, int, float, bool, type(None))
# What a record of ours has under these names; one that has anything else was not written by hwlit.
OBJECTS = ("adapter", "source", "model", "device", "data", "versions", "comparability", "curves")
LISTS = ("phases", "per_class", "per_prompt", "step_times", "remarks", "disturbed")


@dataclass(frozen=True)
class Run:
    """One run as it was found.

    Args:
        name: The cell of a study, or the directory as the user knows it.
        folder: The run's directory; None where a cell never had one.
        status: "ok", or why there is no row.
        reason: One sentence, where it is not ok.
        values: What a study set for it, by axis.
        record: `record.json`; empty where there is none.
        study: The directory of its study; None where it is of none.
        remarks: What its study says is to be kept in mind of it.
    """

    name: str
    folder: Path | None
    status: str
    reason: str | None
    values: Mapping[str, str]
    record: Mapping[str, Any]
    study: Path | None = None
    remarks: Sequence[str] = ()

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.record.get("seed") or 0)


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
    record: Mapping[str, Any] = {}
    if status == "ok":
        if folder is None:
            raise IntegrityError("the row is ok and names no run")
        record = _public(checked(read_record(folder)))
        status, reason = str(record["status"]), _sentence(record.get("error"))
    remarks = row.get("remarks", [])
    if not isinstance(remarks, list):
        raise IntegrityError("not written by hwlit: remarks is no list")
    told = [without_folders(str(remark)) for remark in remarks]
    return Run(name, folder, status, reason, values, record, study, told)


def _read_run(folder: Path, root: Path, found: Collection) -> None:
    try:
        record = _public(checked(read_record(folder)))
    except IntegrityError as error:
        found.left_out.append((folder / "record.json", str(error)))
        return
    inside = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
    name = folder.resolve().name if inside == "." else inside
    status, reason = str(record["status"]), _sentence(record.get("error"))
    found.runs.append(Run(name, folder, status, reason, {}, record))


def _object(path: Path) -> dict[str, Any]:
    try:
        facts = read_json(path)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"not readable JSON ({error})") from None
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise IntegrityError(f"not written by hwlit: no object of schema {SCHEMA}")
    return facts


def _public(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record whose sentences tell of no folder: people show comparisons to others.

    What only serves to tell runs apart keeps its path: `model.pretrained`, `data.source`, `source`.
    """
    told = dict(record)
    told["absent"] = {name: without_folders(str(why)) for name, why in record["absent"].items()}
    if "remarks" in record:
        told["remarks"] = [without_folders(str(remark)) for remark in record["remarks"]]
    if "hub_id" in (model := record.get("model", {})):
        told["model"] = {**model, "hub_id": last_name(str(model["hub_id"]))}
    return told


def _sentence(value: object) -> str | None:
    """Return a reason without folders."""
    return without_folders(text) if (text := _text(value)) else None


def checked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record whose parts have the types that ours have.

    Raises:
        IntegrityError: One has not.
    """
    for names, kind in ((OBJECTS, dict), (LISTS, list), (("readings", "absent"), dict)):
        for name in names:
            if name in record and not isinstance(record[name], kind):
                raise IntegrityError(f"not a record of hwlit: {name} is no {kind.__name__}")
    for name, reading in record["readings"].items():
        if not _is_reading(reading):
            raise IntegrityError(f"not a record of hwlit: {name} is no reading with a unit")
    if not isinstance(record.get("seed", 0), int | None):
        raise IntegrityError("not a record of hwlit: seed is no number")
    for name in ("phases", "per_class", "per_prompt", "disturbed"):
        if not all(isinstance(row, dict) for row in record.get(name, ())):
            raise IntegrityError(f"not a record of hwlit: {name} holds other than objects")
    return record


def _is_reading(reading: object) -> bool:
    if not isinstance(reading, dict):
        return False
    return (
        isinstance(reading.get("unit"), str)
        and isinstance(reading.get("method"), str)
        and _is_number(reading.get("value"))
        and _is_number(reading.get("low", 0.0))
        and _is_number(reading.get("high", 0.0))
    )


def _is_number(value: object) -> bool:
    # Nothing that is measured is beyond that, and squares of it are still numbers.
    return type(value) in (float, int) and -LARGEST < value < LARGEST  # type: ignore[operator]


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, IntegrityError) else f"not written by hwlit: {error!r}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _label(value: object) -> str:
    return str(value) if isinstance(value, PLAIN) else json.dumps(value)
