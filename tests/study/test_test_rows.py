"""The test rows of a run are read by what its record says of them, whatever the task."""

import csv
import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score

from hwlit.errors import IntegrityError
from hwlit.records import Model, Reading, Record, Rows, TestRows, measured
from hwlit.study.test_rows import row_scores, row_table

HEAD = ["row_id", "text", "label", "prediction", "p(no)"]
ROWS = [HEAD, [1, "a", "no", "no", 0.9], [2, "b", "yes", "no", 0.6]]
CLASSES = TestRows({"label": "class", "prediction": "class"}, 2, "predictions.csv", "label")


def record(told, labels=("no", "yes")):
    return Record(status="ok", readings={}, absent={}, test_rows=told, model=Model(labels=labels))


def table(folder, rows, told=CLASSES, encoding="utf-8"):
    with (folder / told.file).open("w", encoding=encoding, newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
    return row_table(record(dataclasses.replace(told, n=max(0, len(rows) - 1))), folder)


def reading(value, how="accuracy", columns=("label", "prediction"), n=2):
    return Reading(value, "1", measured("by hand"), n=n, rows=Rows(how, columns))


def test_texts_of_any_length_and_labels_that_look_like_something_else(tmp_path):
    long = 'a "quoted"\nline, ' * 200_000  # beyond the blocks in which files are read
    found = table(tmp_path, [HEAD, [7, long, "1", "01", 0.5], [2, "", "NA", "NA", 0.5]])
    assert found.ids.tolist() == [2, 7]
    assert found.truths.tolist() == ["NA", "1"]
    assert row_scores(found, "test/accuracy", reading(0.5)).hits.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "not readable"),
        ([HEAD[:3], [1, "a", "no"]], "not readable as rows that all have row_id, label and pred"),
        ([HEAD, ["first", "a", "no", "no", 0.5]], "not readable"),
        ([HEAD, [10**22, "a", "no", "no", 0.5]], "not readable"),
        ([HEAD, [1, "a", "no"]], "not readable"),
        ([*ROWS, ROWS[1]], "twice"),
    ],
    ids=["empty", "no column", "no number", "too large", "cut", "twice"],
)
def test_a_damaged_file_is_named(tmp_path, rows, reason):
    with pytest.raises(IntegrityError, match=reason):
        table(tmp_path, rows)


@pytest.mark.parametrize(("kind", "value"), [("binary", 0.5), ("real", "nan"), ("real", "much")])
def test_a_column_holds_what_its_kind_says(tmp_path, kind, value):
    told = TestRows({"right": kind}, 2, "test_rows.csv")
    with pytest.raises(IntegrityError, match="not readable"):
        table(tmp_path, [["row_id", "right"], [1, 1], [2, value]], told)


def test_rows_are_those_of_the_record(tmp_path):
    found = table(tmp_path, ROWS)
    assert row_scores(found, "test/accuracy", reading(0.5)).values.tolist() == [1.0, 0.0]
    rows = [HEAD, *([row, "a", "no", "no", 0.9] for row in range(100))]
    found = table(tmp_path, rows)
    row_scores(found, "test/accuracy", reading(0.99))  # a tie in fp32 may break either way
    with pytest.raises(IntegrityError, match=r"100 rows give test/accuracy 1.0000, where the re"):
        row_scores(found, "test/accuracy", reading(0.98))


def test_as_many_rows_as_the_record_says(tmp_path):
    table(tmp_path, ROWS)
    for n in (1, 3):
        with pytest.raises(IntegrityError, match=f"there are 2 rows, where the record has {n}"):
            row_table(record(dataclasses.replace(CLASSES, n=n)), tmp_path)


def test_a_spreadsheet_may_have_saved_it(tmp_path):
    assert table(tmp_path, ROWS, encoding="utf-8-sig").ids.tolist() == [1, 2]


def test_a_run_without_the_file_has_no_rows(tmp_path):
    assert row_table(record(CLASSES), tmp_path) is None
    assert row_table(record(None), tmp_path) is None


@pytest.mark.parametrize("name", ["../other/test_rows.csv", "/etc/passwd", "a/b.csv"])
def test_rows_lie_in_the_directory_of_the_run(tmp_path, name):
    assert row_table(record(dataclasses.replace(CLASSES, file=name)), tmp_path) is None


def test_a_reading_that_is_not_of_rows(tmp_path):
    found = table(tmp_path, ROWS)
    alone = dataclasses.replace(reading(0.5), rows=None)
    assert row_scores(found, "test/average_precision", alone) is None
    with pytest.raises(IntegrityError, match="rests on column 'score', which the rows lack"):
        row_scores(found, "test/x", reading(0.5, "mean", ("score",)))


def test_the_positive_class_is_the_second_of_the_models(tmp_path):
    random = np.random.default_rng(0)
    labels = np.array(["yes", "no"])  # the first that is met in the file is not the first class
    true, said = random.integers(0, 2, (2, 60))
    rows = [
        HEAD,
        *(
            [i, "", labels[t], labels[p], 0.5]
            for i, (t, p) in enumerate(zip(true, said, strict=True))
        ),
    ]
    found = table(tmp_path, rows)
    f1 = f1_score(labels[true], labels[said], pos_label="yes")
    scores = row_scores(found, "test/f1_positive", reading(f1, "f1_positive"))
    assert scores.values.mean() == pytest.approx(f1)


def test_groups_and_measures_of_any_task(tmp_path):
    told = TestRows({"score": "real"}, 3, "test_rows.csv", "prompt")
    rows = [["row_id", "group", "prompt", "score"], [0, "a", "a *", 0.2], [1, "a", "a *", 0.4],
            [2, "b", "b *", 0.9]]  # fmt: skip
    found = table(tmp_path, rows, told)
    assert found.groups.tolist() == ["a", "a", "b"]
    scores = row_scores(found, "test/anything", reading(0.5, "mean", ("score",)))
    assert (scores.values.tolist(), scores.hits) == ([0.2, 0.4, 0.9], None)


def test_rows_within_an_old_record(tmp_path):
    values = {"clip_i": [0.5, 0.7], "prompt": ["a *", "b *"]}
    told = TestRows({"clip_i": "real", "prompt": "class"}, 2, None, "prompt", values)
    found = row_table(record(told), tmp_path)
    assert (found.ids.tolist(), found.truths.tolist()) == ([0, 1], ["a *", "b *"])
    for n, values in ((2, [0.5]), (3, [0.5, 0.7, 0.9])):
        damaged = dataclasses.replace(told, values={"clip_i": values, "prompt": ["a *", "b *"]})
        with pytest.raises(IntegrityError):
            row_table(record(dataclasses.replace(damaged, n=n)), tmp_path)


def test_rows_to_which_a_column_does_not_apply(tmp_path):
    told = TestRows({"clip_i": "real", "drift": "real"}, 3, "test_rows.csv")
    rows = [["row_id", "clip_i", "drift"], [0, 0.5, ""], [1, 0.7, ""], [2, "", 0.1]]
    found = table(tmp_path, rows, told)
    scores = row_scores(found, "test/clip_i", reading(0.6, "mean", ("clip_i",)))
    assert (scores.values.tolist(), scores.there.tolist()) == ([0.5, 0.7], [True, True, False])
    with pytest.raises(IntegrityError, match=r"its 1 rows give test/drift 0.1000, where"):
        row_scores(found, "test/drift", reading(0.2, "mean", ("drift",)))
