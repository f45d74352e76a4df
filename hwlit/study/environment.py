"""What the runs of a comparison ran on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hwlit.study.collect import Run
from hwlit.study.comparison import Comparison
from hwlit.study.grids import Cell, Grid
from hwlit.study.show import in_unit


def environment_grid(comparison: Comparison) -> Grid:
    """Return each fact with its values, and how many runs have which where they differ."""
    runs = [run for row in comparison.rows for run in row.method.runs]
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        for name, value in _facts(run):
            own = counts.setdefault(name, {})
            own[value] = own.get(value, 0) + 1
    rows = [
        [
            Cell(name),
            Cell(
                next(iter(values)) if len(values) == 1
                else "; ".join(f"{value} ({n} runs)" for value, n in values.items())
            ),
        ]
        for name, values in counts.items()
    ]  # fmt: skip
    return Grid("environment", ["what", "value"], rows)


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    record: Mapping[str, Any] = run.record
    device = record.get("device", {})
    yield "device", f"{device.get('name', '?')}{', virtual' if device.get('virtual') else ''}"
    if isinstance(memory := device.get("memory"), int | float):
        yield "memory", in_unit(memory, "B")
    named = {"threads": record.get("threads"), "platform": record.get("platform")}
    named |= {"precision": record.get("precision"), "model": record.get("model", {}).get("hub_id")}
    code = record.get("code")
    if isinstance(code, Mapping) and code.get("commit"):
        named["commit"] = f"{code['commit']}{', with changes' if code.get('dirty') else ''}"
    yield from ((name, str(value)) for name, value in named.items() if value is not None)
    yield from ((str(name), str(version)) for name, version in record.get("versions", {}).items())
