"""Two processes learn what one does from batches of twice the size, and die together."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from itertools import chain, zip_longest
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hwlit.__main__ import main
from hwlit.callbacks.joining import Joining
from hwlit.errors import Interrupted
from hwlit.records import read_record
from hwlit.runs.text import TextRun
from hwlit.signals import Signals
from tests import rank
from tests.conftest import speed_up, tiny_arguments

ACCUMULATED = ["--trainer.accumulate_grad_batches", "3"]


def fit(model, data, output, batch_size):
    """The arguments of a fit whose last batch has 11 rows of 16."""
    rows = ["--data.train_size", "107", "--data.batch_size", str(batch_size)]
    return [*tiny_arguments({"bert": model}, data, output), *rows]


def start(jobs):
    """Run the jobs in two processes; return their exit codes and what the first told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.rank", str(jobs)],
            env={**os.environ, **common, "RANK": str(number), "LOCAL_RANK": str(number)},
            cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True,
        )
        for number in (0, 1)
    ]  # fmt: skip
    try:
        told = [process.communicate(timeout=600)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], told


@pytest.fixture(scope="module")
def steady_model(tiny_models, tmp_path_factory):
    """A tiny BERT without dropout, whose masks differ by process."""
    folder = tmp_path_factory.mktemp("steady")
    for file in Path(tiny_models["bert"]).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def together(steady_model, tiny_csv, tmp_path_factory):
    """The folder of two runs by two processes, `plain` and `accumulated`, and one that dies."""
    folder = tmp_path_factory.mktemp("together")
    common = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    jobs = []
    for name, extra in (("plain", []), ("accumulated", ACCUMULATED), ("dead", [])):
        arguments = fit(steady_model, tiny_csv, folder / name, 8)
        job = {"arguments": [*arguments, *common, *extra], "rows": str(folder / f"{name}.rows")}
        jobs.append({**job, "die": name == "dead"})
    (folder / "jobs.json").write_text(json.dumps(jobs))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HWLIT_CACHE", str(folder / "cache"))
        codes, told = start(folder / "jobs.json")
    assert codes == [1, 9], "\n".join(told)
    return folder


class LostRun(TextRun):
    """A run of which another process has ended."""

    def __init__(self, first):
        self._trainer = SimpleNamespace(is_global_zero=first)
        self._phases = SimpleNamespace(finish=lambda: None)
        self._steps = SimpleNamespace(began=False)
        self._tested = False
        self._signals = Signals(quiet=not first)
        self._joining = Joining(None)

    def _prepare(self):
        raise RuntimeError("Connection closed by peer")


def test_a_process_that_lost_another_leaves_the_word_to_it():
    with pytest.raises(Interrupted) as stopped:
        LostRun(first=False)()
    assert stopped.value.exit_code == 143
    with pytest.raises(RuntimeError, match="closed by peer"):
        LostRun(first=True)()


@pytest.mark.parametrize("quiet", [False, True])
def test_only_the_first_process_says_that_a_step_is_finished(quiet, capsys):
    with Signals(quiet) as signals:
        signals.deferred = True
        signal.raise_signal(signal.SIGTERM)
        assert signals.received
    assert ("SIGTERM: finishing the step" in capsys.readouterr().err) != quiet


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def learned(run):
    path = run / json.loads((run / "record.json").read_text())["best_checkpoint"]["path"]
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "accumulated"])
def test_two_processes_learn_what_one_does(
    name, together, steady_model, tiny_csv, tmp_path, monkeypatch
):
    speed_up(monkeypatch)
    extra = ACCUMULATED if name == "accumulated" else []
    with rank.noting(tmp_path / "rows"):
        assert main([*fit(steady_model, tiny_csv, tmp_path / "run", 16), *extra]) == 0

    halves = [rows(together / f"{name}.rows.{number}") for number in (0, 1)]
    assert len(halves[0]) == len(halves[1])
    joined = [
        [row for row in chain(*zip_longest(*pair)) if row is not None]
        for pair in zip(*halves, strict=True)
    ]
    assert joined == rows(tmp_path / "rows"), "the same batches in the same order"
    assert {len(first) - len(second) for first, second in zip(*halves, strict=True)} == {0, 1}

    folders = (tmp_path / "run", together / name)
    ids = [re.findall(r"^\d+", (f / "test_rows.csv").read_text(), re.MULTILINE) for f in folders]
    assert ids[0] == ids[1], "the first process writes the rows of all"
    assert len(ids[0]) > 2
    one, two = (json.loads((folder / "record.json").read_text()) for folder in folders)
    for reading in ("test/loss", "test/accuracy", "test/f1_macro", "test/average_precision"):
        assert two["readings"][reading]["value"] == pytest.approx(
            one["readings"][reading]["value"], rel=1e-4
        )
        assert two["readings"][reading]["n"] == one["readings"][reading]["n"]
    records = [read_record(folder) for folder in folders]
    validation = [record.exhibit("validation").columns["val/loss"] for record in records]
    assert validation[1] == pytest.approx(validation[0], rel=1e-4)
    assert records[1].exhibit("learning_rate") == records[0].exhibit("learning_rate")
    ours, theirs = learned(together / name), learned(tmp_path / "run")
    for tensor, values in ours.items():
        torch.testing.assert_close(values, theirs[tensor], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_processes_of_torchrun_are_measured_once_each(together):
    record = json.loads((together / "plain" / "record.json").read_text())
    assert record["parallel"] == {"world_size": 2, "nodes": 1, "strategy": "DDPStrategy"}
    readings = record["readings"]
    ranks = [readings[f"fit/peak_memory/rank_{number}"]["value"] for number in (0, 1)]
    assert readings["fit/peak_memory"]["value"] == sum(ranks)
    assert [row["rank"] for row in record["ranks"]] == [0, 1]
    if "fit/energy/cpu" in readings:
        joules = [row["energy"].get("cpu", 0.0) for row in record["ranks"]]
        assert readings["fit/energy/cpu"]["value"] == pytest.approx(sum(joules))
        estimated = readings["fit/energy/cpu"]["how"]["tag"] == "estimated"
        assert (joules[1] > 0) == estimated, "a counter of the machine is read once per node"


@pytest.mark.slow
def test_a_process_that_dies_leaves_a_record_and_nobody_waiting(together):
    record = json.loads((together / "dead" / "record.json").read_text())
    assert record["status"] == "failed"
    assert "ranks" in record["absent"]
    assert "test/accuracy" not in record["readings"], "half the rows are no result"
