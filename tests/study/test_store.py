"""A study's directory after damage, and what is chosen in it."""

import json
import os
import platform
import threading
from types import SimpleNamespace

import pytest

from hwlit.errors import IntegrityError
from hwlit.study.findings import chosen
from hwlit.study.inside import refuse_links
from hwlit.study.left_behind import left_behind, running_in
from hwlit.study.plan import Study
from hwlit.study.processes import Job, attend
from hwlit.study.store import Row, Store


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"name": "a", "metric": "b"}'])
def test_a_study_whose_file_is_damaged_is_begun_again_once_it_is_removed(tmp_path, content):
    store, study = Store(tmp_path), Study("grid", ())
    store.begin(study, ["a"])
    store.write(Row("a", {}, "0", "ok", None, 0, 1, None, 1.0))
    (tmp_path / "started").mkdir()
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"study\.json .*remove it"):
        store.facts()
    (tmp_path / "study.json").unlink()
    store.begin(study, ["a"])
    assert store.row("a") is not None


def test_the_least_loss_is_chosen(tmp_path):
    store = Store(tmp_path)
    for name, loss in (("a", 0.5), ("b", 0.1)):
        store.write(Row(name, {"adapter": name}, "0", "ok", None, 0, 1, f"runs/{name}", 1.0))
        best = {"path": "checkpoints/a.ckpt", "monitor": "val/loss", "score": loss}
        record = {
            "schema": 1,
            "status": "ok",
            "readings": {},
            "absent": {},
            "best_checkpoint": best,
        }
        store.run(name).mkdir(parents=True)
        (store.run(name) / "record.json").write_text(json.dumps(record))
    assert chosen(store, ["a", "b"], "val/loss").endswith("val/loss 0.1000: b")
    store.write(Row("c", {"adapter": "c"}, "0", "ok", None, 0, 1, "runs/c", 1.0))
    store.run("c").mkdir()
    (store.run("c") / "record.json").write_text(json.dumps(record))
    assert chosen(store, ["a", "b", "c"], "val/loss").endswith("0.1000: b; equal there: c")


class Process:
    """A process that is not there."""

    def __init__(self, *words, user=0, pid=1):
        self.words, self.user, self.pid = words, user, pid

    def cmdline(self):
        return self.words

    def uids(self):
        return SimpleNamespace(real=os.getuid() + self.user)

    def create_time(self):
        return 100.0


@pytest.fixture
def _all_lead_and_live(monkeypatch):
    monkeypatch.setattr("hwlit.study.left_behind.os.getsid", lambda pid: pid)
    monkeypatch.setattr("hwlit.study.left_behind.alive", lambda process: True)


@pytest.mark.usefixtures("_all_lead_and_live")
def test_a_reader_of_a_run_is_not_taken_for_it(tmp_path, monkeypatch):
    run = str(tmp_path)
    others = [
        Process("python", "-m", "hwlit", "predict", run),
        Process("vim", "fit", "--output", run),
        Process("grep", "hwlit", "fit", run),
        Process("hwlit", "fit", "--output", run, user=1),
    ]
    runs = [Process("hwlit", "fit", word, run) for word in ("--output", "--resume")]
    runs.append(Process("python", "/usr/bin/hwlit", "quantize", "a", f"--output={run}"))
    for found in (*others, *runs):
        monkeypatch.setattr("psutil.process_iter", lambda found=found: [found])
        assert running_in([tmp_path], "hwlit") == ({} if found in others else {tmp_path: found})


@pytest.mark.usefixtures("_all_lead_and_live")
def test_only_a_run_of_this_very_directory_is_one_that_was_left(tmp_path, monkeypatch):
    started, run = tmp_path / "x.json", tmp_path / "runs" / "x"
    facts = {"pid": 1, "created": 100.0, "host": platform.node()}
    ours = Process("hwlit", "fit", "--output", str(run))
    for process, said, found in (
        (ours, facts, True),
        (Process("bash"), facts, False),
        (Process("hwlit", "fit", "--output", str(run.with_name("y"))), facts, False),
        (ours, facts | {"created": 200.0}, False),  # its id was given to another one since
        (ours, facts | {"host": "elsewhere"}, False),
        (ours, facts | {"pid": "x"}, False),
        (ours, [], False),
    ):
        monkeypatch.setattr("psutil.Process", lambda pid, process=process: process)
        started.write_text(json.dumps(said))
        assert (left_behind(started, run, "hwlit") is not None) == found


def test_a_process_is_not_awaited_that_has_the_id_of_one_that_ended(tmp_path):
    log, started = tmp_path / "log", tmp_path / "started"
    job = Job(None, log, started, {}, adopted=(os.getpid(), 100.0), grace=0)
    stop = threading.Event()
    stop.set()
    assert attend(job, stop).cut is None  # else it would have been told to stop: this process


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", ".", "..", "a/b", ".x", "a\nb", 3, None])
def test_a_cell_that_leaves_the_folder_is_refused_by_name(tmp_path, name):
    store = Store(tmp_path)
    facts = {"name": "a", "metric": "m", "mode": "max", "cells": [name]}
    (tmp_path / "study.json").write_text(json.dumps(facts))
    with pytest.raises(IntegrityError, match="no plain name of a file"):
        store.facts()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"run": "../../other"}, "names the run"),
        ({"run": "/etc"}, "names the run"),
        ({"name": "../b"}, "is the row of"),
        ({"values": 3}, "is not a row"),
        ({"remarks": [1]}, "is not a row"),
        ({"wall_time": None}, "is not a row"),
        ({"status": ["ok"]}, "is not a row"),
    ],
)
def test_a_row_of_another_place_or_shape_is_refused(tmp_path, change, told):
    store = Store(tmp_path)
    store.write(Row("a", {}, "0", "ok", None, 0, 1, "runs/a", 1.0))
    path = tmp_path / "rows" / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(IntegrityError, match=told):
        store.row("a")


@pytest.mark.parametrize("name", ["logs", "logs/a.log", "started", "runs/a", ".lock"])
def test_a_link_in_a_study_is_refused_by_name(tmp_path, name):
    other, study = tmp_path / "other", tmp_path / "study"
    other.mkdir()
    link = study / name
    link.parent.mkdir(parents=True)
    link.symlink_to(other)
    with pytest.raises(IntegrityError, match=f"{name} is a link"):
        refuse_links(study)
    link.unlink()
    os.mkfifo(link)
    with pytest.raises(IntegrityError, match=f"{name} is no plain file"):
        refuse_links(study)
