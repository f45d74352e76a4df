import time

import psutil
import pytest
import torch

from hwlit.callbacks.phases import Phases
from hwlit.callbacks.ranks import Place
from hwlit.devices.energy import EnergyCounter
from hwlit.devices.selection import device_for
from hwlit.errors import ResourceError
from hwlit.records import How, Reading


class Joules(EnergyCounter):
    """Counts ten joules a second, in steps of its update period."""

    component, how, measured = "gpu", How("measured", "a fake"), True

    def __init__(self, clock, update_period=0.01):
        self.clock = clock
        self.update_period = update_period
        self.lost = False

    def read(self):
        if self.lost:
            raise ResourceError("the counter is gone")
        return self.clock.now // self.update_period * self.update_period * 10


@pytest.fixture
def counter(monkeypatch, clock):
    counter = Joules(clock)
    device = device_for(torch.device("cpu"))
    monkeypatch.setattr(type(device), "energy_counters", lambda self: (counter,))
    monkeypatch.setattr("hwlit.callbacks.phases.idle_power", lambda counters, seconds: {})
    return counter


@pytest.fixture
def phases(counter):
    return Phases(device_for(torch.device("cpu")), warmup_steps=0)


def ledger(phases):
    return {row.name: row for row in phases.details()["phases"]}


def test_the_phases_add_up_to_the_total(phases, clock):
    for _ in range(3):
        with phases.phase("load"):
            clock.sleep(0.1)
            with phases.phase("save"):
                clock.sleep(0.2)
        clock.sleep(0.05)
    phases.finish()
    rows = ledger(phases)
    spent = {name: rows[name].wall_time for name in ("load", "save", "other")}
    assert spent == pytest.approx({"load": 0.3, "save": 0.6, "other": 0.15})
    total = phases.readings()["run/wall_time"].value
    assert sum(row.wall_time for row in rows.values()) == pytest.approx(total)
    assert sum(row.share for row in rows.values()) == pytest.approx(1)


def test_the_run_began_when_its_process_did():
    phases = Phases(device_for(torch.device("cpu")), warmup_steps=0)
    phases.finish()
    own_age = time.time() - psutil.Process().create_time()
    startup = ledger(phases)["startup"].wall_time
    assert 0 < startup <= phases.readings()["run/wall_time"].value <= own_age


def test_energy_goes_to_the_phase_in_which_it_was_used(phases, clock):
    with phases.phase("load"):
        clock.sleep(0.2)
    phases.finish()
    found = phases.readings()
    assert found["load/energy/gpu"].value == pytest.approx(2, abs=0.11)  # an update period each end
    assert str(found["load/energy"].how) == "measured: a fake"


def test_a_window_too_short_for_the_counter_is_absent_and_not_zero(counter):
    counter.update_period = 1000.0
    phases = Phases(device_for(torch.device("cpu")), warmup_steps=0)
    with phases.phase("load"):
        pass
    phases.finish()
    assert "load/energy" not in phases.readings()
    assert "did not move" in phases.absent()["load/energy/gpu"]


def test_a_counter_that_is_lost_ends_no_run(phases, counter):
    with phases.phase("load"):
        counter.lost = True
    phases.finish()
    assert "load/energy" not in phases.readings()
    assert phases.absent()["run/energy/gpu"] == "the counter is gone"


def test_the_peak_of_a_phase_is_its_own(phases):
    with phases.phase("load"):
        big = torch.ones(50_000_000)  # 200 MB
        del big
    with phases.phase("test"):
        pass
    phases.finish()
    found = phases.readings()
    assert found["load/peak_memory"].value - found["test/peak_memory"].value > 150e6
    assert isinstance(found["baseline/memory/resident"], Reading)


def test_warm_up_ends_after_its_steps(counter, clock):
    phases = Phases(device_for(torch.device("cpu")), warmup_steps=2)
    phases.on_train_start(None, None)
    for step in range(3):
        clock.sleep(0.02)
        phases.on_train_batch_end(None, None, None, None, step)
    phases.on_train_end(None, None)
    phases.finish()
    rows = ledger(phases)
    assert rows["warmup"].wall_time == pytest.approx(0.04)
    assert rows["train"].wall_time == pytest.approx(0.02)
    assert phases.readings()["fit/wall_time"].value == pytest.approx(0.06)
    assert phases.own_time > 0


def test_an_exception_closes_what_is_open(phases):
    phases.enter("train")
    phases.enter("evaluate")
    phases.on_exception(None, None, RuntimeError())
    phases.finish()
    phases.leave("train")  # what `on_train_end` would do, had it been called
    assert phases.details()["phases"]


@pytest.mark.parametrize(
    ("local_rank", "siblings", "whole_node", "reads"),
    [
        (0, False, True, True),
        (1, False, True, False),  # the first of the node reads for all
        (1, True, True, False),
        (1, False, False, False),  # a descendant of the first, which counts it
        (1, True, False, True),  # a process of its own: nobody else counts it
    ],
)
def test_a_joule_is_counted_once_per_node(counter, clock, local_rank, siblings, whole_node, reads):
    counter.whole_node = whole_node
    place = Place(local_rank, 2, local_rank=local_rank, siblings=siblings)
    phases = Phases(device_for(torch.device("cpu")), 0, place)
    with phases.phase("load"):
        clock.sleep(0.05)
    phases.finish()
    assert ("load/energy" in phases.readings()) == reads


def test_two_processes_are_one_row(counter, clock):
    first, second = (
        Phases(device_for(torch.device("cpu")), 0, Place(rank, 2, local_rank=rank))
        for rank in (0, 1)
    )
    for phases in (first, second):
        phases.on_train_start(None, None)
        clock.sleep(0.05)
        phases.on_train_end(None, None)
    assert "are the first's" in first.absent()["ranks"]
    alone = first.readings()
    first.join([second.share()])
    with first.phase("export"):
        pass
    first.finish()
    both = first.readings()
    ranks = [both[f"fit/peak_memory/rank_{rank}"].value for rank in (0, 1)]
    assert both["fit/peak_memory"].value == sum(ranks) > alone["fit/peak_memory"].value
    assert both["fit/wall_time"] == alone["fit/wall_time"]
    assert both["fit/energy"] == alone["fit/energy"]
    rows = first.details()["ranks"]
    assert [(row["rank"], bool(row["energy"])) for row in rows] == [(0, True), (1, False)]
    assert "ranks" not in first.absent()
    train = next(row for row in first.details()["phases"] if row.name == "train")
    assert train.peak_memory["resident"] == sum(ranks)
