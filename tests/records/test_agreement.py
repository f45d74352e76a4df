"""A record whose parts contradict one another is refused by the name of the part."""

from pathlib import Path

import pytest

from hwlit.errors import IntegrityError
from hwlit.records import record_of

HOW = {"tag": "measured", "text": "here"}
MEASURE = {"role": "quality", "direction": "max", "bounds": [0.0, 1.0], "margin": 0.01}
READING = {"value": 0.5, "unit": "1", "how": HOW, "measure": MEASURE}
MATRIX = {"name": "m", "kind": "matrix", "title": "m", "labels": ["a", "b"]}
STATE = "readings.test/accuracy"


def measure(**changed):
    return {"measure": MEASURE | changed}


@pytest.mark.parametrize(
    ("reading", "more", "told"),
    [
        ({"value": 1.7}, {}, f"{STATE}.value is outside its bounds"),
        ({"variance": -1.0}, {}, "variance -1 is negative"),
        (measure(bounds=[1.0, 0.0]), {}, f"{STATE}.measure.bounds are crossed"),
        (measure(margin=-1.0), {}, f"{STATE}.measure.margin is negative"),
        (measure(direction=None), {}, f"{STATE}.measure.direction is missing"),
        ({"rows": {"combination": "accuracy", "columns": ["label"]}}, {}, "takes 2 columns, got 1"),
        ({"rows": {"combination": "mean", "columns": []}}, {}, "mean takes 1 columns, got 0"),
        ({}, {"test_rows": {"columns": {}, "n": -5}}, "test_rows.n is negative"),
        (
            {},
            {"test_rows": {"columns": {}, "n": 1, "values": {"a": [1], "b": []}}},
            "test_rows.values has columns of different lengths",
        ),
        (
            {},
            {"exhibits": [MATRIX | {"counts": [[1, 2], [3]]}]},
            "exhibits.0.counts is not as wide",
        ),
        ({}, {"phases": [{"name": "a", "wall_time": -1.0}]}, "phases.0.wall_time is negative"),
        ({}, {"step_times": [1.0, -5.0]}, "step_times.1 is negative"),
        (
            {},
            {"disturbed": [{"phase": "fit", "cause": "a", "value": -3.0, "limit": 0.05}]},
            "disturbed.0.value is negative",
        ),
    ],
)
def test_a_contradiction_is_named(reading, more, told):
    plain = {"schema": 2, "status": "ok", "absent": {}, **more}
    plain["readings"] = {"test/accuracy": READING | reading}
    with pytest.raises(IntegrityError) as caught:
        record_of(plain, Path("record.json"))
    assert told in str(caught.value)


def test_a_cosine_may_be_a_little_above_1_in_fp32():
    plain = {"schema": 2, "status": "ok", "absent": {}}
    plain["readings"] = {"test/clip_i": READING | {"value": 1.0000001}}
    assert record_of(plain, Path("record.json")).value("test/clip_i") > 1
