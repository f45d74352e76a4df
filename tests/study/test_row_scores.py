"""Which test rows a run got right, read from its predictions."""

import csv

import pytest

from hwlit.study.collect import Run
from hwlit.study.row_scores import row_scores

HEAD = ["row_id", "text", "label", "prediction", "p(no)"]


def scores(folder, rows):
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
    return row_scores(Run("a", folder, "ok", None, {}, {}), "test/accuracy")


def test_texts_of_any_length_and_labels_that_look_like_something_else(tmp_path):
    long = 'a "quoted"\nline, ' * 200_000  # beyond the blocks in which files are read
    found = scores(tmp_path, [HEAD, [7, long, "1", "01", 0.5], [2, "", "NA", "NA", 0.5]])
    assert found.ids.tolist() == [2, 7]
    assert found.truths.tolist() == ["NA", "1"]
    assert found.scores.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [HEAD],
        [HEAD[:3], [1, "a", "no"]],
        [HEAD, ["first", "a", "no", "no", 0.5]],
        [HEAD, [1, "a", "no"]],
    ],
    ids=["empty", "no row", "no column", "no number", "cut"],
)
def test_a_file_that_cannot_be_read_pairs_nothing(tmp_path, rows):
    assert scores(tmp_path, rows) is None
