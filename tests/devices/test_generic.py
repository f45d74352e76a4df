import json

import pytest
import torch

from hwlit.devices.cpu import Cpu
from hwlit.devices.generic import Generic

XPU = torch.device("xpu", 0)


class FakeAccelerator:
    """An allocator with statistics, as on Intel XPU."""

    def __init__(self, monkeypatch) -> None:
        self.statistics = {
            "allocated_bytes.all.peak": 30,
            "reserved_bytes.all.peak": 40,
            "allocated_bytes.all.current": 10,
            "reserved_bytes.all.current": 20,
        }
        self.calls: list[tuple[str, torch.device]] = []
        monkeypatch.setattr(torch.accelerator, "memory_stats", lambda device: self.statistics)
        monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", self.reset)
        monkeypatch.setattr(
            torch.accelerator, "synchronize", lambda d: self.calls.append(("synchronize", d))
        )

    def reset(self, device) -> None:
        self.calls.append(("reset", device))
        self.statistics["allocated_bytes.all.peak"] = 10


@pytest.fixture
def accelerator(monkeypatch) -> FakeAccelerator:
    return FakeAccelerator(monkeypatch)


def test_peaks_come_from_torch_and_fall_at_a_reset(accelerator):
    device = Generic(XPU, Cpu())
    peaks = device.peak_memory()
    assert list(peaks) == ["allocated", "reserved", "resident"]
    assert (peaks["allocated"].value, peaks["reserved"].value) == (30, 40)
    assert "peak since process start" in peaks["allocated"].how.text
    device.reset_peak_memory()
    assert ("reset", XPU) in accelerator.calls
    assert device.peak_memory()["allocated"].value == 10
    assert "peak since the last reset" in device.peak_memory()["allocated"].how.text
    assert device.current_memory()["reserved"].value == 20
    assert set(device.absent()) == {"energy", "energy/xpu"}


def test_allocator_without_statistics_is_absent_and_not_zero(accelerator):
    accelerator.statistics = {}
    device = Generic(XPU, Cpu())
    assert list(device.peak_memory()) == ["resident"]
    assert "KeyError" in device.absent()["peak_memory"]


def test_mps_gives_current_memory_without_a_peak(monkeypatch):
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 5)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 7)
    device = Generic(torch.device("mps"), Cpu())
    current = device.current_memory()
    assert (current["allocated"].value, current["reserved"].value) == (5, 7)
    assert "allocated" not in device.peak_memory()
    assert "no peak of mps memory" in device.absent()["peak_memory"]


def test_what_raises_is_absent_with_the_reason():
    device = Generic(torch.device("meta"), Cpu())
    device.reset_peak_memory()
    assert list(device.current_memory()) == ["resident"]
    assert {"energy", "peak_memory"} < set(device.absent())
    assert device.energy_counters() == ()


def test_synchronize_waits_for_this_device(accelerator):
    Generic(XPU, Cpu()).synchronize()
    assert accelerator.calls == [("synchronize", XPU)]


def test_clock_takes_events_where_they_can_be_timed(monkeypatch):
    class Event:
        made = 0

        def __init__(self, device, enable_timing) -> None:
            assert enable_timing

        def record(self) -> None:
            Event.made += 1
            self.at = Event.made

        def synchronize(self) -> None:
            self.passed = True

        def elapsed_time(self, end) -> float:
            assert end.passed
            return 1000.0 * (end.at - self.at)

    monkeypatch.setattr(torch, "Event", Event)
    device = Generic(XPU, Cpu())
    assert device.elapsed(device.mark(), device.mark()) == 1.0
    assert str(device.clock.how) == "measured: torch.Event on xpu"


def test_clock_says_what_the_hosts_time_is_worth_where_there_are_no_events():
    device = Generic(torch.device("meta"), Cpu())
    assert "between two synchronisations" in device.clock.how.text
    assert device.elapsed(device.mark(), device.mark()) >= 0


def test_describe_is_plain_json_and_names_the_machine():
    described = Generic(torch.device("mps"), Cpu()).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["kind"] == "mps"
    assert described["host"]["name"] in described["name"]
