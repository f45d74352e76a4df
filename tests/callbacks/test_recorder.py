"""A record is never lost: what does not fit is left out, with the reason."""

import pytest

from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.recorder import RunRecorder
from hwlit.records import Exhibit, Reading, Unfit, measured, read_record


class Sees(Monitor):
    """Gives what it was made with."""

    def __init__(self, readings=None, absent=None, **details):
        super().__init__()
        self._readings, self._absent, self._details = readings or {}, absent or {}, details

    def readings(self):
        return self._readings

    def absent(self):
        return self._absent

    def details(self):
        return self._details


class Fails(Monitor):
    def readings(self):
        return {"fit/wall_time": Reading(float("nan"), "s", measured("a clock"))}


@pytest.fixture
def recorder(tmp_path):
    return RunRecorder(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"seed": "three"}, "seed is no whole number"),
        ({"model": {"dtype": "int3"}}, r"model\.dtype is none of"),
        ({"device": {"memory": float("nan")}}, "device is no plain data"),
        ({"data": {"source": object()}}, "data is no plain data"),
        ({"sead": 3}, "sead is not known"),
    ],
)
def test_a_wrong_fact_is_met_before_training(facts, told, recorder):
    with pytest.raises(Unfit, match=told):
        recorder.describe(**facts)


def test_what_does_not_fit_at_the_end_costs_itself_alone(recorder, tmp_path):
    recorder.describe(seed=3)
    good = Exhibit("validation", "curve", "validation", columns={"step": [1.0]})
    bad = Exhibit("reliability", "curve", "reliability", columns={"low": [float("nan")]})
    recorder.watch(
        Fails(),
        Sees({"fit/steps": Reading(3, "1", measured("batches"))}, {"fit/energy": "no counter"}),
        Sees(exhibits=[good, bad], per_class=3),
    )
    recorder.add({}, comparability={"steps": float("inf")}, check=[1], remarks=["one"])
    recorder.add({}, remarks=["two"])
    record = recorder.write("ok")
    assert read_record(tmp_path) == record
    assert record.seed == 3
    assert record.readings["fit/steps"].value == 3
    assert record.exhibits == [good]
    assert record.remarks == ["one", "two"]
    reasons = {name: reason.partition(":")[0] for name, reason in record.absent.items()}
    assert reasons == {
        "fails": "ValueError", "fit/energy": "no counter", "exhibits": "exhibits is no plain data",
        "per_class": "per_class is no list", "comparability": "comparability is no plain data",
        "check": "check is no object",
    }  # fmt: skip


def test_a_later_fact_takes_the_place_of_the_earlier_if_it_fits(recorder):
    recorder.describe(adapter={"name": "Lora", "rank": 8})
    recorder.add({}, adapter={"name": "Lora", "rank": 4})
    assert recorder.record("ok").adapter.rest == {"rank": 4}
    recorder.add({}, adapter={"name": 3})
    found = recorder.record("ok")
    assert found.adapter.rest == {"rank": 4}
    assert "adapter.name is no text" in found.absent["adapter"]


def test_a_failed_run_has_a_record_that_reads_back(recorder, tmp_path):
    recorder.describe(seed=1)
    record = recorder.write("failed", "the loss is nan at step 2")
    assert read_record(tmp_path) == record
    assert (record.status, record.error) == ("failed", "the loss is nan at step 2")


def test_a_record_is_made_more_than_once_and_the_same(recorder):
    recorder.watch(Sees(exhibits=[Exhibit("a", "texts", "rows", "a.csv")], remarks=["one"]))
    assert recorder.record("ok") == recorder.record("ok")
