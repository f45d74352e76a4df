"""Runs that are stopped by signals and SIGKILL end as if nobody had stopped them."""

import itertools
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from hwlit.records import read_record
from tests.conftest import speed_up
from tools.faults import kill, matrix
from tools.faults import study as study_faults
from tools.faults.workload import write_model, write_tweets

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and fork")
KILLS = 12
CELLS = random.Random(0).sample(matrix.cells(), 12)  # of 53; the tool runs all


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_model(folder / "model")
    write_tweets(folder / "tweets.csv", matrix.ROWS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_stopped_training_ends_bit_equal(cell, inputs, tmp_path):
    assert matrix.run_cell(cell, inputs, tmp_path) == []


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """A run that nobody stopped, and the seconds that it took."""
    output = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        speed_up(patch)
        began = time.monotonic()
        assert (
            kill.wait(kill.start(kill.arguments(inputs, output), output.with_suffix(".log")), 600)
            == 0
        )
    return output, time.monotonic() - began


@pytest.fixture
def begun(inputs, tmp_path, monkeypatch):
    """A run in a process of its own that is training, and its directory."""
    speed_up(monkeypatch)
    output = tmp_path / "run"
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup a child would inherit that
    pid = kill.start(kill.arguments(inputs, output), tmp_path / "log")
    signal.signal(signal.SIGHUP, ignored)
    while kill.stage(output) != "training":
        assert kill.wait(pid, 0.01) is None, (tmp_path / "log").read_text()
    return pid, output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_the_run_goes_on(number, code, begun, whole, tmp_path):
    pid, output = begun
    os.kill(pid, number)
    assert kill.wait(pid, 60) == code
    assert f"go on with: hwlit fit --resume {output}" in (tmp_path / "log").read_text()
    assert read_record(output).status == "interrupted"
    assert kill.wait(kill.start(["fit", "--resume", str(output)], tmp_path / "log"), 300) == 0
    assert read_record(output).status == "ok"
    assert kill.outcome(output) == kill.outcome(whole[0])


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once_and_harms_nothing(begun, tmp_path):
    pid, output = begun
    os.kill(pid, signal.SIGINT)
    time.sleep(0.001)
    os.kill(pid, signal.SIGINT)
    assert kill.wait(pid, 250) == 130
    assert kill.wait(kill.start(["fit", "--resume", str(output)], tmp_path / "log"), 300) == 0


@pytest.mark.slow
def test_kills_at_random_instants_change_nothing(inputs, whole, tmp_path, monkeypatch):
    speed_up(monkeypatch)
    rng, hits, wanted = random.Random(1), Counter(), kill.outcome(whole[0])
    for number in itertools.count():
        output = tmp_path / str(number)
        words = kill.arguments(inputs, output)
        assert kill.run_until_done(words, output, rng, whole[1], hits) is None
        assert kill.outcome(output) == wanted
        if hits.total() >= KILLS:
            break


@pytest.mark.slow
def test_a_study_that_is_killed_ends_with_the_table_of_one_that_nobody_killed(tmp_path, capsys):
    assert study_faults.campaign(6, 3, tmp_path) == 0, capsys.readouterr().out
