"""A study's file: which runs there are, what each may use, and how they are ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.shipped import find_config
from hwlit.study.cells import Budget, Cell
from hwlit.study.grid import cells_of, known_keys, mapping, option_of
from hwlit.study.quantities import seconds, size
from hwlit.study.search import Search
from hwlit.study.seed_axes import SEEDS, divided_by_run_seed, with_seeds
from hwlit.yaml_files import read_config


@dataclass(frozen=True)
class Study:
    """A study as its file says it.

    Args:
        name: The file's name, `-real` added where the real models are asked for.
        cells: The runs, in order; with a search, what it is made for.
        metric: The reading to rank by.
        mode: Whether `max` or `min` of it is best.
        baseline: The label that the others are compared with; None for none.
        choose: The validation metric that chooses among the cells before the test rows are looked
            at; None where nothing is chosen.
        budget: What one run may use.
        search: The search that each cell is made for; None for none.
        resources: What a run needs of a cluster, by name: cpus, gpus, memory.
        seeds: How many seeds each method has because the file names none; None where it does.
    """

    name: str
    cells: tuple[Cell, ...]
    metric: str = "test/accuracy"
    mode: str = "max"
    baseline: str | None = None
    choose: str | None = None
    budget: Budget = field(default_factory=Budget)
    search: Search | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None


KEYS = (
    "base", "set", "axes", "include", "exclude", "budget", "metric", "mode", "baseline", "choose",
    "search", "resources", "seeds", "real",
)  # fmt: skip


def find_study(name: str) -> Path:
    """Return the path of a study: a file, or one that comes with hwlit.

    Raises:
        UsageError: There is none of that name; the shipped ones are listed.
    """
    return Path(find_config(name, "studies"))


def read_study(
    path: Path,
    real: bool = False,
    changes: Mapping[str, Any] | None = None,
    seeds: int | None = SEEDS,
) -> Study:
    """Return the study that a file describes.

    Args:
        path: The file.
        real: Whether its part `real` is laid over the rest: the real model instead of a small one.
        changes: Settings for every cell, by option; they go before the file's own.
        seeds: How many seeds each method has where the file names none; None leaves it at that of
            its config. A search has one all the same.

    Raises:
        UsageError: The file does not say a study; in one sentence, what to change.
    """
    said = read_config(path)
    if not isinstance(said, Mapping):
        raise UsageError(f"study {path} holds no keys; it begins with base: and axes:")
    known_keys(said, KEYS, f"study {path}")
    if real:
        said = _with_real(said, path)
    mode = said.get("mode", "max")
    if mode not in ("max", "min"):
        raise UsageError(f"mode is {mode!r}; give max or min")
    budget = mapping(said.get("budget", {}), "budget")
    known_keys(budget, [each.name for each in fields(Budget)], "budget")
    whole = with_seeds(said, changes or {}, None if "search" in said else seeds)
    cells = cells_of(whole, path, changes or {})
    search = mapping(said["search"], "search") if "search" in said else None
    if search is not None:
        known_keys(search, [each.name for each in fields(Search)], "search")
        option_of(str(search.get("key", "")), "search")
        if any(cell.source is not None for cell in cells):
            raise UsageError(f"study {path} has both search and quantize; make two studies of it")
    resources = mapping(said.get("resources", {}), "resources")
    known_keys(resources, ("cpus", "gpus", "memory"), "resources")
    return Study(
        name=(path.stem.lstrip(".") or "study") + ("-real" if real else ""),
        cells=cells,
        metric=str(said.get("metric", "test/accuracy")),
        mode=mode,
        baseline=said.get("baseline"),
        choose=said.get("choose"),
        budget=Budget(
            seconds("budget.time", budget["time"]) if "time" in budget else None,
            size("budget.memory", budget["memory"]) if "memory" in budget else None,
        ),
        search=None if search is None else Search(**search),
        resources=resources,
        seeds=None if whole is said or "seeds" in said else seeds,
    )


def read_older_study(path: Path, real: bool, changes: Mapping[str, Any]) -> Study:
    """Return a study as it was read when `seed_everything` divided the data, too.

    Its cells keep their hash, so that what they have run is not run again.

    Args:
        path: See `read_study`.
        real: Likewise.
        changes: Likewise.

    Raises:
        UsageError: As there.
    """
    study = read_study(path, real, changes, seeds=None)
    return replace(study, cells=divided_by_run_seed(study.cells))


def _with_real(said: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a study with its part `real` laid over it."""
    if "real" not in said:
        raise UsageError(f"study {path} has no part named real; leave --real away")
    known_keys(mapping(said["real"], "real"), KEYS[:-1], f"the part real of {path}")
    for part, where in ((said, ""), (said["real"], "real.")):
        for key in ("set", "axes"):
            mapping(part.get(key, {}), where + key)
    return _laid_over(said, said["real"])


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study with some of its keys replaced; of `set`, single settings."""
    whole = {**under, **over}
    whole["set"] = {**under.get("set", {}), **over.get("set", {})}
    whole["axes"] = {**under.get("axes", {}), **over.get("axes", {})}
    return whole
