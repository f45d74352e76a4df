import csv
import io
from types import SimpleNamespace

import pytest
import torch
from matplotlib import pyplot

from hwlit.callbacks.predictions import Predictions
from hwlit.metrics.intervals import wilson_interval
from hwlit.records import ClassFigures

BATCHES = [
    ([9, 2, 5], [1, 0, 1], [[3, 1], [2, 0], [0, 4]]),
    ([3, 1], [0, 0], [[0, 1], [5, 0]]),
]


def collected(batches, world_size):
    monitor = Predictions(("no", "yes"))
    trainer = SimpleNamespace(
        world_size=world_size,
        callback_metrics={
            "test/accuracy": torch.tensor(0.6),
            "test/f1_positive": torch.tensor(0.5),
        },
    )
    monitor.on_test_start(trainer, None)
    for rows, labels, logits in batches:
        outputs = {
            "row_id": torch.tensor(rows),
            "labels": torch.tensor(labels),
            "logits": torch.tensor(logits, dtype=torch.float),
        }
        monitor.on_test_batch_end(trainer, None, outputs, None, 0)
    monitor.on_test_epoch_end(trainer, None)
    monitor.on_test_end(trainer, None)
    return monitor


@pytest.fixture
def predictions():
    """Five rows in two batches, out of order: rows 3 and 9 are wrong."""
    return collected(BATCHES, 1)


def test_the_file_names_the_class_that_was_counted():
    near = [0.01, 0.01 + 1e-9]  # no longer apart as probabilities in fp32
    found = collected([([1], [1], [near])], 1)
    found.logits = torch.tensor([near], dtype=torch.double)
    assert found.logits.float().softmax(-1).argmax() == 0
    (row,) = csv.DictReader(io.StringIO(found.to_csv({1: "a"})))
    assert row["prediction"] == "yes"
    assert found.readings()["test/accuracy"].value == 1.0


TEXTS = {1: "one, two", 2: "NA", 3: 'a "quote"', 5: "line\nend\rcut", 9: "<b>bold|pipe</b>"}


def test_rows_are_ordered_and_survive_the_file(predictions):
    rows = list(csv.DictReader(io.StringIO(predictions.to_csv(TEXTS))))
    assert [int(row["row_id"]) for row in rows] == [1, 2, 3, 5, 9]
    assert [row["text"] for row in rows] == [TEXTS[i] for i in (1, 2, 3, 5, 9)]
    assert [(row["label"], row["prediction"]) for row in rows] == [
        ("no", "no"), ("no", "no"), ("no", "yes"), ("yes", "yes"), ("yes", "no"),
    ]  # fmt: skip
    assert float(rows[4]["p(no)"]) == pytest.approx(
        float(torch.tensor([3.0, 1.0]).softmax(0)[0]), abs=1e-6
    )
    assert all(float(r["p(no)"]) + float(r["p(yes)"]) == pytest.approx(1, abs=2e-6) for r in rows)


def test_accuracy_has_its_interval(predictions):
    reading = predictions.readings()["test/accuracy"]
    assert (reading.value, reading.n) == (0.6, 5)
    assert (reading.low, reading.high) == wilson_interval(3, 5)


def test_f1_has_an_interval_that_holds_it(predictions):
    reading = predictions.readings()["test/f1_positive"]
    assert reading.low <= reading.value <= reading.high


def test_the_table_and_the_matrix_agree_with_the_rows(predictions):
    details = predictions.details()
    (matrix,) = details["exhibits"]
    assert (matrix.labels, matrix.counts) == (("no", "yes"), ((2, 1), (1, 1)))
    assert details["per_class"][1] == ClassFigures("yes", 0.5, 0.5, 0.5, 2)


def test_samples_show_the_surest_mistake_first_and_no_markup(predictions):
    lines = predictions.samples(TEXTS).splitlines()
    assert lines[2].startswith("| &lt;b&gt;bold\\|pipe&lt;/b&gt; | yes | no |")


@pytest.mark.parametrize("label", ["$_$ (money)", "$5 to $9", "100 $", r"\$x$"])
def test_a_class_name_is_no_formula(label, predictions):
    predictions._labels = (label, "yes")
    figure = predictions.picture()
    figure.canvas.draw()
    (name, _) = figure.axes[0].get_xticklabels()
    assert name._preprocess_math(name.get_text()) == (label, False)
    pyplot.close(figure)


def test_nothing_tested_is_absent_with_a_reason():
    monitor = Predictions(("no", "yes"))
    assert monitor.readings() == {}
    assert monitor.details() == {}
    assert "before the test" in monitor.absent()["test/accuracy"]


def test_two_processes_give_the_rows_of_one(predictions):
    first, second = (collected([batch], 2) for batch in BATCHES)
    assert first.readings() == {}, "half the rows are no result"
    assert "before the test" in first.absent()["test/accuracy"]
    first.join([second.share()])
    assert first.to_csv(TEXTS) == predictions.to_csv(TEXTS)
    assert first.readings() == predictions.readings()


def test_the_positive_class_has_the_average_precision(predictions):
    # By falling p(yes): row 5 (yes), 3 (no), then 9 (yes) and 2 (no), equal: precision 1 and 2/4.
    reading = predictions.readings()["test/average_precision"]
    assert reading.value == pytest.approx((1 + 2 / 4) / 2)
    assert "positive class" in reading.how.text
    assert predictions.ranked().keys() == {"yes"}


def test_of_more_classes_those_that_occur_are_averaged():
    monitor = Predictions(("a", "b", "c"))
    monitor.row_ids, monitor.targets = torch.arange(4), torch.tensor([0, 0, 1, 1])
    monitor.logits = torch.tensor([[3.0, 0, 0], [0, 2.0, 0], [0, 3.0, 0], [0, 1.0, 0]])
    # p(a) falls from row 0 to 3 (b), 1 and 2 (b); p(b) from row 2 to 1 (a), 3 and 0 (a)
    area = (1 + 2 / 3) / 2
    assert monitor.ranked().keys() == {"a", "b"}
    found = monitor.readings()["test/average_precision"]
    assert found.value == pytest.approx(area)
    assert "2 classes, macro" in found.how.text
