import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest
import torch

from hwlit.devices import host_memory
from hwlit.devices.host_memory import HostMemory

MB = 10**6
CHILD = "import sys; data = bytearray(b'x') * int(sys.argv[1]); print('ready', flush=True); input()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A live child process that holds 100 MB."""
    command = [sys.executable, "-c", CHILD, str(100 * MB)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        if process.poll() is None:
            process.communicate("\n")


def can_reset() -> bool:
    memory = HostMemory()
    memory.reset()
    return "VmHWM" in memory.peak().how.text


exact_peak = pytest.mark.skipif(not can_reset(), reason="no writable /proc/self/clear_refs")


@exact_peak
def test_peak_belongs_to_the_window_of_the_allocation():
    memory = HostMemory()
    memory.reset()
    before = memory.peak().value
    tensor = torch.ones(50_000_000)  # 200 MB, touched
    grown = memory.peak().value - before
    assert 195 * MB < grown < 230 * MB
    del tensor
    assert memory.peak().value - before == pytest.approx(grown, abs=5 * MB), "freed, still the peak"
    memory.reset()
    assert memory.peak().value - before < 50 * MB


@exact_peak
def test_peak_counts_live_children_and_says_so(child):
    memory = HostMemory()
    memory.reset()
    with_child = memory.peak()
    assert "plus the VmHWM of 1 live child processes" in with_child.how.text
    child.communicate("\n")
    alone = memory.peak()
    assert "child" not in alone.how.text
    assert with_child.value - alone.value > 100 * MB


@exact_peak
def test_reset_reaches_children():
    script = "data = bytearray(b'x') * 100_000_000; del data; print('ready', flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        memory = HostMemory()
        before = sum(memory._child_peaks())
        memory.reset()
        assert before - sum(memory._child_peaks()) > 90 * MB
        process.communicate("\n")


def test_current_counts_live_children(child):
    with_child = HostMemory().current()
    assert "1 live child processes" in with_child.how.text
    child.communicate("\n")
    alone = HostMemory().current()
    assert str(alone.how) == "measured: RSS of the process"
    assert with_child.value - alone.value > 100 * MB


def test_refused_reset_falls_back_and_says_since_when(tmp_path):
    memory = HostMemory(proc=tmp_path)
    memory.reset()
    peak = memory.peak()
    assert "ru_maxrss, peak since process start" in peak.how.text
    assert "clear_refs" in peak.how.text
    assert peak.value > 0.9 * memory.current().value


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_maxrss_is_kib_on_linux_and_bytes_on_macos(tmp_path, monkeypatch, system, unit):
    monkeypatch.setattr(sys, "platform", system)
    usage = SimpleNamespace(ru_maxrss=1000)
    monkeypatch.setattr(host_memory.resource, "getrusage", lambda who: usage)
    assert HostMemory(proc=tmp_path).peak().value == 1000 * unit


def test_windows_gives_the_peak_working_set(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    info = SimpleNamespace(peak_wset=123)
    process = SimpleNamespace(memory_info=lambda: info, children=lambda recursive: [])
    monkeypatch.setattr(psutil, "Process", lambda: process)
    peak = HostMemory(proc=tmp_path).peak()
    assert peak.value == 123
    assert "peak working set, peak since process start" in peak.how.text
