import json

import pytest

from hwlit.study.cells import Budget
from hwlit.study.outcome import judge, last_words
from hwlit.study.processes import Ending


def verdict(tmp_path, ending, said="", record=None, budget=None):
    log = tmp_path / "log"
    log.write_text("hwlit: of an earlier attempt\n" + said)
    if record is not None:
        (tmp_path / "record.json").write_text(
            json.dumps({"schema": 1, "readings": {}, "absent": {}} | record)
        )
    offset = len("hwlit: of an earlier attempt\n")
    return judge(ending, tmp_path, log, offset, budget or Budget())


@pytest.mark.parametrize(
    ("ending", "said", "status", "reason"),
    [
        (Ending(2), "hwlit: no config\n", "config", "no config"),
        (Ending(3), "hwlit: bad row\n", "data", "bad row"),
        (Ending(4), "hwlit: nan\n", "diverged", "nan"),
        (Ending(5), "hwlit: damaged\n", "failed", "damaged"),
        (Ending(6), "hwlit: out of memory; lower it\n", "oom", "out of memory; lower it"),
        (Ending(6), "hwlit: the disk is full\n", "failed", "the disk is full"),
        (Ending(143), "hwlit: stopped\n", "interrupted", "stopped"),
        (Ending(129), "hwlit: stopped\n", "interrupted", "stopped"),
        (Ending(-1), "", "interrupted", "SIGHUP"),
        (Ending(1), "", "failed", "exited with 1 and said nothing"),
        (Ending(0), "fine\n", "failed", "left no finished record"),
        (Ending(-9), "", "killed", "something else ended it"),
        (Ending(-9, out_of_memory=True), "", "oom", "the kernel ended it"),
        (Ending(-11), "", "failed", "SIGSEGV"),
        (Ending(-9, "time"), "", "timeout", "60 s allowed"),
        (Ending(-9, "memory", memory=2**30), "", "oom", "1.00 GiB of the 1.0 MiB allowed"),
        (Ending(143, "stop"), "", "interrupted", "the same command goes on"),
    ],
)  # fmt: skip
def test_each_end_has_its_status_and_reason(ending, said, status, reason, tmp_path):
    found = verdict(tmp_path, ending, said, budget=Budget(60, 2**20))
    assert found.status == status
    assert reason in found.reason
    assert "earlier attempt" not in found.reason


def test_a_finished_record_counts_whatever_came_after(tmp_path):
    record = {"status": "ok", "readings": {}}
    assert verdict(tmp_path, Ending(-9), record=record).status == "ok"
    assert verdict(tmp_path, Ending(None), record=record).status == "ok"


def test_a_peak_between_two_looks_counts_too(tmp_path):
    record = {
        "status": "ok",
        "readings": {"fit/peak_memory": {"value": 2**31, "unit": "B", "method": "measured"}},
    }
    found = verdict(tmp_path, Ending(0), record=record, budget=Budget(memory=2**30))
    assert found.status == "oom"
    assert "2.00 GiB is more than the 1.00 GiB allowed" in found.reason


def test_an_end_that_nobody_saw_is_no_verdict(tmp_path):
    assert verdict(tmp_path, Ending(None), record={"status": "failed"}) is None


def test_the_last_words_are_one_line_of_ours(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\xff\nhwlit: the reason\nTraceback\n")
    assert last_words(log) == "the reason"
    assert last_words(tmp_path / "none") == ""
