import subprocess
import sys
import time
from types import ModuleType

import psutil
import pytest

from hwlit.devices import cpu_time
from hwlit.devices.cpu_model import CpuModel
from hwlit.devices.cpu_time import CpuTimeCounter, open_estimate, process_tree_seconds

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_counter_grows_with_work_by_the_given_watts():
    counter = CpuTimeCounter(4.0, "estimated: test")
    before = counter.read()
    burn(0.1)
    assert counter.read() - before >= 4.0 * 0.1


def test_sleep_costs_less_than_work():
    counter = CpuTimeCounter(1.0, "estimated: test")
    before = counter.read()
    time.sleep(0.3)
    slept = counter.read() - before
    burn(0.3)
    assert counter.read() - before - slept > 2 * slept


def test_child_counts_while_it_lives_and_after_it_ended():
    counter = CpuTimeCounter(1.0, "estimated: test")
    before = counter.read()
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        alive = counter.read()
        assert alive - before >= 0.28
        process.communicate("\n")
    ended = counter.read()
    assert ended >= alive
    assert process_tree_seconds() >= alive, "finished children must stay in the sum"


def test_counter_never_decreases(monkeypatch):
    seconds = iter([5.0, 3.0, 6.0])
    monkeypatch.setattr(cpu_time, "process_tree_seconds", lambda: next(seconds))
    counter = CpuTimeCounter(2.0, "estimated: test")
    assert [counter.read() for _ in range(3)] == [10.0, 10.0, 12.0]


def test_known_cpu_takes_its_power_from_the_table_per_socket():
    pytest.importorskip("codecarbon")
    one, two = (
        open_estimate(CpuModel("AMD Ryzen 7 5800X", sockets=sockets)).counters[0]
        for sockets in (1, 2)
    )
    assert "TDP 105 W (codecarbon's table, AMD Ryzen 7 5800X)" in one.how.text
    assert "TDP 210 W" in two.how.text
    assert "2 sockets" in two.how.text
    assert not one.measured
    assert one.how.tag == "estimated"


def test_unknown_cpu_says_that_it_is_not_in_the_table(capfd):
    pytest.importorskip("codecarbon")
    model = CpuModel("Difference Engine No. 2", virtual=True)
    counter = open_estimate(model).counters[0]
    cores = psutil.cpu_count()
    assert f"TDP {4 * cores} W (codecarbon, 4 W per thread" in counter.how.text
    assert "not in its table" in counter.how.text
    assert "virtual machine" in counter.how.text
    assert capfd.readouterr().err == "", "codecarbon's warnings are not for our users"
    before = counter.read()
    burn(0.1)
    assert counter.read() - before >= 4 * 0.1


@pytest.mark.parametrize("module", [None, ModuleType("codecarbon.core.cpu")])
def test_without_codecarbon_or_its_table_there_is_a_reason(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "codecarbon.core.cpu", module)
    sources = open_estimate(CpuModel("Acme 9000"))
    assert not sources.counters
    assert "install hwlit[energy]" in sources.absent["energy/cpu"]
