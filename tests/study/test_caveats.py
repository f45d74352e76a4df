"""What is to be kept in mind of a row is told wherever rows are compared."""

import json

import pytest

from hwlit.study.advise import advice
from hwlit.study.collect import collect
from hwlit.study.comparing import compared
from hwlit.study.formats import as_csv, as_json, markdown, tables
from hwlit.study.limits import limit
from hwlit.study.plain_words import sentences
from tests.study.records import write_run, write_study

ASKED = {"asked": "auto", "got": "bf16", "why": "passed over: nf4 (no bitsandbytes)"}
FELL_BACK = "its base is in bf16, where auto was asked for: passed over: nf4 (no bitsandbytes)"
DISTURBED = "2 runs at a time: their times disturb one another"


def study(folder):
    write_study(
        folder,
        {name: ({"adapter": name}, "ok") for name in ("lora", "qlora")},
        remarks=[DISTURBED],
    )
    write_run(folder / "runs/lora", config="l", right=[True, False])
    write_run(
        folder / "runs/qlora", "bf16+Lora", config="q", right=[True, True],
        settings={"quantisation": ASKED},
    )  # fmt: skip
    return compared(collect([folder]), None, None)


def test_what_fell_back_and_what_was_disturbed_is_told(tmp_path):
    found = study(tmp_path)
    assert [row.caveats for row in found.rows] == [[DISTURBED], [FELL_BACK, DISTURBED]]
    told = sentences(found)
    assert f"Keep in mind of every method: {DISTURBED}." in told
    assert f"Keep in mind of qlora: {FELL_BACK}." in told
    for write in (tables, markdown, as_csv, as_json):
        assert FELL_BACK.split(":")[0] in write(found)
    advised = advice(found, [limit("--max-time", "1h")])
    assert f"keep in mind of qlora: {FELL_BACK}" in advised


@pytest.mark.parametrize("asked", ["nf4", "auto"])
def test_a_base_as_asked_for_and_an_undisturbed_run_need_no_word(tmp_path, asked):
    held = {"asked": asked, "got": "nf4", "why": ""}
    write_run(tmp_path / "qlora", settings={"quantisation": held}, right=[True])
    found = compared(collect([tmp_path]), None, None)
    assert found.rows[0].caveats == []
    assert json.loads(as_json(found))["rows"][0]["caveats"] == []
    assert not [text for text in sentences(found) if "in mind" in text]
