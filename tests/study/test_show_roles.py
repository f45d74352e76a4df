"""What `hwlit show` prints of a record, whatever task and schema it is of."""

import io
import json

import pytest

from hwlit.__main__ import main
from hwlit.console import PlainConsole
from hwlit.records import COST, Measure, Reading, Record, measured, plain, read_record
from hwlit.study.show import show
from tests.study.records import write_run

OLD = {
    "schema": 1, "status": "ok", "name": "mine", "seed": 3,
    "adapter": {"name": "LoRA", "rank": 8},
    "model": {"hub_id": "a/b", "labels": ["no", "yes"]},
    "data": {"source": ["a.csv"], "majority_class_accuracy": 0.5},
    "readings": {
        "test/accuracy": {
            "value": 0.75, "unit": "1", "method": "measured: Wilson", "low": 0.5, "high": 0.9,
        },
        "fit/wall_time": {"value": 50.0, "unit": "s", "method": "measured"},
    },
    "absent": {"fit/energy": "no counter"},
    "per_class": [{"label": "no", "precision": 0.5, "recall": 1.0, "f1": 0.667, "support": 4}],
    "curves": {"validation": {"step": [1, 2], "val/accuracy": [0.5, 0.75]}},
}  # fmt: skip


def shown(record):
    out = io.StringIO()
    show(record, PlainConsole(file=out, width=200))
    return out.getvalue()


@pytest.fixture
def old(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(OLD))
    return tmp_path


def test_the_quality_of_a_task_that_is_not_known_here_is_shown_before_costs():
    share = Measure("quality", "max", (0.0, 1.0))
    readings = {
        "fit/wall_time": Reading(50.0, "s", measured(""), measure=COST),
        "test/bleu": Reading(0.25, "1", measured(""), 0.125, 0.375, measure=share),
        "test/accuracy": Reading(0.5, "1", measured(""), measure=share),
        "rows/tested": Reading(7, "1", measured("")),
    }
    lines = shown(Record(status="ok", readings=readings, absent={})).splitlines()
    names = ("test/", "fit/", "rows/")
    found = [line.split() for line in lines if line.startswith(names)]
    assert [line[0] for line in found] == ["test/accuracy", "test/bleu", "fit/wall_time"]
    assert found[1] == ["test/bleu", "0.25", "0.125", "-", "0.375", "measured"]


def test_a_record_of_schema_1_is_shown_as_ever(old, capsys):
    assert main(["show", str(old)]) == 0
    out = capsys.readouterr().out
    assert "mine  LoRA on a/b, ?, seed 3, data.seed 3, status ok" in out
    (line,) = (line.split() for line in out.splitlines() if line.startswith("test/accuracy"))
    assert line == ["test/accuracy", "0.75", "0.500", "-", "0.900", "measured"]
    assert "always answering the commonest class: accuracy 0.5000" in out
    assert "absent  fit/energy: no counter" in out


def test_json_is_of_the_present_schema_and_reads_back(old, tmp_path, capsys):
    assert main(["show", str(old), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == plain(read_record(old))
    assert found["schema"] == 2
    assert found["task"] == "text_classification"
    assert found["readings"]["test/accuracy"]["how"] == {"tag": "measured", "text": "Wilson"}
    again = tmp_path / "again"
    again.mkdir()
    (again / "record.json").write_text(json.dumps(found))
    assert read_record(again) == read_record(old)


@pytest.mark.parametrize("accuracy", [None, "high"])
def test_classes_without_the_accuracy_that_they_are_held_against_are_damaged(
    accuracy, tmp_path, capsys
):
    data = {} if accuracy is None else {"majority_class_accuracy": accuracy}
    run = write_run(tmp_path / "a", per_class=OLD["per_class"])
    path = run / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": data}))
    assert main(["show", str(run)]) == 5
    assert "data.majority_class_accuracy is" in capsys.readouterr().err
