import csv
import io
import json
import subprocess
import sys

import pytest

from hwlit.errors import IntegrityError
from hwlit.records import (
    COST,
    Exhibit,
    Measure,
    Phase,
    Reading,
    Record,
    Rows,
    RowTable,
    TestRows,
    estimated,
    measured,
    need,
    plain,
    read_record,
    record_of,
    using,
    write_record,
)
from hwlit.records.table import general

NEW = {"schema": 2, "status": "ok", "readings": {}, "absent": {}}
HOW = {"tag": "measured", "text": "here"}


def whole():
    """A record with something in every kind of field."""
    return Record(
        status="ok",
        task="text_classification",
        seed=3,
        readings={
            "test/accuracy": Reading(
                0.5, "1", measured("test rows"), 0.4, 0.6, 10, "Wilson interval",
                Measure("quality", "max", (0.0, 1.0), 0.01, primary=True),
                Rows("accuracy", ("label", "prediction")), 0.025,
            ),
            "fit/energy": Reading(3, "J", estimated("TDP"), measure=COST),
        },
        absent={"idle/power": "no counter"},
        phases=[Phase("train", 1.0, 1.0, {"resident": 5}, {"cpu": 3.0})],
        test_rows=TestRows({"label": "class"}, 10, "test_rows.csv", "label"),
        exhibits=[
            Exhibit("confusion_matrix", "matrix", "matrix", labels=("a",), counts=((10,),)),
            Exhibit("validation", "curve", "validation", columns={"step": [1], "val/loss": [0.5]}),
        ],
    )  # fmt: skip


@pytest.mark.parametrize("field", ["value", "low", "high", "variance"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_reading_is_a_number(field, number):
    given = {"value": 1.0} | {field: number}
    with pytest.raises(ValueError, match="finite"):
        Reading(unit="s", how=measured("a clock"), **given)


def test_an_interval_has_its_low_end_below_its_high_one():
    with pytest.raises(ValueError, match="low 2 is above high 1"):
        Reading(1.0, "s", measured("a clock"), 2.0, 1.0)


def test_a_record_reads_back_as_written(tmp_path):
    write_record(whole(), tmp_path / "record.json")
    assert read_record(tmp_path) == whole()
    text = json.loads((tmp_path / "record.json").read_text())
    assert text == plain(whole())
    assert text["readings"]["fit/energy"]["how"] == {"tag": "estimated", "text": "TDP"}
    assert "low" not in text["readings"]["fit/energy"], "what has its default is left out"


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"schema": 99}', '{"schema": true}'])
def test_what_is_no_record_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"record\.json"):
        read_record(tmp_path)


def test_a_later_schema_asks_for_a_newer_version(tmp_path):
    with pytest.raises(IntegrityError, match=r"schema 3, and this version.*install a newer one"):
        record_of(NEW | {"schema": 3}, tmp_path / "record.json")


def test_nan_is_not_written(tmp_path):
    record = Record(status="ok", readings={}, absent={}, comparability={"steps": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        write_record(record, tmp_path / "record.json")
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
        ("readings", {"a": {"value": 1.0, "unit": "s"}}, "readings.a.how is missing"),
        ("readings", {"a": {"value": "1", "unit": "s", "how": HOW}}, "readings.a.value is no num"),
        (
            "readings", {"a": {"value": 1.0, "unit": "s", "how": HOW | {"tag": "guessed"}}},
            "readings.a.how.tag is none of counted",
        ),
        (
            "readings", {"a": {"value": 1.0, "unit": "s", "how": HOW, "low": 2, "high": 1}},
            "readings.a is wrong: low 2 is above high 1",
        ),
        ("exhibits", [{"name": "a", "kind": "film", "title": "b"}], "exhibits.0.kind is none of"),
        ("test_rows", {"columns": {"a": "text"}, "n": 1}, "test_rows.columns.a is none of binary"),
        ("surprise", 3, "surprise is not known"),
        ("model", {"dtype": "load"}, "model.dtype is none of"),
        ("status", "fine", "status is none of ok"),
        ("data", {"max_length": 0}, "data is wrong: max_length must be from 1"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(field, value, told, tmp_path):
    with pytest.raises(IntegrityError, match=rf"record\.json is damaged: {told}"):
        record_of(NEW | {field: value}, tmp_path / "record.json")


def test_values_that_are_alike_are_told_from_those_that_are_not(tmp_path):
    """Equal parts are decoded once: 1, 1.0 and true must not be taken for one another."""
    reading = {"value": 1.0, "unit": "s", "how": HOW}
    good, bad = {"margin": 1}, {"margin": True}
    readings = {"a": reading | {"measure": good}, "b": reading | {"measure": bad}}
    record_of(NEW | {"readings": {"a": readings["a"]}}, tmp_path / "record.json")
    with pytest.raises(IntegrityError, match=r"readings\.b\.measure\.margin is no number"):
        record_of(NEW | {"readings": readings}, tmp_path / "record.json")


@pytest.mark.parametrize("field", ["how", "value", "measure"])
def test_what_is_nested_too_deep_is_refused(field, tmp_path):
    deep = json.loads("[" * 900 + "]" * 900)
    reading = {"value": 1.0, "unit": "s", "how": HOW} | {field: deep}
    with pytest.raises(IntegrityError, match=r"record\.json is damaged"):
        record_of(NEW | {"readings": {"a": reading}}, tmp_path / "record.json")


def test_a_record_may_lack_what_its_use_needs(tmp_path):
    found = record_of(NEW | {"model": {"hub_id": "a"}}, tmp_path / "record.json")
    need(tmp_path, found, "model.hub_id")
    with pytest.raises(IntegrityError, match=r"model\.sha256 is missing"):
        need(tmp_path, found, "model.sha256")
    with pytest.raises(IntegrityError, match=r"data\.max_length is missing"):
        need(tmp_path, found, "data.max_length")
    told = "damaged, or of another version .KeyError"
    with pytest.raises(IntegrityError, match=told), using(tmp_path):
        raise KeyError("share")


def test_the_rows_are_whole_whatever_a_name_holds():
    kinds = {"label": "class", "loss": "real"}
    names = ['a, "b"\nc', "d"]
    table = RowTable([4, 7], {"label": names, "loss": [1 / 3, None]}, kinds, ["x", "y"], "label")
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [row["label"] for row in rows] == names
    assert float(rows[0]["loss"]) == 1 / 3, "in full precision"
    assert rows[1] == {"row_id": "7", "group": "y", "label": "d", "loss": ""}
    assert table.describe() == TestRows(kinds, 2, "test_rows.csv", "label")


@pytest.mark.parametrize(
    ("identifier", "told"),
    [
        ("sks", "photo of * dog"), ("SKS", "photo of * dog"), ("", "photo of sks dog"),
        ("sk", "photo of sks dog"), ("sks dog", "photo of * *"), ("(", "photo of sks dog"),
    ],
)  # fmt: skip
def test_prompts_of_all_identifiers_are_one_group(identifier, told):
    assert general("photo of sks dog", identifier) == told
