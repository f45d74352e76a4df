"""What the command line of `hwlit study run` asks for."""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hwlit.errors import UsageError
from hwlit.options import Parser, parser
from hwlit.study.cells import Cell
from hwlit.study.grid import slug
from hwlit.study.plan import Study, find_study, read_older_study, read_study
from hwlit.study.seed_axes import SEEDS
from hwlit.study.store import Store

FEWER = "seeds: 1 in its file, or --only seed=seed0, runs fewer"
OLDER = (
    "{} was begun when seed_everything divided the data, too, and goes on so: each cell has it as "
    "its --data.seed, and no seeds are added; give another --output to begin anew"
)


def run_parser() -> Parser:
    """Return the options of `hwlit study run`."""
    options = parser(
        "study run",
        "Run the cells of a study that have no row yet. Where the file names no seed, each method "
        f"runs with seeds 0 to {SEEDS - 1} ({FEWER}). All seeds share one division of the data, "
        "that of --data.seed; an axis data.seed varies it.",
    )
    add = options.add_argument
    add("study", help="a study's file, or the name of one that comes with hwlit")
    add("--dry-run", action="store_true", help="print the runs and their commands, and run nothing")
    add("--real", action="store_true", help="with the real models that the file names")
    add(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a setting of every run, such as data.path=train.csv; may be repeated",
    )  # fmt: skip
    add(
        "--only", action="append", default=[], metavar="AXIS=LABEL",
        help="only these cells, or a pattern of names such as 'lora-*'; may be repeated",
    )  # fmt: skip
    add("--output", type=Path, help="the study's directory (default: studies/NAME)")
    add("--workers", type=int, help="runs at a time (default: 1; on a cluster all)")
    add(
        "--launcher", choices=("local", "ray"), default="local",
        help="where runs are started: here, or on a Ray cluster (default: local)",
    )  # fmt: skip
    add("--retry", action="store_true", help="try cells again that did not end well")
    add(
        "--grace", type=float, default=120.0, metavar="SECONDS",
        help="what a run has to save when it is told to stop (default: 120)",
    )  # fmt: skip
    return options


def asked_study(asked: argparse.Namespace) -> tuple[Study, Store, str | None]:
    """Return the study that is asked for as its directory was begun, that, and what to say of it.

    Raises:
        UsageError: Its file cannot be used as given.
        IntegrityError: Its directory is damaged.
    """
    path, changes = find_study(asked.study), _settings(asked.set)
    study = read_study(path, asked.real, changes)
    store = Store((asked.output or Path("studies", study.name)).absolute())
    if not store.divided_by_run_seed:
        told = f"{study.seeds} seeds of each, for the study names none: {FEWER}"
        return study, store, told if study.seeds is not None else None
    older = read_older_study(path, asked.real, changes)
    differs = any(cell.data_seed not in (None, "0") for cell in older.cells) or len(
        older.cells
    ) < len(study.cells)
    return older, store, OLDER.format(store.path) if differs else None


def selected(study: Study, only: Sequence[str]) -> list[Cell]:
    """Return the cells that `--only` names: any of the labels of an axis, and of every axis.

    Raises:
        UsageError: That leaves none.
    """
    labels: dict[str, set[str]] = {}
    patterns = [word for word in only if "=" not in word]
    for axis, _, label in (word.partition("=") for word in only if "=" in word):
        labels.setdefault(axis, set()).update((slug(label), slug(f"{axis}{label}")))
    cells = [
        cell for cell in study.cells
        if all(cell.values.get(axis) in wanted for axis, wanted in labels.items())
        and (not patterns or any(fnmatch.fnmatch(cell.name, each) for each in patterns))
    ]  # fmt: skip
    if not cells:
        axes = {f"{axis}={label}": None for c in study.cells for axis, label in c.values.items()}
        raise UsageError(f"--only {' '.join(only)} leaves no cell; there are {', '.join(axes)}")
    wanted = {name for cell in cells for name in (cell.name, cell.source)}  # trained before
    return [cell for cell in study.cells if cell.name in wanted]


def _settings(words: Sequence[str]) -> dict[str, Any]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {word} is no KEY=VALUE; such as --set trainer.max_epochs=1")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            found[key] = value
    return found
