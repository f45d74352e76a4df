"""Reads and writes `record.json`, the only way in and out of it."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwlit.bounded_files import read_json
from hwlit.errors import IntegrityError
from hwlit.records.agreement import check_agreement
from hwlit.records.decoding import Unfit, decoded, encoded
from hwlit.records.old import upgraded
from hwlit.records.schema import SCHEMA, Record
from hwlit.run_directory import check_plain, check_plain_file
from hwlit.storage import write_text

FILE = "record.json"
MISSING: tuple[Any, ...] = (None, "?", {}, [])


def write_record(record: Record, path: Path) -> None:
    """Write a record durably; NaN and infinity are refused, for JSON has neither."""
    write_text(path, json.dumps(plain(record), indent=1, allow_nan=False) + "\n")


def plain(record: Record) -> dict[str, Any]:
    """Return the layout of `record.json`."""
    found: dict[str, Any] = encoded(record)
    found["readings"] = dict(sorted(found["readings"].items()))
    found["absent"] = dict(sorted(found["absent"].items()))
    return found


def read_record(run: Path) -> Record:
    """Read `record.json` of a run directory; one of schema 1 is converted.

    Raises:
        IntegrityError: There is no record, it is a link, it is not one of ours, or a field is
            missing, of another type or not known.
    """
    path = run / FILE
    check_plain_file(path)
    try:
        found = read_json(path)
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
    return record_of(found, path)


def record_of(found: Any, path: Path) -> Record:
    """Return the record that plain data stands for.

    Args:
        found: What the file holds.
        path: The file, for the error.

    Raises:
        IntegrityError: It is no record, or a field is missing, of another type or not known.
    """
    schema = found.get("schema") if isinstance(found, Mapping) else None
    if type(schema) is not int or schema < 1:
        raise IntegrityError(f"{path} is not a record of schema 1 or 2; was it written by hwlit?")
    if schema > SCHEMA:
        raise IntegrityError(
            f"{path} is a record of schema {schema}, and this version of hwlit reads up to "
            f"{SCHEMA}; install a newer one"
        )
    try:
        record = decoded(Record, upgraded(found) if schema == 1 else found)
        check_agreement(record)
    except (Unfit, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise IntegrityError(f"{path} is damaged: {why}; bring the file back") from None
    return record


def read_run(run: Path) -> Record:
    """Read the record of a run whose other files are read as well; see `read_record`.

    Raises:
        IntegrityError: There is no record, or something in the run's directory is a link.
    """
    check_plain(run)
    return read_record(run)


def need(run: Path, record: Record, *names: str) -> None:
    """Refuse a record that lacks what its use needs: what is not there has its field's default.

    Args:
        run: The run's directory.
        record: Its record.
        names: Names of fields, such as `model.pretrained`.

    Raises:
        IntegrityError: One is missing.
    """
    for name in names:
        value: Any = record
        for part in name.split("."):
            value = None if value is None else getattr(value, part)
        if value in MISSING:
            raise IntegrityError(
                f"{run / FILE} is damaged: {name.rstrip('_')} is missing; bring the file back"
            )


@contextlib.contextmanager
def using(run: Path) -> Iterator[None]:
    """Say that a record is damaged where whatever reads its free parts finds no sense in them.

    Raises:
        IntegrityError: It is.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise IntegrityError(
            f"{run / FILE} is damaged, or of another version ({told}); bring the file back"
        ) from error
