"""What the runs of a comparison ran on."""

from __future__ import annotations

from collections.abc import Iterator

from hwlit.study.collect import Run
from hwlit.study.comparison import Comparison
from hwlit.study.show import in_unit
from hwlit.study.table import Cell, Grid


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
    record, device = run.record, run.record.device
    yield "device", f"{device.name}{', virtual' if device.rest.get('virtual') else ''}"
    if isinstance(memory := device.rest.get("memory"), int | float):
        yield "memory", in_unit(memory, "B")
    named = {"threads": record.threads, "platform": record.platform}
    named |= {"precision": record.precision, "model": record.model.hub_id}
    if record.code is not None and record.code.commit:
        named["commit"] = f"{record.code.commit}{', with changes' if record.code.dirty else ''}"
    yield from ((name, str(value)) for name, value in named.items() if value is not None)
    yield from record.versions.items()
