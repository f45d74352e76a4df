import pytest

from hwlit.callbacks.ledger import (
    Phase,
    Share,
    codecarbon_of,
    energy_of_all,
    memory_of_all,
    metered,
    peak_readings,
    power_of_all,
    rank_rows,
    uncounted,
)
from hwlit.callbacks.ranks import Place
from hwlit.devices.codecarbon_tables import CodeCarbon
from hwlit.devices.cpu_model import CpuModel
from hwlit.devices.cpu_time import CpuTimeCounter
from hwlit.devices.energy import EnergyCounter
from hwlit.devices.thread_power import ThreadPower
from hwlit.records import Reading, measured


def joules(value, component="cpu"):
    return Reading(value, "J", measured(component))


def share(rank, node=0, energy=None, memory=100, **settings):
    energy = {} if energy is None else energy
    given = {
        "counters": tuple(energy),
        "lost": {},
        "memory": {"fit": {"allocated": Reading(memory, "B", measured("torch"))}},
        "energy": {"fit": energy},
        "baseline": {},
        "idle": {},
    } | settings
    return Share(place=Place(rank, 2, node), device="a", **given)


def test_memory_is_the_sum_and_that_of_each_rank():
    found = peak_readings("fit", [share(0, memory=100), share(1, memory=30)], "allocated")
    assert {name: reading.value for name, reading in found.items()} == {
        "fit/peak_memory": 130,
        "fit/peak_memory/allocated": 130,
        "fit/peak_memory/rank_0": 100,
        "fit/peak_memory/rank_1": 30,
    }
    assert "sum over 2 processes" in found["fit/peak_memory"].how.text


def test_one_process_has_no_other_names_and_no_other_method():
    found = peak_readings("fit", [share(0)], "allocated")
    assert found.keys() == {"fit/peak_memory", "fit/peak_memory/allocated"}
    assert found["fit/peak_memory"] == Reading(100, "B", measured("torch"))


def test_a_phase_of_the_first_process_alone_is_its_own():
    shares = [share(0, memory=7), share(1)]
    shares[0].memory["export"] = shares[0].memory["fit"]
    assert peak_readings("export", shares, "allocated")["export/peak_memory"].value == 7
    assert memory_of_all([]) == {}


def test_energy_is_summed_over_the_meters_of_all_nodes():
    node_0 = {"gpu": joules(5.0, "gpu"), "cpu": joules(1.0)}
    node_1 = {"gpu": joules(7.0, "gpu"), "cpu": joules(2.0)}
    shares = [share(0, 0, node_0), share(1, 0), share(2, 1, node_1), share(3, 1)]
    found = energy_of_all("fit", shares)
    assert {name: reading.value for name, reading in found.items()} == {
        "gpu": 12.0, "cpu": 3.0, "": 15.0,
    }  # fmt: skip
    assert "sum over 2 meters on 2 nodes" in found[""].how.text
    rows = rank_rows(shares)
    energy = [row["energy"] for row in rows]
    assert energy == [{"gpu": 5.0, "cpu": 1.0}, {}, {"gpu": 7.0, "cpu": 2.0}, {}]
    assert [row["node"] for row in rows] == [0, 0, 1, 1]


def test_one_meter_keeps_its_method():
    found = energy_of_all("fit", [share(0, 0, {"cpu": joules(4.0)}), share(1)])
    assert found["cpu"] == joules(4.0)


def test_a_node_that_counts_nothing_leaves_no_sum():
    first = share(0, 0, {"gpu": joules(5.0), "cpu": joules(1.0)})
    shares = [first, share(1, 1, {"cpu": joules(2.0)})]
    assert uncounted(shares) == {"gpu": "not counted on node 1"}
    assert {name: reading.value for name, reading in energy_of_all("fit", shares).items()} == {
        "cpu": 3.0
    }


def test_a_counter_that_was_lost_leaves_no_sum():
    shares = [share(0, 0, {"gpu": joules(5.0), "cpu": joules(1.0)}, lost={"gpu": "it is gone"})]
    assert uncounted(shares) == {"gpu": "it is gone"}
    assert energy_of_all("fit", shares).keys() == {"cpu"}


def test_a_window_too_short_on_one_node_leaves_no_sum():
    shares = [share(0, 0, {"cpu": joules(1.0)}), share(1, 1, {"cpu": "too short"})]
    assert isinstance(energy_of_all("fit", shares)["cpu"], str)
    assert "" not in energy_of_all("fit", shares)


def test_idle_watts_are_those_of_all_nodes():
    shares = [share(n, n, idle={"gpu": Reading(20.0, "W", measured("NVML"))}) for n in (0, 1)]
    assert power_of_all(shares)["gpu"].value == pytest.approx(40)


ESTIMATE = CpuTimeCounter(
    ThreadPower(1.0, 2.0, 4.0, "2 W", "a guess"),
    CpuModel("Acme 9000"),
    CodeCarbon("3", {}, 4.0, own_tdp=100.0, ram=20.0),
)


class Counted(EnergyCounter):
    component, how, measured, update_period = "gpu", measured("NVML"), True, 0.1

    def read(self):
        return 0.0


def test_a_range_of_assumptions_is_summed_with_what_is_measured():
    energy = metered((Counted(), ESTIMATE), Phase(10.0, energy={"gpu": 50.0, "cpu": 8.0}))
    total = energy_of_all("fit", [share(0, energy=energy)])[""]
    assert (total.low, total.value, total.high) == (54, 58, 66)
    assert total.how.tag == "estimated", "a sum is as good as its worst part"
    assert "measured: NVML" in total.how.text


def test_the_ranges_of_several_processes_are_summed():
    parts = [metered((ESTIMATE,), Phase(10.0, energy={"cpu": joules})) for joules in (8.0, 2.0)]
    found = energy_of_all("fit", [share(0, energy=parts[0]), share(1, energy=parts[1])])
    assert (found["cpu"].low, found["cpu"].value, found["cpu"].high) == (5, 10, 20)
    assert found[""].high == 20


def test_what_is_measured_has_no_range():
    total = energy_of_all("fit", [share(0, energy={"cpu": joules(1.0), "gpu": joules(2.0)})])[""]
    assert (total.low, total.high) == (None, None)


def test_codecarbon_would_book_idle_power_and_ram_and_the_gpu_as_well():
    cpu = Phase(10.0, energy={"cpu": 1e-9})
    idle = codecarbon_of((ESTIMATE,), cpu, 1)
    assert idle.value == pytest.approx((100 * 0.1 + 20) * 10)
    both = codecarbon_of((Counted(), ESTIMATE), Phase(10.0, energy={"cpu": 1e-9, "gpu": 50.0}), 1)
    assert both.value == pytest.approx(idle.value + 50)
    assert "50 J" in both.how.text


def test_codecarbon_has_nothing_to_say_or_there_is_a_reason():
    assert codecarbon_of((ESTIMATE,), None, 1) is None
    assert codecarbon_of((ESTIMATE,), Phase(), 1) is None
    assert codecarbon_of((Counted(),), Phase(1.0, energy={"gpu": 1.0}), 1) is None
    assert "there are 2" in codecarbon_of((ESTIMATE,), Phase(1.0, energy={"cpu": 1.0}), 2)
