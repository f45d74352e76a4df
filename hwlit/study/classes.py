"""Figures per class and confusion matrices of several methods, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from hwlit.records import ClassFigures, Exhibit
from hwlit.study.comparison import Comparison, Row
from hwlit.study.methods import Method
from hwlit.study.table import Cell, Grid

MOST = 12  # classes or methods that a table on a screen can hold


def per_class(method: Method) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1 of each class, the mean over the method's runs."""
    found: dict[str, list[ClassFigures]] = {}
    for run in method.runs:
        for row in run.record.per_class:
            found.setdefault(row.label, []).append(row)
    return {
        label: {
            "precision": fmean(row.precision for row in rows),
            "recall": fmean(row.recall for row in rows),
            "f1": fmean(row.f1 for row in rows),
        }
        for label, rows in found.items()
    }


def confusion(method: Method) -> tuple[list[str], list[list[float]]] | None:
    """Return labels and counts, true class by predicted class, summed over the method's runs.

    None where there are none, or its runs have other classes.
    """
    labels: list[str] | None = None
    total: list[list[float]] = []
    for run in method.runs:
        matrix = run.record.exhibit("confusion_matrix")
        if matrix is None or not _is_square(matrix):
            continue
        own = list(matrix.labels)
        if labels is None:
            labels, total = own, [[0] * len(own) for _ in own]
        if own != labels:
            return None
        total = [
            [a + b for a, b in zip(one, other, strict=True)]
            for one, other in zip(total, matrix.counts, strict=True)
        ]
    return None if labels is None else (labels, total)


def class_grids(comparison: Comparison) -> list[Grid]:
    """Return per-class figures and confusion matrices, or why a screen cannot show them."""
    rows = [row for row in comparison.rows if per_class(row.method)]
    labels = list(dict.fromkeys(label for row in rows for label in per_class(row.method)))
    if not rows:
        return []
    if max(len(rows), len(labels)) > MOST:
        return [_instead("per class", f"more than {MOST} methods or classes")]
    return [_figures(rows, labels), *_matrices(rows)]


def _instead(title: str, reason: str) -> Grid:
    return Grid(title, ["what"], [[Cell(f"{reason}; see hwlit compare --format json")]])


def _figures(rows: Sequence[Row], labels: Sequence[str]) -> Grid:
    tables = [per_class(row.method) for row in rows]
    cells = [
        [Cell(label)]
        + [Cell(_figure(table.get(label)), table.get(label, {}).get("f1")) for table in tables]
        for label in labels
    ]
    columns = ["class", *(row.label for row in rows)]
    return Grid("per class", columns, cells, ["F1 (precision / recall), mean over runs"])


def _figure(figures: Mapping[str, float] | None) -> str:
    if figures is None:
        return ""
    return f"{figures['f1']:.3f} ({figures['precision']:.3f} / {figures['recall']:.3f})"


def _matrices(rows: Sequence[Row]) -> list[Grid]:
    matrices = [confusion(row.method) for row in rows]
    known = [matrix for matrix in matrices if matrix is not None]
    if not known:
        return []
    if any(matrix[0] != known[0][0] for matrix in known):
        return [_instead("confusion", "methods have other classes")]
    labels, cells = known[0][0], []
    for true, label in enumerate(labels):
        for guess, other in enumerate(labels):
            line = [Cell(label), Cell(other)]
            for matrix in matrices:
                line.append(Cell("") if matrix is None else _count(matrix[1][true], guess))
            cells.append(line)
    columns = ["true", "predicted", *(row.label for row in rows)]
    return [Grid("confusion", columns, cells, ["rows, summed over runs, and share of the class"])]


def _count(counts: Sequence[float], guess: int) -> Cell:
    share = counts[guess] / sum(counts) if sum(counts) else 0.0
    return Cell(f"{counts[guess]:.0f} ({100 * share:.0f} %)", counts[guess])


def _is_square(matrix: Exhibit) -> bool:
    side = len(matrix.labels)
    return len(matrix.counts) == side and all(len(row) == side for row in matrix.counts)
