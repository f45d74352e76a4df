"""The report's plots, as plotly.js reads them: plain data and layout."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import Any

from hwlit.plain_text import printable
from hwlit.study.comparison import Comparison, Row
from hwlit.study.curves import validation_curve
from hwlit.study.energy import CPU_ONLY, common_name
from hwlit.study.latency import OVER_BASE
from hwlit.study.pareto import front
from hwlit.study.table import quantity
from hwlit.study.verdict_grids import metric_name

# Okabe and Ito's colours for all eyes, less black, then darker twins; read on light and dark.
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a800", "#8c6bb1",
    "#888888", "#a65628", "#4daf4a", "#e7298a", "#1b9e9e", "#6a3d9a", "#b15928", "#7f9c00",
    "#c994c7", "#4575b4", "#d9a066", "#5e6b73",
)  # fmt: skip
CURVES_OF = 24  # methods whose curves can still be told apart
COSTS = {
    "fit/wall_time": ("time", "train loop, s", 1.0),
    "fit/peak_memory": ("memory", "peak memory, MiB", 2.0**20),
    "fit/energy": ("energy", "energy of the train loop, J", 1.0),
}


@dataclass(frozen=True)
class Figure:
    """One plot.

    Args:
        name: Unique in the page.
        title: Heading.
        data: Traces.
        layout: Axes.
        note: What has to be known to read it.
    """

    name: str
    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    note: str = ""


def colours(comparison: Comparison) -> dict[str, str]:
    """Return one colour per method, by label."""
    return {row.label: COLOURS[i % len(COLOURS)] for i, row in enumerate(comparison.rows)}


def text(label: str) -> str:
    """Return a text that plotly.js shows as it stands: it reads some HTML."""
    return html.escape(printable(label), quote=False)


def pareto_figures(comparison: Comparison) -> list[Figure]:
    """Return quality against time, memory, energy and latency, each with its front."""
    latency, of_what = comparison.latency_cost()
    over_base = f"merged latency / base ({comparison.latency_input})"  # short, for a phone's width
    axis = (over_base, 1.0) if latency == OVER_BASE else (f"{of_what}, ms", 1e-3)
    costs = {**COSTS, latency: ("latency", *axis)}
    found = []
    for name, drawn in costs.items():
        rows = [row for row in comparison.ranked() if name in row.readings]
        calm = [row for row in rows if not row.readings[name].disturbed]
        if calm:
            figure = _pareto(comparison, calm, name, drawn)
            left = ", ".join(row.label for row in rows if row not in calm)
            note = f"; not drawn, for something else used the machine: {left}" if left else ""
            found.append(replace(figure, note=figure.note + note))
    return found


def _pareto(
    comparison: Comparison, rows: list[Row], name: str, axis: tuple[str, str, float]
) -> Figure:
    what, title, unit = axis
    sign = 1 if comparison.mode == "max" else -1
    costs = [(row.value(name) or 0.0) / unit for row in rows]
    qualities = [row.value(comparison.metric) or 0.0 for row in rows]
    best = front([(cost, sign * quality) for cost, quality in zip(costs, qualities, strict=True)])
    line = {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
        "x": [costs[i] for i in best], "y": [qualities[i] for i in best],
        "line": {"shape": "hv", "dash": "dot", "width": 1.5, "color": "#888888"},
    }  # fmt: skip
    note = "on the front: " + ", ".join(rows[i].label for i in best[:8])
    if len(best) > 8:
        note += f" and {len(best) - 8} more"
    if any(_is_estimated(row, name) for row in rows):
        note += "; an open circle is an estimate"
    heading = what
    if name == "fit/energy":
        heading = common_name(run.record.readings for row in rows for run in row.method.runs)
        title = title.replace("energy", heading)
        note += "; ranks runs as processor time does" if heading == CPU_ONLY else ""
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": title}},
        "yaxis": {"title": {"text": metric_name(comparison)}},
    }
    if name == OVER_BASE:
        layout["xaxis"]["rangemode"] = "tozero"  # a hundredth is noise and must not fill the plot
    if min(costs) > 0 and max(costs) / min(costs) > 20:
        layout["xaxis"]["type"] = "log"
    traces = [line, {"x": costs, "y": qualities, **_points(comparison, rows, name)}]
    return Figure(f"pareto-{what}", f"quality against {heading}", traces, layout, note)


def _points(comparison: Comparison, rows: list[Row], name: str) -> dict[str, Any]:
    """Return how the points of a plot look, with the interval of their quality."""
    palette, metric = colours(comparison), comparison.metric
    readings = [row.readings[metric] for row in rows]
    return {
        "type": "scatter", "mode": "markers", "hoverinfo": "text", "showlegend": False,
        "hovertext": [
            f"{text(row.label)}<br>{metric_name(comparison)} {row.value(metric):.4f}"
            f"<br>{quantity(row.readings[name])}"
            for row in rows
        ],
        "error_y": {
            "type": "data",
            "array": [0.0 if r.high is None else r.high - r.value for r in readings],
            "arrayminus": [0.0 if r.low is None else r.value - r.low for r in readings],
            "thickness": 1, "width": 3, "color": "#88888888",
        },
        "marker": {
            "size": 12,
            "color": [palette[row.label] for row in rows],
            "symbol": ["circle-open" if _is_estimated(row, name) else "circle" for row in rows],
            "line": {"width": 2},
        },
    }  # fmt: skip


def _is_estimated(row: Row, name: str) -> bool:
    return bool(row.readings[name].tag == "estimated")


def learning_curves(comparison: Comparison) -> Figure | None:
    """Return validation over training time, a line per run; None where nothing was validated.

    Where the metric is not validated, such as `test/clip_i`, the validation loss is shown.
    """
    for name in (comparison.metric.replace("test/", "val/"), "val/loss"):
        traces = _curves(comparison, name)
        if traces:
            break
    else:
        return None
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "training, s (evaluation excluded)"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": name}},
    }
    return Figure("curves", "learning curves", traces, layout, "one line per run")


def _curves(comparison: Comparison, name: str) -> list[dict[str, Any]]:
    palette, traces = colours(comparison), []
    for row in comparison.rows[:CURVES_OF]:
        for run in row.method.runs:
            points = [(t, v) for _, t, v in validation_curve(run, name) if t is not None]
            if not points:
                continue
            label = f"{text(row.label)}, {run.record.seeds}"
            traces.append(
                {
                    "type": "scatter", "mode": "lines+markers", "showlegend": False,
                    "x": [time for time, _ in points], "y": [value for _, value in points],
                    "line": {"color": palette[row.label], "width": 1.5}, "marker": {"size": 6},
                    "hovertext": [f"{label}<br>{v:.4f} after {t:.1f} s" for t, v in points],
                    "hoverinfo": "text",
                }
            )  # fmt: skip
    return traces


def phase_figure(comparison: Comparison) -> Figure | None:
    """Return where each method's time went, a stacked bar per method, the mean over its runs."""
    rows = comparison.rows[:CURVES_OF]
    ledgers = [_ledger(row) for row in rows]
    phases = list(dict.fromkeys(phase for ledger in ledgers for phase in ledger))
    if not phases:
        return None
    labels = [text(row.label) for row in rows]
    traces = [
        {
            "type": "bar", "orientation": "h", "name": text(phase),
            "y": labels, "x": [ledger.get(phase, 0.0) for ledger in ledgers],
            "marker": {"color": COLOURS[i % len(COLOURS)]},
            "hovertext": [
                f"{label}<br>{text(phase)} {ledger.get(phase, 0.0):.2f} s"
                for label, ledger in zip(labels, ledgers, strict=True)
            ],
            "hoverinfo": "text",
        }
        for i, phase in enumerate(phases)
    ]  # fmt: skip
    layout: dict[str, Any] = {
        "barmode": "stack",
        "xaxis": {"ticksuffix": " s"},
        "yaxis": {"autorange": "reversed", "showticklabels": False},
        # Above the bars, for beside them they would take a phone's width.
        "annotations": [
            {"x": 0, "y": label, "xanchor": "left", "yanchor": "bottom", "yshift": 13,
             "text": label, "showarrow": False}
            for label in labels
        ],
        "bargap": 0.65,
        "height": 110 + 64 * len(rows),  # half a bar stays below the shift of its label
        "showlegend": True,
    }  # fmt: skip
    return Figure("phases", "where the time went", traces, layout, "mean over runs, by phase")


def _ledger(row: Row) -> dict[str, float]:
    total: dict[str, float] = {}
    for run in row.method.runs:
        for phase in run.record.phases:
            share = phase.wall_time / len(row.method.runs)
            total[phase.name] = total.get(phase.name, 0.0) + share
    return total
