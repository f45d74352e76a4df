import json
import subprocess
import sys

import pytest

from hwlit.errors import IntegrityError
from hwlit.records import Reading, RunRecord, need, read_record, using


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reading_is_a_number(value):
    with pytest.raises(ValueError, match="finite"):
        Reading(value, "s", "measured")


def test_a_record_reads_back_as_written(tmp_path):
    record = RunRecord(
        status="ok",
        description={"seed": 3},
        readings={"test/accuracy": Reading(0.5, "1", "measured", 0.4, 0.6, 10)},
        absent={"fit/energy": "no counter"},
        details={"phases": [{"name": "train", "wall_time": 1.0}]},
    )
    record.write(tmp_path / "record.json")
    found = read_record(tmp_path)
    assert found == record.to_dict()
    assert found["readings"]["test/accuracy"] == {
        "value": 0.5, "unit": "1", "method": "measured", "low": 0.4, "high": 0.6, "n": 10,
    }  # fmt: skip


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"schema": 99}'])
def test_what_is_no_record_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"record\.json"):
        read_record(tmp_path)


def test_nan_in_the_details_is_refused(tmp_path):
    record = RunRecord(status="ok", details={"curves": [float("nan")]})
    with pytest.raises(ValueError, match="JSON"):
        record.write(tmp_path / "record.json")
    assert not list(tmp_path.iterdir())


def test_records_and_show_need_no_torch():
    code = (
        "import sys, json, hwlit.records, hwlit.study.show, hwlit.shipped, hwlit.__main__;"
        "print(json.dumps([m for m in ('torch', 'lightning', 'transformers') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_run_without_a_record_can_go_on(tmp_path):
    (tmp_path / "config.yaml").write_text("seed_everything: 0\n")
    with pytest.raises(IntegrityError, match=r"no record.*hwlit fit --resume .*test_a_run_without"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        (
            "readings",
            {"a": {"value": True, "unit": "s", "method": "m"}},
            "readings.a.value is no nu",
        ),
        ("readings", {"a": {"value": 1.0, "unit": "s"}}, "readings.a.method is missing"),
        ("phases", [{"wall_time": 1.0}], "phases.0.name is missing"),
        ("model", {"dtype": "load"}, "model.dtype is no precision"),
        ("model", {"labels": ["a", 3]}, "model.labels.1 is no text"),
        ("best_checkpoint", {"path": ["a"]}, "best_checkpoint.path is no text"),
    ],
)
def test_a_field_of_another_type_is_named(field, value, told, tmp_path):
    record = {"schema": 1, "status": "ok", "readings": {}, "absent": {}} | {field: value}
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(IntegrityError, match=rf"record\.json is damaged: {told}"):
        read_record(tmp_path)


def test_a_record_may_lack_what_its_use_needs(tmp_path):
    record = {"schema": 1, "status": "ok", "readings": {}, "absent": {}, "model": {"hub_id": "a"}}
    (tmp_path / "record.json").write_text(json.dumps(record | {"best_checkpoint": None}))
    found = read_record(tmp_path)
    need(tmp_path, found, "model.hub_id")
    with pytest.raises(IntegrityError, match=r"model\.sha256 is missing"):
        need(tmp_path, found, "model.sha256")
    with pytest.raises(IntegrityError, match="data is missing"):
        need(tmp_path, found, "data.max_length")
    told = "damaged, or of another version .KeyError"
    with pytest.raises(IntegrityError, match=told), using(tmp_path):
        raise KeyError("share")
