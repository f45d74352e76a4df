"""Which test rows a run got right, read from its predictions."""

import csv

import pytest
from hwlit.study.row_scores import row_scores

from hwlit.errors import IntegrityError
from hwlit.study.collect import Run

HEAD = ["row_id", "text", "label", "prediction", "p(no)"]
ROWS = [HEAD, [1, "a", "no", "no", 0.9], [2, "b", "yes", "no", 0.6]]


def scores(folder, rows, accuracy=None, encoding="utf-8"):
    with (folder / "predictions.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
    readings = {} if accuracy is None else {"test/accuracy": accuracy}
    return row_scores(Run("a", folder, "ok", None, {}, {"readings": readings}), "test/accuracy")


def test_texts_of_any_length_and_labels_that_look_like_something_else(tmp_path):
    long = 'a "quoted"\nline, ' * 200_000  # beyond the blocks in which files are read
    found = scores(tmp_path, [HEAD, [7, long, "1", "01", 0.5], [2, "", "NA", "NA", 0.5]])
    assert found.ids.tolist() == [2, 7]
    assert found.truths.tolist() == ["NA", "1"]
    assert found.scores.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "not readable"),
        ([HEAD[:3], [1, "a", "no"]], "not readable"),
        ([HEAD, ["first", "a", "no", "no", 0.5]], "not readable"),
        ([HEAD, [10**22, "a", "no", "no", 0.5]], "not readable"),
        ([HEAD, [1, "a", "no"]], "not readable"),
        ([*ROWS, ROWS[1]], "twice"),
    ],
    ids=["empty", "no column", "no number", "too large", "cut", "twice"],
)
def test_a_damaged_file_is_named(tmp_path, rows, reason):
    with pytest.raises(IntegrityError, match=reason):
        scores(tmp_path, rows)


def test_rows_are_those_of_the_record(tmp_path):
    assert scores(tmp_path, ROWS, {"value": 0.5, "n": 2}).scores.tolist() == [1.0, 0.0]
    more = [*ROWS, [3, "c", "yes", "no", 0.6]]
    for accuracy in ({"value": 1 / 3, "n": 4}, {"value": 1.0, "n": 3}):
        with pytest.raises(IntegrityError, match="1 of 3 rows are right, where the record"):
            scores(tmp_path, more, accuracy)


def test_no_rows_are_no_damage_where_nothing_was_tested(tmp_path):
    assert scores(tmp_path, [HEAD]) is None
    with pytest.raises(IntegrityError):
        scores(tmp_path, [HEAD], {"value": 1.0, "n": 3})


def test_a_spreadsheet_may_have_saved_it(tmp_path):
    assert scores(tmp_path, ROWS, encoding="utf-8-sig").ids.tolist() == [1, 2]


def test_a_run_without_the_file_has_no_rows(tmp_path):
    assert row_scores(Run("a", tmp_path, "ok", None, {}, {"readings": {}}), "test/accuracy") is None
