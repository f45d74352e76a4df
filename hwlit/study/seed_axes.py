"""Which seeds the cells of a study have: three where its file names none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.saved_configs import is_divided, states_division
from hwlit.study.cells import Cell, as_text
from hwlit.study.grid import mapping
from hwlit.study.methods import is_seed
from hwlit.yaml_files import read_config

SEEDS = 3  # runs of each method where a study's file names no seed
MOST = 10_000


def with_seeds(
    said: Mapping[str, Any], changes: Mapping[str, Any], usual: int | None = SEEDS
) -> Mapping[str, Any]:
    """Return what a study's file says, with an axis of seeds where it names none.

    Args:
        said: The content of the file; `seeds` is how many there are, from seed 0.
        changes: Settings for every cell, by option; a seed among them is the only one.
        usual: How many where the file says nothing; None adds no axis.

    Raises:
        UsageError: `seeds` is no whole number from 1, or the file names seeds as well.
    """
    axes, more = mapping(said.get("axes", {}), "axes"), mapping(said.get("set", {}), "set")
    named = next(_named(axes, {**more, **changes}), None)
    asked = said.get("seeds")
    if asked is not None and (type(asked) is not int or not 1 <= asked <= MOST):
        raise UsageError(
            f"seeds is {asked!r}; give how many there are, a whole number from 1 to 10,000"
        )
    if asked is not None and named is not None:
        raise UsageError(f"the study has seeds: {asked}, and {named} names them too; keep one")
    count = asked or usual
    if named is not None or count is None:
        return said
    numbers = list(range(count))
    whole: dict[str, Any] = {**said, "axes": {**axes, "seed": numbers}}
    if isinstance(added := said.get("include", []), list):
        whole["include"] = [
            {**entry, "seed": entry.get("seed", numbers)} if isinstance(entry, Mapping) else entry
            for entry in added
        ]
    return whole


def divided_by_run_seed(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return cells whose data their `seed_everything` divides, as it did when no other seed could.

    Raises:
        UsageError: A config cannot be read.
    """
    said = {configs: _said(configs) for configs in {cell.configs for cell in cells}}
    return tuple(replace(cell, data_seed=_run_seed(cell, *said[cell.configs])) for cell in cells)


def _named(axes: Mapping[str, Any], fixed: Mapping[str, Any]) -> Iterator[str]:
    """Yield what names seeds: an axis, or a setting of every cell, which has one seed then."""
    for name, said in axes.items():
        points = said.values() if isinstance(said, Mapping) else ()
        if is_seed(name) or any(_has_seed(point) for point in points):
            yield f"the axis {name}"
    yield from (key for key in ("seed", "seed_everything") if key in fixed)


def _has_seed(point: Any) -> bool:
    return isinstance(point, Mapping) and any(is_seed(str(key)) for key in point)


def _said(configs: Sequence[str]) -> tuple[Any, Any]:
    """Return `seed_everything` and `data` of configs that are laid over one another."""
    seed, data = 0, None
    for config in map(Path, configs):
        said = read_config(config)
        if isinstance(said, Mapping):
            seed, data = said.get("seed_everything", seed), said.get("data", data)
            if isinstance(data, str):  # a class, or a file that describes one
                file = config.parent / data
                data = read_config(file) if file.is_file() else {"class_path": data}
    return seed, data


def _run_seed(cell: Cell, seed: Any, data: Any) -> str | None:
    """Return a cell's `seed_everything`; None where its data is not divided, or by another seed."""
    stated = any(is_seed(key) and key != "seed_everything" for key in cell.overrides)
    if cell.source is not None or stated or not is_divided(data) or states_division(data):
        return None
    return as_text(cell.overrides.get("seed_everything", seed))
