"""Counters from a tree of files that stands in for the kernel's."""

import os
import subprocess
import sys

import pytest

from hwlit.devices import contention
from hwlit.devices.contention import HostCounters, JobProcesses


class Process:
    def __init__(self, pid, user=0.0):
        self.pid, self.user = pid, user

    def cpu_times(self):
        return type("", (), {"user": self.user, "system": 0.5, "children_user": 0.25})


class Machine:
    """Two processors that we may run on and two that we may not; this process and a worker."""

    def __init__(self, root):
        self.proc, self.cgroups, self.cpus = root / "proc", root / "cgroup", root / "cpu"
        self.processes = [Process(os.getpid(), 1.0), Process(7)]
        self.thread(os.getpid(), 1, 0.1, 0.0)
        self.write(self.proc / "self/cgroup", "0::/a/b\n")
        self.stat([0] * 8, [0] * 8)

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def thread(self, pid, number, ran, waited):
        folder = self.proc / str(pid) / "task" / str(number)
        self.write(folder / "schedstat", f"{int(ran * 1e9)} {int(waited * 1e9)} 3\n")

    def stat(self, *ticks):
        rows = [*ticks, [9999] * 8, [9999] * 8]
        lines = [f"cpu{n} {' '.join(map(str, row))} 0 0" for n, row in enumerate(rows)]
        self.write(self.proc / "stat", "\n".join(["cpu  1 2 3", *lines, "intr 5", ""]))

    def counters(self):
        return HostCounters(lambda: self.processes, self.proc, self.cgroups, self.cpus)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(contention.psutil.Process, "cpu_affinity", lambda self: [0, 1], False)
    return Machine(tmp_path)


def test_threads_of_the_tree_are_followed_from_the_first_to_the_last(machine):
    counters = machine.counters()
    before = counters.read()
    machine.thread(os.getpid(), 1, 1.1, 0.5)
    machine.thread(os.getpid(), 2, 0.25, 0.0)  # begun since
    machine.thread(7, 7, 2.0, 1.0)
    after = counters.read()
    assert after["ran"] - before["ran"] == pytest.approx(3.25)
    assert after["waited"] - before["waited"] == pytest.approx(1.5)


def test_a_thread_that_ends_takes_nothing_back_and_its_number_may_come_again(machine):
    machine.thread(7, 9, 5.0, 4.0)
    counters = machine.counters()
    counters.read()
    (machine.proc / "7/task/9/schedstat").unlink()
    gone = counters.read()
    machine.thread(7, 9, 1.0, 0.0)
    assert counters.read()["ran"] - gone["ran"] == pytest.approx(1.0)


def test_only_our_processors_count_and_steal_is_no_work(machine):
    counters = machine.counters()
    #             user nice system idle iowait irq softirq steal
    machine.stat([100, 10, 20, 300, 40, 5, 5, 60], [0, 0, 0, 500, 0, 0, 0, 0])
    found = counters.read()
    assert (found["busy"], found["idle"], found["steal"]) == (1.4, 8.4, 0.6)
    assert found["own"] == pytest.approx(1 + 2 * 0.75)


def test_processor_time_never_falls(machine):
    counters = machine.counters()
    before = counters.read()["own"]
    machine.processes.pop()
    assert counters.read()["own"] == before


@pytest.mark.parametrize(
    ("folder", "files", "processors"),
    [
        ("a/b", {"cpu.stat": "nr_periods 10\nnr_throttled 4\n", "cpu.max": "50000 100000"}, 0.5),
        ("a", {"cpu.stat": "nr_periods 10\nnr_throttled 4\n", "cpu.max": "max 100000"}, 2),
        # In a container: its own group lies at the root, whatever its path is outside.
        (".", {"cpu.stat": "nr_periods 10\nnr_throttled 4\n", "cpu.max": "900000 100000"}, 2),
    ],
)
def test_a_quota_is_found_in_the_own_group_and_in_those_above(machine, folder, files, processors):
    for name, text in files.items():
        machine.write(machine.cgroups / folder / name, text)
    counters = machine.counters()
    found = counters.read()
    assert [v for k, v in found.items() if k.startswith("throttled/")] == [4]
    assert counters.processors.count == processors
    assert "quota_throttled" not in counters.absent


def test_the_first_version_of_control_groups_is_read_too(machine):
    machine.write(machine.proc / "self/cgroup", "4:cpu,cpuacct:/docker/x\n3:memory:/y\n")
    group = machine.cgroups / "cpu,cpuacct"
    machine.write(group / "cpu.stat", "nr_periods 8\nnr_throttled 2\nthrottled_time 5\n")
    machine.write(group / "cpu.cfs_quota_us", "100000")
    machine.write(group / "cpu.cfs_period_us", "100000")
    counters = machine.counters()
    assert counters.read()["periods/0"] == 8
    assert counters.processors.count == 1


def test_heat_is_read_of_our_processors(machine):
    for number, spent_ms in ((0, 0), (1, 1500), (2, 99)):
        folder = machine.cpus / f"cpu{number}" / "thermal_throttle"
        machine.write(folder / "core_throttle_total_time_ms", f"{spent_ms}\n")
    found = machine.counters().read()
    assert sorted(v for k, v in found.items() if k.startswith("hot/")) == [0.0, 1.5]


def test_what_a_system_does_not_tell_is_absent_with_the_reason(machine, tmp_path):
    (machine.proc / "stat").unlink()
    (machine.proc / f"{os.getpid()}/task/1/schedstat").unlink()
    counters = machine.counters()
    assert counters.read().keys() == {"wall", "own"}
    assert set(counters.absent) == {
        "run_queue_wait", "steal", "quota_throttled", "thermally_throttled",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "garbage\n", "cpu0 1 2\n", "cpu0 a b c d e f g h\n"])
def test_a_damaged_stat_ends_nothing(machine, text):
    counters = machine.counters()
    machine.write(machine.proc / "stat", text)
    assert counters.read()["own"] > 0


@pytest.mark.parametrize("outside", [False, True])
def test_this_process_and_its_children_are_of_the_job(outside):
    job = JobProcesses(outside)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        listed = [process.pid for process in job()]
        assert {os.getpid(), child.pid} <= set(listed)
        assert os.getpid() in job
        assert child.pid in job
        child.communicate(b"\n")
    assert 1 not in JobProcesses()
    assert 2**31 - 1 not in job
    assert -1 not in job
