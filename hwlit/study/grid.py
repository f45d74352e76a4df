"""Axes, include and exclude of a study's file, multiplied out into its cells."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.options import QUANTIZED_FORMATS
from hwlit.plain_text import is_number
from hwlit.shipped import adapter_folder, find_config
from hwlit.study.cells import Cell, as_text

# Axes that have a name of their own, and the option that each sets.
AXES = {
    "adapter": "model.adapter",
    "data": "data.path",
    "model": "model.pretrained",
    "seed": "seed_everything",
    "hardware": "trainer.accelerator",
    "config": "config",
}
WHOLE = ("seed_everything", "wandb", "quantize")
OPTION = r"(model|data|trainer|checkpoint)\.[\w.-]*[\w-]\+?"
MAX_CELLS = 10_000
MAX_NAME = 200  # a file's has 255 bytes, and an ending


def cells_of(said: Mapping[str, Any], path: Path, changes: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the cells of a study.

    Args:
        said: The content of its file.
        path: The file; configs may lie beside it.
        changes: Settings for every cell, by option.

    Raises:
        UsageError: A key is unknown, two cells are the same, or none is left.
    """
    axes = {
        name: _points(name, said) for name, said in mapping(said.get("axes", {}), "axes").items()
    }
    common = {option_of(k, "set"): v for k, v in mapping(said.get("set", {}), "set").items()}
    common |= {option_of(key, "--set"): value for key, value in changes.items()}
    for name, points in axes.items():
        if taken := {key for point in points.values() for key in point}.intersection(changes):
            raise UsageError(f"--set {min(taken)} is what the axis {name} changes; use --only")
    added = _selections(said.get("include", []), axes, "include")
    _check_count([axes, *added])
    grid = [dict(zip(axes, labels, strict=True)) for labels in itertools.product(*axes.values())]
    left_out = _selections(said.get("exclude", []), axes, "exclude")
    grid = [cell for cell in grid if not any(_matches(cell, one) for one in left_out)]
    for one in added:
        grid += [dict(zip(one, labels, strict=True)) for labels in itertools.product(*one.values())]
    if not grid:
        raise UsageError(f"study {path} leaves no run: every cell is excluded or an axis is empty")
    found = [_cell(labels, axes, common, said.get("base"), path) for labels in grid]
    longest = max((cell.name for cell in found), key=len)
    if len(longest) > MAX_NAME:
        raise UsageError(
            f"the cell {longest[:40]}... of {path} has a name of {len(longest)} letters, more than "
            f"{MAX_NAME}; give shorter labels"
        )
    name, n = Counter(cell.name for cell in found).most_common(1)[0]
    if n > 1:
        raise UsageError(f"two cells of {path} are called {name!r}; give labels that differ")
    return tuple(_with_source(cell, found) for cell in found)


def _check_count(products: Sequence[Mapping[str, Sized]]) -> None:
    """Refuse axes and entries that make too many cells, before any is made."""
    count = sum(math.prod(map(len, one.values())) for one in products)
    if count > MAX_CELLS:
        told = f"{count:,}" if count < 10**18 else "countless"
        raise UsageError(
            f"axes and include make {told} runs, one for each seed, more than {MAX_CELLS:,}; use "
            "fewer"
        )


def _with_source(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """Return a cell with the one that trains what it quantises, if it does."""
    if "quantize" not in cell.overrides:
        return cell
    trained = {key: value for key, value in cell.overrides.items() if key != "quantize"}
    if cell.overrides["quantize"] not in QUANTIZED_FORMATS:
        raise UsageError(
            f"the cell {cell.name} has quantize: {as_text(cell.overrides['quantize'])}; give "
            f"{', '.join(QUANTIZED_FORMATS)}"
        )
    for other in cells:
        if (other.configs, other.overrides) == (cell.configs, trained):
            return replace(cell, source=other.name)
    raise UsageError(
        f"the cell {cell.name} quantises a run that no cell trains; add one that says the same but "
        "for quantize"
    )


def _cell(
    labels: Mapping[str, str],
    axes: Mapping[str, Mapping[str, Mapping[str, Any]]],
    common: Mapping[str, Any],
    base: str | None,
    path: Path,
) -> Cell:
    overrides, owner = dict(common), dict.fromkeys(common, "set")
    for axis, label in labels.items():
        for key, value in axes[axis][label].items():
            if owner.get(key, "set") != "set":
                raise UsageError(
                    f"both axes {owner[key]} and {axis} set {key}; let one of them do it"
                )
            overrides[key], owner[key] = value, axis
    for key, value in overrides.items():
        # It would be read as an option of its own, such as where to write, or what may be imported.
        if isinstance(value, str) and value.startswith("-") and not is_number(value):
            raise UsageError(f"{owner[key]} of {path} gives {key} {value!r}, which is no value")
    laid_over = overrides.pop("config", None)
    names = [str(name) for name in (base, laid_over) if name is not None]
    if not names:
        raise UsageError(f"study {path} has no base; give one, such as base: quickstart")
    configs = [_find(name, path.parent) for name in names]
    adapter = overrides.get("model.adapter")
    # A class path has a capital letter; what is left names a file.
    if isinstance(adapter, str) and not re.search(r"[A-Z]", Path(adapter).name):
        overrides["model.adapter"] = _find(adapter, path.parent, adapter_folder(configs))
    return Cell(
        name="-".join(labels.values()) or slug(path.stem),
        values=dict(labels), configs=tuple(configs), overrides=overrides,
    )  # fmt: skip


def _points(axis: str, said: Any) -> dict[str, dict[str, Any]]:
    """Return the settings of each label of an axis."""
    if not isinstance(said, Mapping | list) or not said:
        raise UsageError(f"axis {axis} has no values; give a list, or labels with settings")
    if isinstance(said, Mapping):
        settings = [
            {option_of(k, f"axis {axis}"): v for k, v in point.items()}
            if isinstance(point, Mapping) and "class_path" not in point
            else {option_of(axis, "axes"): point}
            for point in said.values()
        ]
        return _labelled(axis, [slug(label) for label in said], settings)
    key = option_of(axis, "axes")
    # A number alone says nothing in a name; a word mostly does.
    labels = [
        slug(Path(value).stem if axis in ("adapter", "config") else value)
        if isinstance(value, str) else slug(f"{_short(axis)}{as_text(value)}")
        for value in said
    ]  # fmt: skip
    return _labelled(axis, labels, [{key: value} for value in said])


def _labelled(
    axis: str, labels: Sequence[str], settings: Sequence[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    if len(set(labels)) < len(labels):
        twin = Counter(labels).most_common(1)[0][0]
        raise UsageError(f"axis {axis} has {twin!r} twice; keep one, or give labels that differ")
    return dict(zip(labels, settings, strict=True))


def option_of(name: str, where: str) -> str:
    """Return the option that a key stands for.

    Raises:
        UsageError: It stands for none; the nearest one is named.
    """
    if name in AXES:
        return AXES[name]
    if name in WHOLE or re.fullmatch(OPTION, str(name)):
        return name
    near = difflib.get_close_matches(str(name), [*AXES, *WHOLE], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}" if near else f"use {', '.join(AXES)} or a key such as "
    hint += "" if near else "model.adapter.rank"
    raise UsageError(f"{where} has the unknown key {name!r}; {hint}")


def _selections(
    said: Any, axes: Mapping[str, Mapping[str, Any]], where: str
) -> list[dict[str, list[str]]]:
    """Return what `include` or `exclude` names: labels by axis."""
    if not isinstance(said, list):
        raise UsageError(f"{where} is no list; begin each entry with a dash: - {{adapter: full}}")
    found = []
    for entry in said:
        one: dict[str, list[str]] = {}
        for axis, asked in mapping(entry, where).items():
            known_keys([axis], axes, where)
            wanted = asked if isinstance(asked, list) else [asked]
            one[axis] = [_label(axis, value, axes[axis], where) for value in wanted]
        found.append(one)
    return found


def _label(axis: str, value: Any, points: Iterable[str], where: str) -> str:
    for label in (slug(value), slug(f"{_short(axis)}{as_text(value)}")):
        if label in points:
            return label
    raise UsageError(f"{where}: axis {axis} has no {as_text(value)}; it has {', '.join(points)}")


def _short(axis: str) -> str:
    """Return an axis as it stands before its values: the last part, but for the other seed."""
    return axis if axis == "data.seed" else axis.rpartition(".")[2]


def _matches(labels: Mapping[str, str], selection: Mapping[str, Sequence[str]]) -> bool:
    return all(labels[axis] in wanted for axis, wanted in selection.items())


def slug(label: Any) -> str:
    """Return a label as it may stand in a file's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", as_text(label)).strip("-.")[:48] or "none"


def _find(name: str, folder: Path, kind: str = "") -> str:
    beside = folder / name
    return str((beside if beside.is_file() else Path(find_config(name, kind))).absolute())


def known_keys(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a key that means nothing.

    Raises:
        UsageError: There is one; the nearest that is known is named.
    """
    known = list(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}" if near else f"there are {', '.join(known)}"
            raise UsageError(f"{where} has the unknown key {key!r}; {hint}")


def mapping(said: Any, where: str) -> Mapping[str, Any]:
    """Return what has keys.

    Raises:
        UsageError: It has none.
    """
    if not isinstance(said, Mapping):
        raise UsageError(f"{where} is {as_text(said)!r}, not a mapping of keys to values")
    return said
