import subprocess
import sys
import time
from types import ModuleType

import pytest

from hwlit.devices import cpu_time
from hwlit.devices.codecarbon_tables import CodeCarbon
from hwlit.devices.cpu_model import CpuModel
from hwlit.devices.cpu_time import CpuTimeCounter, open_estimate, process_tree_seconds
from hwlit.devices.thread_power import ThreadPower

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"
MODEL = CpuModel("Acme 9000")
TABLES = CodeCarbon("0", {}, 4.0, None, ram=10.0)


def counting(watts):
    return CpuTimeCounter(ThreadPower(watts / 2, watts, watts * 3, "x", "y"), MODEL, TABLES)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_counter_grows_with_work_by_the_given_watts():
    counter = counting(4.0)
    before = counter.read()
    burn(0.1)
    assert counter.read() - before >= 4.0 * 0.1


def test_sleep_costs_less_than_work():
    counter = counting(1.0)
    before = counter.read()
    time.sleep(0.3)
    slept = counter.read() - before
    burn(0.3)
    assert counter.read() - before - slept > 2 * slept


def test_child_counts_while_it_lives_and_after_it_ended():
    counter = counting(1.0)
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
    counter = counting(2.0)
    assert [counter.read() for _ in range(3)] == [10.0, 10.0, 12.0]


def test_joules_have_a_range_of_assumptions_that_is_no_confidence_interval():
    reading = counting(2.0).reading(100.0)
    assert (reading.low, reading.value, reading.high) == (50, 100, 300)
    for word in (
        "range of assumptions",
        "no confidence interval",
        "CPU only",
        "processor time does",
    ):
        assert word in reading.how.text
    assert reading.how.tag == "estimated"


def test_known_cpu_takes_its_share_of_the_table_whatever_the_number_of_sockets():
    pytest.importorskip("codecarbon")
    one, two = (
        open_estimate(CpuModel("AMD Ryzen 7 5800X", sockets, threads=16)).counters[0]
        for sockets in (1, 2)
    )
    assert one.how.text.startswith("6.56 W per thread (TDP 105 W in CodeCarbon's table")
    assert one.how == two.how
    assert not one.measured


def test_unknown_cpu_says_that_it_is_not_in_the_table(capfd):
    pytest.importorskip("codecarbon")
    model = CpuModel("Difference Engine No. 2", virtual=True)
    counter = open_estimate(model).counters[0]
    assert counter.how.text.startswith("4 W per thread (CodeCarbon's")
    assert "not in its table: Difference Engine No. 2" in counter.how.text
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
