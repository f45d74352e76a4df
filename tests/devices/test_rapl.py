import threading
import time
from pathlib import Path

import pytest

from hwlit.devices import rapl
from hwlit.devices.rapl import RaplCounter, Zone, open_rapl
from hwlit.errors import ResourceError

from .conftest import RANGE_UJ


def show(zone: Path, energy_uj: int) -> None:
    (zone / "energy_uj").write_text(f"{energy_uj}\n")


def test_packages_and_their_dram_are_summed_and_nothing_else(zone, powercap):
    sockets = [zone(f"intel-rapl:{n}", f"package-{n}", 10**6) for n in (0, 1)]
    drams = [zone(f"intel-rapl:{n}/intel-rapl:{n}:1", "dram", 5 * 10**6) for n in (0, 1)]
    others = [
        zone("intel-rapl:0/intel-rapl:0:0", "core", 0),
        zone("intel-rapl:2", "psys", 0),
        zone("intel-rapl:0:0", "core", 0),  # powercap links children beside their parents too
        zone("intel-rapl-mmio:0", "package-0", 0),
    ]
    sources = open_rapl(powercap)
    assert not sources.absent
    counters = {counter.component: counter for counter in sources.counters}
    assert sorted(counters) == ["cpu", "dram"]
    before = {name: counter.read() for name, counter in counters.items()}
    for path, gained in [*((s, 2) for s in sockets), *((d, 1) for d in drams)]:
        show(path, int((path / "energy_uj").read_text()) + gained * 10**6)
    for path in others:
        show(path, 10**9)
    used = {name: counter.read() - before[name] for name, counter in counters.items()}
    assert used == {"cpu": 4.0, "dram": 2.0}
    assert counters["cpu"].measured
    assert str(counters["cpu"].how).startswith("measured: RAPL package-0, package-1")


def test_wrap_around_goes_on_counting(zone, powercap):
    package = zone("intel-rapl:0", "package-0", RANGE_UJ - 10**6)
    counter = open_rapl(powercap).counters[0]
    start = counter.read()
    show(package, 2 * 10**6)
    assert counter.read() - start == pytest.approx(3.0)
    show(package, 4 * 10**6)
    assert counter.read() - start == pytest.approx(5.0)


class Watched(Zone):
    """Lets a test wait until the counter was looked at."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.looked = threading.Semaphore(0)

    def advance(self) -> int:
        total = super().advance()
        self.looked.release()
        return total

    def wait(self) -> None:
        """Wait for two looks from now on: the first may have begun before."""
        while self.looked.acquire(blocking=False):
            pass
        for _ in range(2):
            assert self.looked.acquire(timeout=30)


def test_watch_sees_a_wrap_between_two_readings(zone):
    package = zone("intel-rapl:0", "package-0", 0)
    watched = Watched(package)
    counter = RaplCounter("cpu", [watched], watch_pause=0.001)
    start = counter.read()
    for energy_uj in (RANGE_UJ - 10**6, 10**6):
        # Replaced at once, for the watch may read at any moment.
        (package / "next").write_text(f"{energy_uj}\n")
        (package / "next").replace(package / "energy_uj")
        watched.wait()
    used = counter.read() - start
    assert used == pytest.approx((RANGE_UJ + 10**6) / 1e6), "a whole range was lost"


def test_watch_ends_with_its_counter(zone):
    watched = Watched(zone("intel-rapl:0", "package-0", 0))
    counter = RaplCounter("cpu", [watched], watch_pause=0.001)
    counter.read()
    watched.wait()
    watch = counter._watch
    assert watch.is_alive()
    del counter
    watch.join(timeout=5)
    assert not watch.is_alive()


def test_unreadable_counter_is_absent_with_a_reason(zone, powercap):
    zone("intel-rapl:0", "package-0", None)
    sources = open_rapl(powercap)
    assert not sources.counters
    assert "cannot be read" in sources.absent["energy/cpu"]


def test_missing_permission_names_the_fix(zone, powercap, monkeypatch):
    package = zone("intel-rapl:0", "package-0", 0)
    zone("intel-rapl:0/intel-rapl:0:0", "dram", 0)
    read = rapl._text

    def refuse(path: Path) -> str:
        if path == package / "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(rapl, "_text", refuse)
    sources = open_rapl(powercap)
    assert [counter.component for counter in sources.counters] == ["dram"]
    reason = sources.absent["energy/cpu"]
    assert "permission denied" in reason
    assert "udev rule" in reason
    assert "mode class/powercap/intel-rapl:0/energy_uj = 0444" in reason


def test_machine_without_rapl_says_so(powercap):
    zones = open_rapl(powercap)
    assert not zones.counters
    assert set(zones.absent) == {"energy/cpu", "energy/dram"}
    assert open_rapl(powercap / "missing").absent


def test_package_without_dram_says_so(zone, powercap):
    zone("intel-rapl:0", "package-0", 0)
    sources = open_rapl(powercap)
    assert [counter.component for counter in sources.counters] == ["cpu"]
    assert "no DRAM" in sources.absent["energy/dram"]


@pytest.mark.parametrize(("second_uj", "joules"), [(10**9 + 5, 1.0), (7 * 10**9, 2.0)])
def test_dies_that_mirror_one_counter_are_counted_once(zone, powercap, second_uj, joules):
    dies = [
        zone("intel-rapl:0", "package-0-die-0", 10**9),
        zone("intel-rapl:1", "package-0-die-1", second_uj),
    ]
    counter = open_rapl(powercap).counters[0]
    start = counter.read()
    for die in dies:
        show(die, int((die / "energy_uj").read_text()) + 10**6)
    assert counter.read() - start == pytest.approx(joules)


def test_counter_that_vanishes_raises_one_error(zone, powercap):
    package = zone("intel-rapl:0", "package-0", 0)
    counter = open_rapl(powercap).counters[0]
    counter.read()
    (package / "energy_uj").unlink()
    with pytest.raises(ResourceError, match="can no longer be read"):
        counter.read()


def test_opening_starts_no_thread(zone, powercap):
    zone("intel-rapl:0", "package-0", 0)
    before = threading.active_count()
    counters = open_rapl(powercap).counters
    time.sleep(0)
    assert threading.active_count() <= before
    assert counters
