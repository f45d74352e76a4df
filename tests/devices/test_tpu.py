import json
import sys

import pytest
import torch

from hwlit.devices.cpu import Cpu
from hwlit.devices.presence import find_tpu, find_xpu
from hwlit.devices.tpu import Tpu, tpu_chips
from hwlit.errors import ResourceError


@pytest.fixture
def tpu(xla) -> Tpu:
    return Tpu(torch.device("xla", 0), Cpu())


def test_synchronize_runs_what_is_recorded_before_it_waits(tpu, xla):
    tpu.synchronize()
    assert xla.calls == ["sync", "wait"]


def test_memory_is_the_runtimes_and_says_since_when(tpu):
    peaks = tpu.peak_memory()
    assert next(iter(peaks)) == tpu.main_memory
    assert peaks["allocated"].value == 30
    assert "since process start" in peaks["allocated"].how.text
    assert tpu.current_memory()["allocated"].value == 10
    assert "resident" in peaks
    assert "peak_memory" not in tpu.absent()


@pytest.mark.parametrize("answer", [RuntimeError("UNIMPLEMENTED: GetAllocatorStats"), {}])
def test_memory_that_xla_does_not_tell_is_absent_with_a_reason(tpu, xla, answer):
    xla.memory = answer
    assert "allocated" not in tpu.peak_memory()
    assert "allocated" not in tpu.current_memory()
    assert "memory" not in tpu.describe()
    assert "XLA does not tell peak_bytes_used" in tpu.absent()["peak_memory"]


def test_energy_is_absent_with_a_reason(tpu):
    assert tpu.energy_counters() == ()
    assert tpu.absent()["energy"]


def test_describe_is_plain_json(tpu):
    described = tpu.describe()
    assert json.loads(json.dumps(described)) == described
    assert (described["kind"], described["name"], described["count"]) == ("tpu", "TPU", 8)
    assert described["memory"] == 100


def test_marks_do_not_wait_and_say_what_they_are_worth(tpu, xla):
    assert tpu.elapsed(tpu.mark(), tpu.mark()) >= 0
    assert not xla.calls
    assert "between two synchronisations" in tpu.clock.how.text


def test_missing_torch_xla_is_one_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_xla", None)
    with pytest.raises(ResourceError, match="torch_xla"):
        Tpu(torch.device("xla", 0), Cpu())


def test_a_tpu_is_here_only_where_there_is_a_chip(xla):
    assert find_tpu().reason == "torch_xla is installed, but this machine has no TPU chip"
    xla.chips = 4
    assert find_tpu().names == ("4 chips",)


def test_without_torch_xla_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_xla._internal", None)
    assert tpu_chips() == 0


def test_an_intel_gpu_cannot_be_used(monkeypatch):
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    assert find_xpu().names == ()
    assert "Lightning" in find_xpu().reason
