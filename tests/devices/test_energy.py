import time

import pytest

from hwlit.devices.energy import EnergyCounter, EnergySources, EnergyWindow, idle_power
from hwlit.errors import ResourceError
from hwlit.records import How


class Scripted(EnergyCounter):
    def __init__(self, *values: float, measured: bool = True, update_period: float = 0.001) -> None:
        self.component = "gpu" if measured else "cpu"
        self.how = How("measured" if measured else "estimated", "script")
        self.measured = measured
        self.update_period = update_period
        self._values = list(values)

    def read(self) -> float:
        if not self._values:
            raise ResourceError("the counter is gone")
        return self._values.pop(0)


def test_window_returns_the_difference_by_component():
    window = EnergyWindow([Scripted(10.0, 12.5), Scripted(1.0, 2.0, measured=False)])
    time.sleep(0.002)
    use = window.close()
    assert {name: (r.value, r.unit, str(r.how)) for name, r in use.readings.items()} == {
        "gpu": (2.5, "J", "measured: script"),
        "cpu": (1.0, "J", "estimated: script"),
    }
    assert not use.absent
    assert use.seconds >= 0.002


@pytest.mark.parametrize("measured", [True, False])
def test_short_window_without_a_change_is_absent_not_zero(measured):
    window = EnergyWindow([Scripted(5.0, 5.0, measured=measured, update_period=60)])
    use = window.close()
    assert not use.readings
    assert "did not move" in use.absent["gpu" if measured else "cpu"]


def test_long_window_without_a_change_is_zero_only_for_an_estimate():
    window = EnergyWindow([Scripted(5.0, 5.0), Scripted(5.0, 5.0, measured=False)])
    time.sleep(0.002)
    use = window.close()
    assert use.readings["cpu"].value == 0
    assert "gpu" in use.absent


def test_short_window_with_a_change_says_that_it_is_short():
    use = EnergyWindow([Scripted(5.0, 6.0, update_period=60)]).close()
    assert "shorter than the update period" in use.readings["gpu"].how.text


@pytest.mark.parametrize("values", [(), (5.0,)])
def test_counter_that_goes_away_is_absent_with_its_reason(values):
    use = EnergyWindow([Scripted(*values)]).close()
    assert not use.readings
    assert use.absent == {"gpu": "the counter is gone"}


def test_idle_power_is_joules_over_seconds_of_measured_counters_only():
    power = idle_power([Scripted(0.0, 3.0), Scripted(0.0, 9.0, measured=False)], 0.01)
    assert list(power) == ["gpu"]
    assert power["gpu"].unit == "W"
    assert 0 < power["gpu"].value <= 3.0 / 0.01
    assert str(power["gpu"].how).startswith("measured: script, mean of")


def test_idle_power_refuses_less_than_an_update_period():
    with pytest.raises(ValueError, match=r"updated every 0\.1 s"):
        idle_power([Scripted(update_period=0.1)], 0.05)


def test_idle_power_does_not_sleep_for_estimates():
    start = time.perf_counter()
    assert idle_power([Scripted(measured=False)], 60) == {}
    assert time.perf_counter() - start < 60


def test_sources_give_a_reason_for_energy_only_where_nothing_counts():
    nothing = EnergySources(absent={"energy/cpu": "no RAPL", "energy/dram": "no zone"})
    assert nothing.reasons()["energy"] == "no RAPL; no zone"
    joined = nothing.joined(EnergySources((Scripted(),)))
    assert joined.reasons() == {"energy/cpu": "no RAPL", "energy/dram": "no zone"}
