"""A study's directory: one file per finished row, so that no writer can damage another's."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwlit.bounded_files import read_json
from hwlit.errors import IntegrityError, UsageError
from hwlit.run_directory import LOCK, OWNER
from hwlit.saved_configs import leaves_division
from hwlit.storage import write_text
from hwlit.study.inside import SCHEMA, check_name, check_row, refuse_links
from hwlit.study.plan import Study
from hwlit.temporaries import is_temporary
from hwlit.yaml_files import config_text

MOST_CELLS = 100_000  # a study's file may grow; each version of it has at most 10,000
FACTS = ("name", "metric", "mode", "cells")  # what `study.json` says at least
DIVIDED_BY = "data.seed"  # the cells of a study that is begun now
FOLDERS = ("rows", "runs", "logs", "started", "replaced", "tensorboard")
# What the same command tries again: something from outside ended it.
UNFINISHED = ("interrupted", "killed")
# What goes on from its checkpoint when it is tried again.
RESUMABLE = (*UNFINISHED, "timeout")


@dataclass(frozen=True)
class Row:
    """One cell as it ended; the layout of `rows/NAME.json`.

    Args:
        name: The cell's name.
        values: Label by axis.
        config_hash: Hash of what was asked for.
        status: See `Verdict`.
        reason: Why it is not ok, in one sentence.
        exit_code: Of its process, negative for a signal; None where nobody saw it.
        attempts: How often it was started.
        run: Its directory, relative to the study's; None where it left none.
        wall_time: Seconds of the last attempt.
        remarks: What is to be kept in mind of it.
    """

    name: str
    values: Mapping[str, str]
    config_hash: str
    status: str
    reason: str | None
    exit_code: int | None
    attempts: int
    run: str | None
    wall_time: float
    remarks: Sequence[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        texts = [self.name, self.config_hash, self.status, *([self.reason] if self.reason else [])]
        texts += [*self.values, *self.values.values(), *self.remarks]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text is none")
        if not math.isfinite(self.wall_time) or self.attempts != int(self.attempts):
            raise TypeError("a number is none")


@dataclass(frozen=True)
class Store:
    """The files of a study.

    Args:
        path: Its directory, absolute.
    """

    path: Path

    def run(self, name: str) -> Path:
        """Return the directory of a cell's run."""
        return self.path / "runs" / name

    def log(self, name: str) -> Path:
        """Return the file with the output of a cell's runs."""
        return self.path / "logs" / f"{name}.log"

    def started(self, name: str) -> Path:
        """Return the file that says which process runs a cell."""
        return self.path / "started" / f"{name}.json"

    def begin(self, study: Study, names: Sequence[str]) -> None:
        """Write what the study is, with the names of its cells in order.

        Raises:
            UsageError: The directory holds another study, or other files.
            IntegrityError: Something in it is a link.
        """
        path = self.path / "study.json"
        refuse_links(self.path)
        divided_by = "seed_everything" if self.divided_by_run_seed else DIVIDED_BY
        if not path.is_file():
            ours = [LOCK, OWNER]
            if (self.path / "started").is_dir():  # a study whose study.json was removed
                ours += FOLDERS
            for entry in self.path.iterdir():
                if entry.name not in ours and not is_temporary(entry.name):
                    raise UsageError(
                        f"{self.path} holds other files ({entry.name}); give --output a directory "
                        "that is new, empty or this study's"
                    )
        elif (before := self.facts()["name"]) != study.name:
            raise UsageError(
                f"{self.path} holds the study {before}, not {study.name}; give another --output"
            )
        facts = {
            "schema": SCHEMA, "name": study.name, "metric": study.metric, "mode": study.mode,
            "baseline": study.baseline, "choose": study.choose, "divided_by": divided_by,
            "cells": list(names),
        }  # fmt: skip
        write_text(path, json.dumps(facts, indent=1) + "\n")

    @property
    def divided_by_run_seed(self) -> bool:
        """Whether it was begun when `seed_everything` divided the data, too: so it goes on."""
        if not self.path.is_dir():
            return False
        refuse_links(self.path)
        if (self.path / "study.json").is_file():
            return self.facts().get("divided_by") != DIVIDED_BY
        # Removed, it may be, as one that is damaged; then the runs tell.
        configs = (self.path / "runs").glob("*/config.yaml")
        return any(map(_leaves_division, configs))

    def known(self) -> list[str]:
        """Return the names of the cells so far; none where nothing was begun."""
        return list(self.facts()["cells"]) if (self.path / "study.json").is_file() else []

    def facts(self) -> dict[str, Any]:
        """Return what `study.json` says.

        Raises:
            UsageError: There is none.
            IntegrityError: It is damaged.
        """
        path = self.path / "study.json"
        if not path.is_file():
            raise UsageError(f"{self.path} holds no study.json; give a study's directory")
        facts = _read(path)
        if lacking := [key for key in FACTS if key not in facts]:
            raise IntegrityError(f"{path} says no {lacking[0]}; remove it and run the study again")
        texts = [facts[key] for key in FACTS[:3]] + [facts.get("choose") or ""]
        if not all(isinstance(text, str) for text in texts):
            raise IntegrityError(f"{path} is none of hwlit; remove it and run the study again")
        if not isinstance(facts["cells"], list):
            raise IntegrityError(f"{path} has no list of cells; remove it and run the study again")
        if len(facts["cells"]) > MOST_CELLS:
            raise IntegrityError(f"{path} lists more cells than a study has; remove it")
        for name in facts["cells"]:
            check_name(name, path)
        return facts

    def row(self, name: str) -> Row | None:
        """Return a cell's row; None where it has none yet.

        Raises:
            IntegrityError: It is damaged.
        """
        path = self.path / "rows" / f"{name}.json"
        if not path.is_file():
            return None
        facts = _read(path)
        check_row(facts, name, path)
        try:
            return Row(**{key: value for key, value in facts.items() if key != "schema"})
        except (AttributeError, TypeError, ValueError) as error:
            raise IntegrityError(
                f"{path} is not a row of schema {SCHEMA} ({error}); remove it, and the cell is run "
                "again"
            ) from error

    def write(self, row: Row) -> None:
        """Write a row durably: from now on its cell is done."""
        facts = {"schema": SCHEMA, **asdict(row)}
        write_text(self.path / "rows" / f"{row.name}.json", json.dumps(facts, indent=1) + "\n")

    def attempt(self, name: str) -> dict[str, Any]:
        """Return what is known of a cell's last attempt; nothing where it was never started."""
        try:
            facts = _read(self.started(name))
            facts["attempts"] = int(facts.get("attempts", 0))
            facts["remarks"] = [str(remark) for remark in facts.get("remarks", ())]
        except (IntegrityError, OSError, TypeError, ValueError, OverflowError):
            return {}
        return facts

    def set_aside(self, name: str) -> Path | None:
        """Move what an earlier run of a cell left to `replaced/`; None where it left nothing."""
        moved = None
        for source in (self.run(name), self.path / "rows" / f"{name}.json", self.started(name)):
            if source.exists():
                if moved is None:
                    moved = self._new_folder(name)
                    moved.mkdir(parents=True)
                source.rename(moved / f"{source.parent.name}{source.suffix}")
        return moved

    def _new_folder(self, name: str) -> Path:
        folders = (self.path / "replaced" / f"{name}-{n}" for n in itertools.count(1))
        return next(folder for folder in folders if not folder.exists())


def _leaves_division(config: Path) -> bool:
    try:
        return leaves_division(config_text(config))
    except UsageError:  # damaged: whoever goes on with that run says so
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = read_json(path)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is not readable JSON ({error}); remove it") from error
    if not isinstance(facts, dict):
        raise IntegrityError(f"{path} holds no JSON object; remove it")
    return facts
