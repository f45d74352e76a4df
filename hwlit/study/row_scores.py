"""What a run got right, test row by test row, so that two runs can be paired."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, csv

from hwlit.study.collect import Run

COLUMNS = {"row_id": pa.int64(), "label": pa.string(), "prediction": pa.string()}
PARSE = csv.ParseOptions(newlines_in_values=True)
CONVERT = csv.ConvertOptions(include_columns=list(COLUMNS), column_types=COLUMNS)


@dataclass(frozen=True)
class RowScores:
    """The score of each test row.

    Args:
        ids: Row ids, ascending, (n,).
        truths: What the row's answer is, (n,); two runs are paired only where these are equal.
        scores: 1 for right and 0 for wrong, or the row's own score, (n,).
    """

    ids: NDArray[np.int64]
    truths: tuple[str, ...]
    scores: NDArray[np.float64]

    def matches(self, other: RowScores) -> bool:
        """Return whether the two saw the same rows with the same answers."""
        return np.array_equal(self.ids, other.ids) and self.truths == other.truths


def row_scores(run: Run, metric: str) -> RowScores | None:
    """Return the rows behind a metric; None where it is no mean over rows, or they are gone.

    Args:
        run: A finished run.
        metric: `test/accuracy`: the rows of predictions.csv; `test/clip_i` or `test/clip_t`: the
            concept's prompts, whose pictures are alike and so count as one row.
    """
    if metric == "test/accuracy" and run.folder is not None:
        return _predicted(run.folder / "predictions.csv")
    if metric in ("test/clip_i", "test/clip_t"):
        return _prompts(run, metric.removeprefix("test/"))
    return None


def _predicted(path: Path) -> RowScores | None:
    try:
        # One block, for a row must fit into one.
        read = csv.ReadOptions(use_threads=False, block_size=path.stat().st_size + 1)
        rows = csv.read_csv(path, read, PARSE, CONVERT).sort_by("row_id")
    except (OSError, ValueError, LookupError):
        return None
    if not rows.num_rows or any(column.null_count for column in rows.columns):
        return None
    # Not pyarrow's to_numpy, which imports pandas.
    right = np.array(compute.equal(rows["label"], rows["prediction"]).to_pylist(), dtype=float)
    return RowScores(np.array(rows["row_id"].to_pylist()), tuple(rows["label"].to_pylist()), right)


def _prompts(run: Run, name: str) -> RowScores | None:
    identifier = str(run.record.get("data", {}).get("identifier"))
    rows = [row for row in run.record.get("per_prompt", ()) if row.get("kind") == "concept"]
    if not rows or not all(isinstance(row.get(name), float) for row in rows):
        return None
    # Methods call the same concept by identifiers of their own.
    prompts = tuple(str(row.get("prompt")).replace(identifier, "*") for row in rows)
    return RowScores(np.arange(len(rows)), prompts, np.array([row[name] for row in rows]))
