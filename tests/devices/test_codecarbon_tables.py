from types import SimpleNamespace

import psutil
import pytest

from hwlit.devices.codecarbon_tables import CodeCarbon, open_codecarbon, plain_name
from hwlit.devices.cpu_model import CpuModel

MODEL = CpuModel("Acme 9000")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("AMD EPYC 7763 64-Core Processor", "amd epyc 7763"),
        ("AMD Ryzen 5 1600 Six-Core Processor", "amd ryzen 5 1600"),
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "intel xeon platinum 8259cl"),
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "intel xeon e5-2680 v4"),
        ("12th Gen Intel(R) Core(TM) i7-12700H", "intel core i7-12700h"),
        ("AMD Ryzen 7 PRO 4750U with Radeon Graphics", "amd ryzen 7 pro 4750u"),
        ("Apple M2 Ultra", "apple m2 ultra"),
    ],
)
def test_names_are_those_of_the_table(name, plain):
    assert plain_name(name) == plain
    pytest.importorskip("codecarbon")
    tables = open_codecarbon(MODEL)
    assert isinstance(tables, CodeCarbon)
    assert tables.tdp[plain] > 0


def test_what_is_no_power_is_not_in_the_table():
    pytest.importorskip("codecarbon")
    tables = open_codecarbon(MODEL)
    assert isinstance(tables, CodeCarbon)
    assert len(tables.tdp) > 4000
    assert min(tables.tdp.values()) > 0


@pytest.mark.parametrize("load", [0.0, 0.3, 1.0])
def test_codecarbon_is_accounted_as_its_own_code_does(monkeypatch, load):
    hardware = pytest.importorskip("codecarbon.external.hardware")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 2)
    found = CodeCarbon("3", {}, 4.0, 140.0, ram=20.0).accounted(MODEL, load * 2 * 10, 10.0)
    meter = SimpleNamespace(percent=lambda: 100 * load)
    cpu = SimpleNamespace(_tracking_mode="machine", _tdp=140.0, _cpu_load_meter=meter)
    watts = hardware.CPU._get_power_from_cpu_load(cpu).W
    assert found.value == pytest.approx((watts + 20) * 10)
    assert "CodeCarbon 3" in found.how.text
    assert found.how.tag == "estimated"


def test_an_unknown_processor_is_accounted_by_its_threads_on_each_socket(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    tables = CodeCarbon("3", {}, 4.0, None, ram=0.0)
    busy = tables.accounted(CpuModel("x", sockets=2), 8e9, 1.0)  # more than there is: clock ticks
    assert busy.value == 4 * 8 * 2


def test_memory_is_accounted_by_the_installed_package():
    pytest.importorskip("codecarbon")
    tables = open_codecarbon(MODEL)
    assert isinstance(tables, CodeCarbon)
    assert tables.ram >= 3
    assert tables.version.startswith("3.")
