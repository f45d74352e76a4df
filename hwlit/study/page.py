"""The report as one page that opens from disk: no server, no network, no markup from a run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from hwlit.plain_text import printable
from hwlit.study.classes import MOST, confusion
from hwlit.study.comparison import Comparison, Row
from hwlit.study.energy import CPU_ONLY
from hwlit.study.environment import environment_grid
from hwlit.study.figures import Figure, colours, learning_curves, pareto_figures, phase_figure
from hwlit.study.formats import grids
from hwlit.study.grids import energy_label
from hwlit.study.latency import OVER_BASE
from hwlit.study.pictures import picture_grid
from hwlit.study.plain_words import sentences
from hwlit.study.table import Cell, Grid, interval, quantity, times
from hwlit.study.verdict_grids import MARK, metric_name, word

FOLDER = Path(__file__).parent
OVERVIEW = {
    "fit/wall_time": "train loop",
    "fit/step_time": "per step",
    "fit/peak_memory": "peak memory",
    "fit/energy": "energy",
    "params/trainable": "trainable",
    "adapter/file_size": "adapter file",
}


def page(comparison: Comparison) -> str:
    """Return the page.

    Everything of a run is escaped, also within JSON and plot labels; a Content-Security-Policy lets
    no script run but the two of the page, and nothing load from elsewhere.
    """
    figures = [*pareto_figures(comparison), learning_curves(comparison), phase_figure(comparison)]
    shown = [figure for figure in figures if figure is not None]
    plotly, script = get_plotlyjs(), _own("page.js")
    hashes = [_hash(script), *([_hash(plotly)] if shown else [])]
    loader = FileSystemLoader(FOLDER)
    pages = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_shown
    )  # fmt: skip
    pages.filters["breakable"] = _breakable
    return pages.get_template("page.html").render(
        title=comparison.name,
        subtitle=subtitle(comparison),
        sentences=sentences(comparison),
        overview=_overview(comparison) if comparison.rows else None,
        colours=colours(comparison) if len(comparison.rows) <= 2 * MOST else {},
        figures=shown,
        pictures=picture_grid([row.method for row in comparison.rows]),
        matrices=_matrices(comparison),
        grids=grids(comparison),
        environment=environment_grid(comparison),
        figures_json=Markup(_json(shown)),
        plotly=Markup(plotly),
        script=Markup(script),
        style=Markup(_own("page.css")),
        script_hashes=Markup(" ".join(hashes)),
    )


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: of a text, no sign that turns others round."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Markup:
    """Return a quantity of which only spread, interval, source and ratio may wrap."""
    space = "\N{NO-BREAK SPACE}"
    return escape(re.sub(r" (?!±|\(|estimated|\S+x$)", space, printable(text)))


def subtitle(comparison: Comparison) -> str:
    """Return how much was compared, and with what."""
    runs = sum(len(row.method.runs) for row in comparison.rows)
    text = f"{_counted(len(comparison.rows), 'method')}, {_counted(runs, 'run')}"
    if comparison.baseline is not None:
        text += f", ranked by {metric_name(comparison)}, baseline {comparison.baseline.label}"
    return text + "; written by hwlit report"


def _overview(comparison: Comparison) -> Grid:
    name, (latency, _) = metric_name(comparison), comparison.latency_cost()
    known = [n for n in OVERVIEW if any(n in row.readings for row in comparison.rows)]
    names = {n: OVERVIEW[n] for n in known}
    if "fit/energy" in names:
        names["fit/energy"] = energy_label(comparison.rows)
    if any(latency in row.readings for row in comparison.rows):
        over = " / base" if latency == OVER_BASE else ""
        names[latency] = f"merged latency{over}, {comparison.latency_input}"
    unlike = any(row.flags for row in comparison.rows)
    rows = []
    for row in comparison.rows:
        costs = [_cost(comparison, row, measure, names[measure]) for measure in names]
        flags = [Cell("; ".join(row.flags))] if unlike else []
        rows.append([*_quality(comparison, row), *costs, *flags])
    columns = ["method", f"{name} (95 %)", "against the baseline", "against the best"]
    columns += [*names.values(), *(["not like the baseline in"] if unlike else [])]
    notes = [
        f"{MARK} may be the best, or is equal to it",
        "x: times the least of the methods that train; ± half the range over seeds",
    ]
    if any(found.disturbed for row in comparison.rows for found in row.readings.values()):
        notes.append("!: something else used the machine, so it is not ranked")
    return Grid("overview", columns, rows, notes)


def _quality(comparison: Comparison, row: Row) -> list[Cell]:
    found = row.readings.get(comparison.metric)
    text = ""
    if found is not None:
        ends = interval(found.low, found.high)
        text = f"{found.value:.4f}" + (f" ({ends})" if ends else "")
        text += " of this run" if found.of_this_run else ""
    baseline = "baseline" if row.verdict is None else word(row.verdict)
    best = "best" if row is comparison.best() else ""
    return [
        Cell(row.label + (f" {MARK}" if row.is_top else "")),
        Cell(text, row.value(comparison.metric)),
        Cell(baseline),
        Cell(best if row.against_best is None else word(row.against_best)),
    ]


def _cost(comparison: Comparison, row: Row, name: str, title: str) -> Cell:
    told = quantity(row.readings.get(name), tagged=title != CPU_ONLY)
    ratio = None if name == OVER_BASE else comparison.ratio(row, name)
    return Cell(told + times(ratio.value if ratio else None), row.value(name))


def _matrices(comparison: Comparison) -> list[tuple[str, list[str], list[Any]]]:
    """Return label, classes and rows of counts with their share of the class in percent."""
    found = []
    for row in comparison.rows[: 2 * MOST]:
        matrix = confusion(row.method)
        if matrix is None or len(matrix[0]) > MOST:
            continue
        labels, counts = matrix
        shares = [[100 * n / (sum(line) or 1) for n in line] for line in counts]
        rows = [
            (name, [(n, round(share)) for n, share in zip(line, part, strict=True)])
            for name, line, part in zip(labels, counts, shares, strict=True)
        ]
        found.append((row.label, labels, rows))
    return found


def _json(figures: list[Figure]) -> str:
    """Return JSON that cannot end the script element it stands in."""
    plain = [{"name": f.name, "data": f.data, "layout": f.layout} for f in figures]
    text = json.dumps(plain, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _own(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
