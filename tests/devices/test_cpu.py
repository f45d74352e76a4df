import json
import sys

import psutil
import pytest

from hwlit.devices.cpu import Cpu
from hwlit.devices.energy import EnergyWindow


def test_describe_is_plain_json_with_the_machine_in_it():
    described = Cpu().describe()
    assert json.loads(json.dumps(described)) == described
    assert described["kind"] == "cpu"
    assert described["name"]
    assert described["threads"] == psutil.cpu_count()
    assert described["memory"] == psutil.virtual_memory().total


def test_main_memory_is_the_first_peak_and_there_is_current_memory():
    cpu = Cpu()
    cpu.reset_peak_memory()
    assert next(iter(cpu.peak_memory())) == cpu.main_memory == "resident"
    assert cpu.current_memory()["resident"].value > 0


def test_marks_measure_and_synchronize_returns():
    cpu = Cpu()
    start = cpu.mark()
    cpu.synchronize()
    assert cpu.elapsed(start, cpu.mark()) >= 0
    assert cpu.clock.how.tag == "measured"


def test_rapl_is_preferred_to_the_estimate(zone, powercap):
    zone("intel-rapl:0", "package-0", 0)
    cpu = Cpu(powercap=powercap)
    (counter,) = cpu.energy_counters()
    assert counter.measured
    assert set(cpu.absent()) == {"energy/dram"}


def test_estimate_names_why_nothing_is_measured(powercap):
    pytest.importorskip("codecarbon")
    cpu = Cpu(powercap=powercap)
    (counter,) = cpu.energy_counters()
    assert not counter.measured
    assert set(cpu.absent()) == {"energy/dram", "energy/cpu_measured"}
    assert cpu.energy_counters() == (counter,), "the same counters at each call"


def test_estimate_of_the_cpu_goes_with_a_readable_dram(zone, powercap):
    pytest.importorskip("codecarbon")
    zone("intel-rapl:0", "package-0", None)
    zone("intel-rapl:0/intel-rapl:0:0", "dram", 0)
    cpu = Cpu(powercap=powercap)
    assert [(c.component, c.measured) for c in cpu.energy_counters()] == [
        ("cpu", False),
        ("dram", True),
    ]
    assert set(cpu.absent()) == {"energy/cpu_measured"}


def test_without_rapl_and_codecarbon_energy_is_absent_not_zero(zone, powercap, monkeypatch):
    zone("intel-rapl:0", "package-0", None)
    zone("intel-rapl:0/intel-rapl:0:0", "dram", 0)
    monkeypatch.setitem(sys.modules, "codecarbon.core.cpu", None)
    cpu = Cpu(powercap=powercap)
    assert cpu.energy_counters() == ()
    assert "install hwlit[energy]" in cpu.absent()["energy"]
    assert EnergyWindow(cpu.energy_counters()).close().readings == {}
