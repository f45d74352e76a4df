"""Finding runs, and leaving out what is none, by name."""

import json
import os

import pytest

from hwlit.errors import IntegrityError, UsageError
from hwlit.study.collect import collect
from tests.study.records import write_run, write_study


def test_runs_below_a_directory_a_run_itself_and_each_only_once(tmp_path):
    first = write_run(tmp_path / "runs" / "a")
    write_run(tmp_path / "runs" / "deeper" / "b")
    write_run(tmp_path / "runs" / "a" / "checkpoints")  # of a run, and so no run
    found = collect([tmp_path / "runs", first, first / "record.json"])
    assert [run.name for run in found.runs] == ["a", "deeper/b"]


def test_a_study(tmp_path):
    cells = {
        "full-0": ({"adapter": "full", "seed": 0}, "ok"),
        "lora-0": ({"adapter": "lora", "seed": 0}, "oom"),
        "lora-1": ({"adapter": "lora", "seed": 1}, None),
    }
    write_study(tmp_path, cells, metric="test/f1_macro", baseline="full")
    write_run(tmp_path / "runs" / "full-0")
    write_run(tmp_path / "runs" / "lora-0", status="failed")  # the row says more
    found = collect([tmp_path])
    assert [(run.name, run.status, run.reason) for run in found.runs] == [
        ("full-0", "ok", None),
        ("lora-0", "oom", "it was oom"),
    ]
    assert found.runs[0].values == {"adapter": "full", "seed": "0"}
    assert (found.waiting, found.metric, found.baseline) == (1, "test/f1_macro", "full")
    assert found.name == "my study"


def nested(depth):
    return [nested(depth - 1)] if depth else 1


RECORD = {"schema": 2, "status": "ok", "readings": {}, "absent": {}}
READING = {"value": 1.0, "unit": "1", "how": {"tag": "measured", "text": ""}}
OLD_READING = {"value": 1.0, "unit": "1", "method": "measured"}
# Parts of records that are none, and the words that name what is wrong.
PARTS = {
    "readings": ({"readings": []}, "readings is no object"),
    "number": ({"readings": {"a": 3}}, "readings.a is no object"),
    "nan": ({"readings": {"a": {"value": float("nan")}}}, "NaN"),
    "text": ({"readings": {"a": {"low": "0"}}}, "readings.a.low is no number"),
    "large": ({"readings": {"a": {"value": 1e101}}}, "readings.a.value is no number"),
    "turned": ({"readings": {"a": {"low": 2.0, "high": 1.0}}}, "readings.a"),
    "half": ({"readings": {"a": {"low": 0.5}}}, "one end of an interval"),
    "deep": ({"adapter": {"rank": nested(100)}}, "adapter is nested too deeply"),
    "adapter": ({"adapter": "lora"}, "adapter is no object"),
    "phases": ({"phases": [1]}, "phases.0 is no object"),
    "classes": ({"per_class": [{"label": "a"}]}, "per_class.0.f1 is missing"),
    "steps": ({"step_times": ["x"]}, "step_times.0 is no number"),
    "best": ({"best_checkpoint": {"path": 3}}, "best_checkpoint.path is no text"),
    "source": ({"source": {"run": 3}}, "source.run is no text"),
    "quantised": ({"adapter": {"quantisation": {"got": "int8"}}}, "quantisation.asked is missing"),
    "status": ({"status": "fine"}, "status is none of ok"),
    "seed": ({"seed": "x"}, "seed is no whole number"),
    "newer": ({"schema": 3}, "install a newer one"),
}
FOREIGN = {
    "damaged": "{",
    "list": "[1]",
    "foreign": '{"version": 3}',
    "bytes": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
}


def _with(record, reading, part):
    """Return a record with parts of another; readings are whole but for what differs."""
    readings = part.get("readings")
    if isinstance(readings, dict):
        whole = {n: reading | one if isinstance(one, dict) else one for n, one in readings.items()}
        return record | {"readings": whole}
    return record | part


@pytest.mark.parametrize("schema", [1, 2])
@pytest.mark.parametrize("name", PARTS)
def test_a_record_of_which_a_part_is_damaged_is_left_out_and_the_part_named(tmp_path, name, schema):
    part, words = PARTS[name]
    record = _with(RECORD | {"schema": schema}, OLD_READING if schema == 1 else READING, part)
    write_run(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    path = tmp_path / "bad" / "record.json"
    path.write_text(json.dumps(record))
    found = collect([tmp_path])
    assert [run.name for run in found.runs] == ["good"]
    ((place, reason),) = found.left_out
    assert place == path
    assert words in reason


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_record_is_named_and_left_out(tmp_path, name):
    write_run(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    content = FOREIGN[name]
    path = tmp_path / "bad" / "record.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = collect([tmp_path])
    assert [run.name for run in found.runs] == ["good"]
    assert [(place, bool(reason)) for place, reason in found.left_out] == [(path, True)]


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1}', '{"schema": 1, "values": 3}'])
def test_a_row_that_cannot_be_read_is_named(tmp_path, content):
    write_study(tmp_path, {"a": ({"adapter": "full"}, "ok"), "b": ({"adapter": "lora"}, "ok")})
    write_run(tmp_path / "runs" / "a")
    (tmp_path / "rows" / "b.json").write_text(content)
    found = collect([tmp_path])
    assert [run.name for run in found.runs] == ["a"]
    assert found.left_out[0][0] == tmp_path / "rows" / "b.json"


def test_an_ok_row_whose_record_is_gone_is_named(tmp_path):
    write_study(tmp_path, {"a": ({"adapter": "full"}, "ok"), "b": ({"adapter": "lora"}, "ok")})
    write_run(tmp_path / "runs" / "b")
    assert "record.json" in collect([tmp_path]).left_out[0][1]


def test_nothing_to_read(tmp_path):
    with pytest.raises(UsageError, match=r"no record\.json below"):
        collect([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        collect([tmp_path / "none"])


def test_nothing_that_can_be_read(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"a/record\.json is not .*, and so for 1 more; bring"):
        collect([tmp_path])


def test_a_study_of_which_nothing_can_be_read(tmp_path):
    write_study(tmp_path, {"a": ({"adapter": "full"}, "ok"), "b": ({"adapter": "lora"}, None)})
    with pytest.raises(IntegrityError, match="nothing below"):
        collect([tmp_path])


def test_a_directory_that_links_to_itself_ends(tmp_path):
    write_run(tmp_path / "a")
    os.symlink(tmp_path, tmp_path / "loop")
    assert len(collect([tmp_path]).runs) == 1


@pytest.mark.parametrize(
    ("known", "number"),
    [("0.125", "NaN"), ("0.125", "Infinity"), ("0.375", "1" + 400 * "0"), ("0.375", "1e308")],
)
def test_what_no_record_of_ours_has_for_a_number_is_named(tmp_path, known, number):
    path = write_run(tmp_path / "a", readings={"x": 0.375}, step_time=0.125) / "record.json"
    path.write_text(path.read_text().replace(known, number))
    write_run(tmp_path / "b")
    found = collect([tmp_path])
    assert [run.name for run in found.runs] == ["b"]
    assert [file for file, _ in found.left_out] == [path]


@pytest.mark.parametrize("remarks", ["abc", None, {"a": 1}])
def test_remarks_that_are_no_list_are_not_ours(tmp_path, remarks):
    write_study(tmp_path, {"a": ({"adapter": "full"}, "ok"), "b": ({"adapter": "lora"}, "ok")})
    for name in "ab":
        write_run(tmp_path / "runs" / name)
    path = tmp_path / "rows/a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"remarks": remarks}))
    found = collect([tmp_path])
    assert [run.name for run in found.runs] == ["b"]
    assert found.left_out == [(path, "not written by hwlit: remarks is no list")]


def test_a_cell_with_an_impossible_name_is_left_out(tmp_path):
    write_study(tmp_path, {"a": ({"adapter": "full"}, "ok"), "b" * 5000: ({}, None)})
    write_run(tmp_path / "runs/a")
    found = collect([tmp_path])
    assert (len(found.runs), len(found.left_out)) == (1, 1)


def test_two_studies_are_named_both(tmp_path):
    for name in ("one", "two"):
        write_study(tmp_path / name, {"a": ({"adapter": "full"}, "ok")}, name=name)
        write_run(tmp_path / name / "runs/a")
    assert collect([tmp_path]).name == "one, two"


def test_studies_beside_runs_are_named_by_their_paths(tmp_path):
    write_study(tmp_path / "one", {"a": ({"adapter": "full"}, "ok")}, name="one")
    write_run(tmp_path / "one/runs/a")
    write_run(tmp_path / "runs/b")
    assert collect([tmp_path / "one", tmp_path / "runs"]).name.startswith(str(tmp_path / "one"))


def test_a_path_in_another_encoding_does_not_damage_a_record(tmp_path):
    run = write_run(tmp_path / "a", data={"source": ["/caf\udce9"]})
    assert "\\udce9" in (run / "record.json").read_text()
    (found,) = collect([tmp_path]).runs
    assert found.record.data.source == ["/caf?"]
