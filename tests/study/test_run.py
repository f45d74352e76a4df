import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hwlit.errors import IntegrityError, UsageError
from hwlit.study import command
from hwlit.study.store import Store
from tools.faults import stub

STUB = (sys.executable, str(Path(stub.__file__)))


def write_study(folder, **keys):
    path = folder / "grid.yaml"
    one_seed = {"seed": 0, **keys.pop("set", {})}  # where the axes name none
    path.write_text(yaml.safe_dump({"base": "quickstart", "set": one_seed, **keys}))
    return path


def run(path, output, *words):
    return command.main(["run", str(path), "--output", str(output), *words], STUB)


def rows(output):
    return {path.stem: json.loads(path.read_text()) for path in (output / "rows").glob("*.json")}


def calls(output, name):
    return (output / "calls" / name).read_text().splitlines()


@pytest.fixture(autouse=True)
def _no_threads_of_their_own(monkeypatch):
    monkeypatch.delenv("STUB_STEPS", raising=False)


def test_a_poisoned_grid_costs_each_run_its_own_row(tmp_path):
    expected = {
        "nan": "diverged", "oom": "oom", "disk": "failed", "config": "config", "data": "data",
        "crash": "failed", "early": "failed", "segfault": "failed", "killed": "killed",
        "hang": "timeout", "greedy": "oom", "ok": "ok", "fine": "ok",
    }  # fmt: skip
    study = write_study(
        tmp_path, axes={"data": list(expected)}, budget={"time": "3s", "memory": "200MiB"}
    )
    assert run(study, tmp_path / "out", "--grace", "0.2", "--workers", "3") == 1
    found = rows(tmp_path / "out")
    assert {name: row["status"] for name, row in found.items()} == expected
    assert found["nan"]["reason"].startswith("the loss is nan at step 1")
    assert found["nan"]["exit_code"] == 4
    assert "left no finished record" in found["early"]["reason"]
    assert "SIGSEGV" in found["segfault"]["reason"]
    assert "3 s allowed" in found["hang"]["reason"]
    assert "200.0 MiB allowed" in found["greedy"]["reason"]
    assert "RuntimeError: a bug" in found["crash"]["reason"]
    assert found["ok"]["reason"] is None
    assert found["ok"]["values"] == {"data": "ok"}
    assert all("3 runs at a time" in row["remarks"][0] for row in found.values())


def test_finished_runs_are_not_repeated_and_killed_ones_are_tried_again(tmp_path):
    study = write_study(tmp_path, axes={"data": ["ok", "nan", "killed"]})
    out = tmp_path / "out"
    assert run(study, out) == 1
    before = rows(out)
    assert run(study, out) == 1
    assert rows(out)["ok"] == before["ok"]
    assert [len(calls(out, name)) for name in ("ok", "nan", "killed")] == [1, 1, 2]
    assert rows(out)["killed"]["attempts"] == 2


def test_a_failed_run_begins_anew_by_retry(tmp_path):
    study = write_study(tmp_path, axes={"data": ["nan", "ok"]})
    out = tmp_path / "out"
    run(study, out)
    run(study, out, "--retry")
    assert len(calls(out, "nan")) == 2
    assert (out / "replaced" / "nan-1" / "rows.json").is_file()
    assert len(calls(out, "ok")) == 1


def test_a_cell_that_asks_for_something_else_is_run_again_and_nothing_is_deleted(tmp_path):
    out = tmp_path / "out"
    run(write_study(tmp_path, axes={"seed": [0, 1]}), out)
    before = rows(out)
    run(write_study(tmp_path, axes={"seed": {"seed0": 0, "seed1": 2}}), out)
    after = rows(out)
    assert after["seed0"] == before["seed0"]
    assert after["seed1"]["config_hash"] != before["seed1"]["config_hash"]
    assert json.loads((out / "replaced/seed1-1/rows.json").read_text()) == before["seed1"]


def quantised(folder, *sources):
    methods = {name: {"data": name, "quantize": "int8"} for name in sources}
    methods = {f"{name}-int8": point for name, point in methods.items()}
    return write_study(
        folder, axes={"method": {**methods, **{name: {"data": name} for name in sources}}}
    )


def test_what_a_cell_quantises_is_trained_before_and_its_end_is_shared(tmp_path):
    out = tmp_path / "out"
    assert run(quantised(tmp_path, "ok", "nan", "killed"), out, "--workers", "2") == 1
    found = rows(out)
    assert {name: row["status"] for name, row in found.items()} == {
        "ok": "ok", "nan": "diverged", "killed": "killed",
        "ok-int8": "ok", "nan-int8": "diverged", "killed-int8": "killed",
    }  # fmt: skip
    assert (
        "what it quantises, the run nan, did not end well (diverged)" in found["nan-int8"]["reason"]
    )
    options = json.loads((out / "runs/ok-int8/config.yaml").read_text())
    assert options == {"--source": "ok", "--format": "int8"}
    run(quantised(tmp_path, "ok", "nan", "killed"), out)
    assert len(calls(out, "ok-int8")) == 1
    assert rows(out)["ok-int8"] == found["ok-int8"]


def test_what_was_quantised_follows_the_run_that_there_is(tmp_path, monkeypatch):
    out = tmp_path / "out"
    study = quantised(tmp_path, "nan")
    run(study, out)
    (out / "rows" / "nan.json").unlink()  # as if by --retry --only: the cause is gone
    monkeypatch.setenv("STUB_BEHAVIOUR", "ok")
    assert run(study, out) == 0
    assert rows(out)["nan-int8"]["status"] == "ok"
    assert run(study, out) == 0
    assert len(calls(out, "nan-int8")) == 1
    (out / "rows" / "nan.json").unlink()
    shutil.rmtree(out / "runs" / "nan")
    assert run(study, out) == 0  # trained anew, and so quantised anew
    assert len(calls(out, "nan-int8")) == 2


def test_what_is_quantised_comes_with_only(tmp_path):
    out = tmp_path / "out"
    assert run(quantised(tmp_path, "ok", "nan"), out, "--only", "method=ok-int8") == 0
    assert rows(out).keys() == {"ok", "ok-int8"}


def test_quantising_that_was_killed_begins_anew(tmp_path):
    out = tmp_path / "out"
    run(quantised(tmp_path, "ok"), out)
    (out / "rows" / "ok-int8.json").unlink()
    (out / "runs" / "ok-int8" / "record.json").unlink()
    assert run(quantised(tmp_path, "ok"), out) == 0
    assert [line.split()[1] for line in calls(out, "ok-int8")] == ["new", "new"]
    assert (out / "replaced" / "ok-int8-1" / "runs" / "config.yaml").is_file()


def test_a_search_finds_the_largest_that_fits(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUB_LARGEST", "11")
    study = write_study(
        tmp_path, axes={"adapter": ["full"]}, search={"key": "data.batch_size", "high": 64}
    )
    out = tmp_path / "out"
    assert run(study, out) == 0
    found = {row["values"]["batch_size"]: row["status"] for row in rows(out).values()}
    assert found == {
        **dict.fromkeys(("1", "2", "4", "8", "10", "11"), "ok"),
        **dict.fromkeys(("12", "16"), "oom"),
    }
    assert "full: largest batch_size that fits is 11" in capsys.readouterr().out
    assert len(Store(out).facts()["cells"]) == 8
    assert run(study, out) == 0
    assert len(calls(out, "full-batch_size11")) == 1


def test_searches_of_one_study_can_be_run_one_by_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUB_LARGEST", "1")
    study = write_study(
        tmp_path, axes={"adapter": ["full", "lora"]}, search={"key": "data.batch_size", "high": 4}
    )
    out = tmp_path / "out"
    assert run(study, out, "--only", "adapter=full") == 0
    monkeypatch.setenv("STUB_LARGEST", "2")
    assert run(study, out, "--only", "adapter=lora") == 0
    told = capsys.readouterr().out
    assert "full: largest batch_size that fits is 1" in told
    assert "lora: largest batch_size that fits is 2" in told
    assert len(Store(out).facts()["cells"]) == 2 + 4


def test_a_search_ends_where_a_try_fails_for_another_reason(tmp_path, capsys):
    study = write_study(tmp_path, axes={"data": ["nan"]}, search={"key": "data.batch_size"})
    assert run(study, tmp_path / "out") == 1
    assert "not known, for batch_size 1 ended as diverged" in capsys.readouterr().out


def test_what_the_validation_rows_choose_is_told(tmp_path, capsys):
    study = write_study(tmp_path, axes={"adapter": ["lora", "full"]}, choose="val/accuracy")
    assert run(study, tmp_path / "out") == 0
    tested = {
        name: json.loads((tmp_path / "out/runs" / name / "record.json").read_text())["readings"]
        for name in ("lora", "full")
    }
    # The stub's validation scores are the other way round than its test scores.
    worst = min(tested, key=lambda name: tested[name]["test/accuracy"]["value"])
    told = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("chosen"))
    assert told.endswith(worst)


def test_a_second_study_over_one_directory_gets_one_sentence(tmp_path):
    out = tmp_path / "out"
    study = write_study(tmp_path, axes={"seed": [0]})
    run(study, out)
    held = command._held(Store(out), "grid")
    with held, pytest.raises(UsageError, match="is in use by another run"):
        run(study, out)


def test_a_directory_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"holds other files \(thesis.tex\)"):
        run(write_study(tmp_path, axes={"seed": [0]}), tmp_path)


def start_study(study, out, environment, *more):
    words = ["run", str(study), "--output", str(out), *more]
    code = f"import sys; from hwlit.study import command; sys.exit(command.main({words}, {STUB}))"
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_for(path):
    for _ in range(1000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")


def test_a_stopped_study_stops_its_run_cleanly_and_goes_on(tmp_path, monkeypatch):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"seed": [0, 1]})
    process = start_study(study, out, {"STUB_STEPS": "100000"})
    wait_for(out / "runs/seed0/step")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    row = rows(out)["seed0"]
    assert (row["status"], row["exit_code"]) == ("interrupted", 143)
    reached = int((out / "runs/seed0/step").read_text())
    monkeypatch.setenv("STUB_STEPS", str(reached + 2))
    assert run(study, out) == 0
    assert [call.split()[1] for call in calls(out, "seed0")] == ["new", "resume"]
    assert rows(out)["seed0"]["attempts"] == 2


def test_what_was_disturbed_before_it_was_stopped_says_so(tmp_path, monkeypatch):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"seed": [0, 1]})
    process = start_study(study, out, {"STUB_STEPS": "100000"}, "--workers", "2")
    for seed in (0, 1):
        wait_for(out / f"runs/seed{seed}/step")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    most = max(int((out / f"runs/seed{seed}/step").read_text()) for seed in (0, 1))
    monkeypatch.setenv("STUB_STEPS", str(most + 2))
    assert run(study, out) == 0
    assert [len(row["remarks"]) for row in rows(out).values()] == [1, 1]


def test_one_cell_is_disturbed_by_none(tmp_path):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"seed": [0, 1]})
    assert run(study, out, "--workers", "2", "--only", "seed=0") == 0
    assert rows(out)["seed0"]["remarks"] == []


def test_a_run_that_a_killed_study_left_is_awaited(tmp_path, monkeypatch, capsys):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"seed": [0, 1]})
    process = start_study(study, out, {"STUB_STEPS": "150"})
    wait_for(out / "runs/seed0/step")
    process.kill()
    process.communicate()
    assert run(study, out) == 0
    assert "seed0  goes on: an earlier study had started it" in capsys.readouterr().out
    assert len(calls(out, "seed0")) == 1
    assert rows(out)["seed0"]["status"] == "ok"
    assert rows(out)["seed0"]["attempts"] == 1


def test_a_run_left_behind_that_is_no_longer_asked_for_is_stopped(tmp_path):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"seed": [0, 1]})
    process = start_study(study, out, {"STUB_STEPS": "100000"})
    wait_for(out / "runs/seed0/step")
    process.kill()
    process.communicate()
    assert run(study, out, "--only", "seed=1") == 0
    pid = int(calls(out, "seed0")[0].split()[0])
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_status_shows_rows_and_what_is_waiting(tmp_path, capsys):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"data": ["ok", "nan"]})
    run(study, out, "--only", "data=nan")
    capsys.readouterr()
    assert command.main(["status", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "waiting" in next(line for line in lines if line.startswith("ok"))
    assert "diverged" in next(line for line in lines if line.startswith("nan"))
    assert lines[-1] == "1 of 2 done, 1 not ok"


def test_a_dry_run_runs_nothing(tmp_path, capsys):
    study = write_study(
        tmp_path, axes={"adapter": ["lora"], "rank": {"r4": {"model.adapter.rank": 4}}}
    )
    assert run(study, tmp_path / "out", "--dry-run") == 0
    assert not (tmp_path / "out").exists()
    told = capsys.readouterr().out
    assert told.index("lora.yaml") < told.index("--model.adapter.rank 4")
    assert "1 runs" in told


def test_only_what_is_there_can_be_run(tmp_path):
    study = write_study(tmp_path, axes={"seed": [0, 1]})
    with pytest.raises(UsageError, match="there are seed=seed0, seed=seed1"):
        run(study, tmp_path / "out", "--only", "seed=7")


def test_a_damaged_row_is_told_before_anything_runs(tmp_path):
    out, study = tmp_path / "out", write_study(tmp_path, axes={"seed": [0, 1]})
    run(study, out, "--only", "seed=1")
    (out / "rows/seed1.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"seed1\.json is not readable"):
        run(study, out)
    assert not (out / "calls/seed0").exists()
