"""A study's directory after damage, and what is chosen in it."""

import json

import pytest

from hwlit.errors import IntegrityError
from hwlit.study.findings import chosen
from hwlit.study.plan import Study
from hwlit.study.processes import running_in
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
        record = {"best_checkpoint": {"monitor": "val/loss", "score": loss}}
        store.run(name).mkdir(parents=True)
        (store.run(name) / "record.json").write_text(json.dumps(record))
    assert chosen(store, ["a", "b"], "val/loss").endswith("val/loss 0.1000: b")
    store.write(Row("c", {"adapter": "c"}, "0", "ok", None, 0, 1, "runs/b", 1.0))
    store.run("c").mkdir()
    (store.run("c") / "record.json").write_text(json.dumps(record))
    assert chosen(store, ["a", "b", "c"], "val/loss").endswith("0.1000: b; equal there: c")


def test_a_reader_of_a_run_is_not_taken_for_it(tmp_path, monkeypatch):
    class Process:
        pid = 1

        def __init__(self, *words):
            self.words = words

        def cmdline(self):
            return self.words

    monkeypatch.setattr("hwlit.study.processes.os.getsid", lambda pid: pid)
    monkeypatch.setattr("hwlit.study.processes.alive", lambda process: True)
    run = str(tmp_path)
    reader = Process("python", "-m", "hwlit", "predict", run)
    runs = [Process("hwlit", "fit", word, run) for word in ("--output", "--resume")]
    for found in (reader, *runs):
        monkeypatch.setattr("psutil.process_iter", lambda found=found: [found])
        assert running_in([tmp_path]) == ({} if found is reader else {tmp_path: found})
