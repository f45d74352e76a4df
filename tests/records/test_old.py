"""Records of schema 1 are converted when they are read."""

import json
from pathlib import Path

import pytest

from hwlit.callbacks import classified, picture_readings
from hwlit.errors import IntegrityError
from hwlit.records import COST, FACT, How, Rows, old, plain, read_record, record_of

OLD = {"schema": 1, "status": "ok", "readings": {}, "absent": {}}


def converted(tmp_path, **fields):
    (tmp_path / "record.json").write_text(json.dumps(OLD | fields))
    return read_record(tmp_path)


def test_names_of_old_readings_mean_what_new_ones_do():
    new = classified.MEASURES | picture_readings.MEASURES
    assert new == old.MEASURES


def test_readings_are_taken_apart(tmp_path):
    told = {
        "test/accuracy": {
            "value": 0.5, "unit": "1", "method": "measured: test rows; Wilson interval",
            "low": 0.4, "high": 0.6, "n": 10,
        },
        "base/clip_i": {"value": 0.5, "unit": "1", "method": "measured: CLIP"},
        "fit/energy": {"value": 3.0, "unit": "J", "method": "estimated: TDP"},
        "baseline/memory/resident": {"value": 3.0, "unit": "B", "method": "measured: RSS"},
        "fit/padding_share": {"value": 0.1, "unit": "1", "method": "counted: masks"},
    }  # fmt: skip
    found = converted(tmp_path, readings=told).readings
    accuracy = found["test/accuracy"]
    assert accuracy.how == How("measured", "test rows; Wilson interval")
    assert accuracy.measure.primary
    assert accuracy.rows == Rows("accuracy", ("label", "prediction"))
    assert not found["base/clip_i"].measure.primary
    assert found["fit/energy"].measure == COST
    assert found["baseline/memory/resident"].measure == FACT
    assert found["fit/padding_share"].measure == FACT


def test_curves_and_matrix_become_exhibits(tmp_path):
    curves = {
        "validation": {"epoch": [0], "step": [5], "val/loss": [1.0]},
        "reliability": [{"low": 0.0, "high": 0.1, "count": 3, "confidence": 0.1, "accuracy": 0.0}],
        "precision_recall": [
            {"label": "yes", "average_precision": 1.0, "recall": [1.0], "precision": [1.0]}
        ],
    }
    matrix = {"labels": ["no", "yes"], "counts": [[1, 0], [0, 2]]}
    record = converted(tmp_path, curves=curves, confusion_matrix=matrix)
    assert record.exhibit("confusion_matrix").counts == ((1, 0), (0, 2))
    validation = record.exhibit("validation").columns
    assert next(iter(validation)) == "step", "the first is the x axis"
    assert record.exhibit("reliability").columns["count"] == [3]
    assert record.exhibit("precision_recall").facts["label"] == "yes"
    assert record_of(plain(record), tmp_path) == record


def test_prompts_become_rows_in_groups_that_methods_share(tmp_path):
    prompts = [
        {"prompt": "photo of sks dog", "kind": "concept", "clip_i": 0.5, "clip_t": 0.2},
        {"prompt": "a red square", "kind": "unrelated", "drift": 0.1},
    ]
    record = converted(
        tmp_path, per_prompt=prompts, data={"identifier": "sks", "instance_prompt": "sks dog"},
        readings={"test/clip_i": {"value": 0.5, "unit": "1", "method": "measured: CLIP"}},
    )  # fmt: skip
    assert record.task == "personalization"
    assert record.test_rows.values == {
        "clip_i": [0.5], "clip_t": [0.2], "group": ["photo of * dog"],
    }  # fmt: skip
    assert record.test_rows.truth == "group"
    assert record.readings["test/clip_i"].rows == Rows("mean", ("clip_i",))


def test_the_seed_divided_the_data(tmp_path):
    assert converted(tmp_path, seed=3, data={"source": "a.csv"}).data.seed == 3


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("readings", [], "readings is no object"),
        ("readings", {"a": 3}, "readings.a is no object"),
        ("readings", {"a": {"value": 1.0, "unit": "s"}}, "readings.a.method is missing"),
        (
            "readings", {"a": {"value": 1.0, "unit": "s", "method": "guessed: x"}},
            "readings.a.method begins with none of counted",
        ),
        (
            "readings", {"a": {"value": True, "unit": "s", "method": "measured"}},
            "readings.a.value is no number",
        ),
        ("phases", [{"wall_time": 1.0}], "phases.0.name is missing"),
        ("model", {"dtype": "load"}, "model.dtype is none of float32"),
        ("model", {"labels": ["a", 3]}, "model.labels.1 is no text"),
        ("best_checkpoint", {"path": ["a"]}, "best_checkpoint.path is no text"),
        ("data", [], "data is no object"),
        ("curves", {"validation": 3}, "exhibits.0.columns is no object"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(field, value, told, tmp_path):
    with pytest.raises(IntegrityError, match=rf"record\.json is damaged: {told}"):
        converted(tmp_path, **{field: value})


@pytest.mark.parametrize(
    ("schema", "data", "seed", "told"),
    [
        (1, {}, 3, "seed 3, data.seed 3"),
        (1, {"seed": 3}, 3, "seed 3, data.seed 3"),
        (2, {"seed": 0}, 0, "seed 3, data.seed 0"),
        (2, {}, None, "seed 3"),
    ],
)
def test_both_seeds_are_known_by_their_names(schema, data, seed, told):
    plain_record = {"schema": schema, "status": "ok", "seed": 3, "readings": {}, "absent": {}}
    model = {"labels": ["a", "b"]}
    record = record_of(plain_record | {"data": data, "model": model}, Path("record.json"))
    assert record.data.seed == seed
    assert record.seeds == told


def test_old_pictures_were_not_divided():
    plain_record = {"schema": 1, "status": "ok", "seed": 3, "readings": {}, "absent": {}}
    data = {"instance_prompt": "a sks dog", "seed": 3}
    assert record_of(plain_record | {"data": data}, Path("record.json")).seeds == "seed 3"
