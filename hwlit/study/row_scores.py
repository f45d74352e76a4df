"""What a run got right, test row by test row, so that two runs can be paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwlit.bounded_files import read_rows
from hwlit.errors import IntegrityError
from hwlit.study.collect import Run

NEARLY = 1.5  # rows: classes that are equal in fp32 were named otherwise than counted


@dataclass(frozen=True)
class RowScores:
    """The score of each test row.

    Args:
        ids: Row ids, ascending, (n,).
        truths: What the row's answer is, (n,) strings; two runs are paired only where these are
            equal.
        scores: 1 for right and 0 for wrong, or the row's own score, (n,).
    """

    ids: NDArray[np.int64]
    truths: NDArray[np.str_]
    scores: NDArray[np.float64]

    def matches(self, other: RowScores) -> bool:
        """Return whether the two saw the same rows with the same answers."""
        same = np.array_equal(self.ids, other.ids)
        return same and np.array_equal(self.truths, other.truths)


def row_scores(run: Run, metric: str) -> RowScores | None:
    """Return the rows behind a metric; None where it is no mean over rows, or they are gone.

    Args:
        run: A finished run.
        metric: `test/accuracy`: the rows of predictions.csv; `test/clip_i` or `test/clip_t`: the
            concept's prompts, whose pictures are alike and so count as one row.

    Raises:
        IntegrityError: The rows cannot be read, or are not those of the record.
    """
    if metric == "test/accuracy" and run.folder is not None:
        return _predicted(run.folder / "predictions.csv", run.record["readings"].get(metric))
    if metric in ("test/clip_i", "test/clip_t"):
        return _prompts(run, metric.removeprefix("test/"))
    return None


def _predicted(path: Path, accuracy: Mapping[str, Any] | None) -> RowScores | None:
    try:
        rows = [(int(r["row_id"]), r["label"], r["prediction"]) for r in read_rows(path)]
        if not rows and accuracy is None:
            return None
        ids = np.array([row_id for row_id, *_ in rows], np.int64)
        truths = np.array([label for _, label, _ in rows], np.str_)
        right = np.array([label == guess for _, label, guess in rows], float)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, OverflowError) as error:
        raise IntegrityError(
            f"not readable as rows that all have row_id, label and prediction ({error})"
        ) from None
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if (ids[1:] == ids[:-1]).any():
        raise IntegrityError("a row_id is there twice")
    if accuracy is not None:
        n, told, value = accuracy.get("n", len(ids)), float(right.sum()), accuracy["value"]
        if n != len(ids) or abs(told - value * len(ids)) > NEARLY:
            raise IntegrityError(
                f"{told:.0f} of {len(ids)} rows are right, where the record has an accuracy of "
                f"{value:.4f} on {n}"
            )
    return RowScores(ids, truths[order], right[order])


def _prompts(run: Run, name: str) -> RowScores | None:
    identifier = str(run.record.get("data", {}).get("identifier"))
    rows = [row for row in run.record.get("per_prompt", ()) if row.get("kind") == "concept"]
    if not rows or not all(isinstance(row.get(name), float) for row in rows):
        return None
    # Methods call the same concept by identifiers of their own.
    prompts = [str(row.get("prompt")).replace(identifier, "*") for row in rows]
    scores = np.array([row[name] for row in rows])
    return RowScores(np.arange(len(rows)), np.array(prompts), scores)
