import subprocess
import sys

import pytest
import torch
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch import Trainer

from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.ranks import Place, join, lost_others, node_devices, outlive_others
from hwlit.errors import UsageError


class Shares(Monitor):
    """Shares what it is told and keeps what it gets."""

    def __init__(self, value):
        super().__init__()
        self.value, self.got = value, None

    def share(self):
        return self.value

    def join(self, others):
        self.got = list(others)


def trainer(**settings):
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **settings)


def test_one_process():
    assert Place.of(trainer(devices=1)) == Place()


def test_processes_that_lightning_starts(monkeypatch):
    place = Place.of(trainer(devices=2, strategy="ddp"))
    assert (place.rank, place.world_size, place.nodes, place.siblings) == (0, 2, 1, False)
    assert place.facts() == {"world_size": 2, "nodes": 1, "strategy": "DDPStrategy"}
    monkeypatch.setenv("LOCAL_RANK", "1")
    place = Place.of(trainer(devices=2, strategy="ddp"))
    assert (place.rank, place.local_rank, place.siblings) == (1, 1, False)


def test_processes_that_torchrun_starts(monkeypatch):
    names = {"RANK": 3, "LOCAL_RANK": 1, "WORLD_SIZE": 4, "GROUP_RANK": 1, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**names, "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, str(value))
    place = Place.of(trainer(devices=2, num_nodes=2, strategy="ddp"))
    assert (place.rank, place.world_size, place.node, place.nodes) == (3, 4, 1, 2)
    assert (place.local_rank, place.siblings) == (1, True)


def test_processes_that_begin_anew_in_every_stage_are_refused():
    with pytest.raises(UsageError, match="use --trainer"):
        Place.of(trainer(devices=2, strategy="ddp_spawn"))


def test_the_devices_of_a_node():
    assert node_devices(trainer(devices=1)) == [torch.device("cpu")]
    assert len(node_devices(trainer(devices=2, strategy="ddp"))) == 2


def test_the_first_gets_what_the_others_share_and_the_others_get_nothing(monkeypatch):
    def gather(shares, everyone, dst):
        assert dst == 0
        if everyone is not None:
            everyone[:] = [shares, ["a1", "b1"], ["a2", "b2"]]

    monkeypatch.setattr(torch.distributed, "gather_object", gather)
    first = [Shares("a0"), Shares("b0")]
    join(first, Place(0, 3))
    assert [monitor.got for monitor in first] == [["a1", "a2"], ["b1", "b2"]]
    second = [Shares("a1"), Shares("b1")]
    join(second, Place(1, 3))
    assert [monitor.got for monitor in second] == [None, None]


def test_one_process_gathers_nothing():
    alone = Shares("a0")
    join([alone], Place())  # without a process group this would raise
    assert alone.got is None


@pytest.mark.parametrize("outlives", [False, True])
def test_the_first_process_outlives_those_that_fail_before_it(outlives):
    first = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    other = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(143)"])
    try:
        other.wait()
        observer = _ChildProcessObserver(first.pid, [other], sleep_period=1)
        observer.start()
        if outlives:
            outlive_others()
        observer.join(60)
        assert not observer.is_alive()
        if outlives:
            assert first.poll() is None
        else:
            assert first.wait(60) == -9
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:7"), True),
        (
            torch.distributed.DistNetworkError(
                "Failed to recv, got 0 bytes. Connection was likely closed. "
                "Did the remote server shutdown or crash?"
            ),
            True,
        ),
        (torch.distributed.DistBackendError("NCCL error: unhandled cuda error"), False),
        (BrokenPipeError("Broken pipe"), False),
    ],
)
def test_a_lost_process_is_told_from_other_failures(error, lost):
    assert lost_others(error) == lost
