"""What a phase took in one process, and in all processes of a job together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hwlit.callbacks.ranks import Place
from hwlit.devices.energy import EnergyCounter
from hwlit.records import How, Reading, worst

TOO_SHORT = "the counter did not move in so short a phase"


@dataclass
class Phase:
    """What one phase has taken so far in one process.

    Args:
        wall_time: Seconds.
        peak_memory: Peaks by kind of memory.
        energy: Joules by component.
    """

    wall_time: float = 0.0
    peak_memory: dict[str, Reading] = field(default_factory=dict)
    energy: dict[str, float] = field(default_factory=dict)

    def raise_peaks(self, new: Mapping[str, Reading]) -> None:
        """Keep the higher of the peaks known and new, by kind of memory."""
        for kind, reading in new.items():
            if kind not in self.peak_memory or reading.value > self.peak_memory[kind].value:
                self.peak_memory[kind] = reading

    def joined(self, other: Phase) -> Phase:
        """Return this phase and one before or after it as one."""
        both = Phase(self.wall_time + other.wall_time, dict(self.peak_memory), dict(self.energy))
        both.raise_peaks(other.peak_memory)
        for component, joules in other.energy.items():
            both.energy[component] = both.energy.get(component, 0.0) + joules
        return both


@dataclass(frozen=True)
class Share:
    """What one process of a job measured.

    Args:
        place: Which process it is.
        device: The name of its device.
        counters: The components whose energy it counts.
        lost: Components whose counter went away, each with the reason.
        memory: Peaks by phase and kind of memory.
        energy: Joules by phase and component; a text says why a phase has none.
        baseline: Memory in use before the model was loaded, by kind.
        idle: Watts by component while nothing ran.
    """

    place: Place
    device: str
    counters: tuple[str, ...]
    lost: Mapping[str, str]
    memory: Mapping[str, Mapping[str, Reading]]
    energy: Mapping[str, Mapping[str, Reading | str]]
    baseline: Mapping[str, Reading]
    idle: Mapping[str, Reading]


def memory_of_all(peaks: Iterable[Mapping[str, Reading]]) -> dict[str, Reading]:
    """Return the sum over processes of each kind of memory, in bytes."""
    return _sums(peaks, ", sum over {} processes (an upper bound: peaks may fall apart in time)")


def peak_readings(name: str, shares: Sequence[Share], main: str) -> dict[str, Reading]:
    """Return the peaks of a phase, the device's main kind under the short name as well.

    Of several processes `fit/peak_memory/rank_<n>` is the main kind of each.
    """
    peaks = memory_of_all(share.memory.get(name, {}) for share in shares)
    found = {f"{name}/peak_memory/{kind}": reading for kind, reading in peaks.items()}
    if main in peaks:
        found[f"{name}/peak_memory"] = peaks[main]
    if name == "fit" and len(shares) > 1:
        for share in shares:
            if (own := share.memory.get(name, {}).get(main)) is not None:
                found[f"fit/peak_memory/rank_{share.place.rank}"] = own
    return found


def rank_rows(shares: Sequence[Share]) -> list[dict[str, Any]]:
    """Return a row for each process: where it ran and what it took while training."""
    return [
        {
            "rank": share.place.rank,
            "node": share.place.node,
            "device": share.device,
            "peak_memory": values(share.memory.get("fit", {})),
            "energy": values(share.energy.get("fit", {})),
        }
        for share in shares
    ]


def values(readings: Mapping[str, Reading | str]) -> dict[str, float]:
    """Return the numbers alone, without those that are missing."""
    return {k: reading.value for k, reading in readings.items() if isinstance(reading, Reading)}


def power_of_all(shares: Sequence[Share]) -> dict[str, Reading]:
    """Return the idle watts of all nodes by component."""
    return _sums((share.idle for share in shares), ", sum over {} nodes")


def energy_of_all(name: str, shares: Sequence[Share]) -> dict[str, Reading | str]:
    """Return the joules of a phase by component, and their sum under the name "".

    A component that any node did not count, or whose window was too short to read, has the reason
    instead, and then there is no sum: a part would pass for the whole.
    """
    missing = uncounted(shares)
    found: dict[str, Reading | str] = {}
    parts: list[Mapping[str, Reading | str]] = [share.energy.get(name, {}) for share in shares]
    for component in dict.fromkeys(component for part in parts for component in part):
        if component in missing:
            continue
        readings = [part[component] for part in parts if component in part]
        numbers = [reading for reading in readings if isinstance(reading, Reading)]
        if len(numbers) < len(readings):
            found[component] = TOO_SHORT
        else:
            found |= _sums([{component: number} for number in numbers], _meters(shares))
    summands = [reading for reading in found.values() if isinstance(reading, Reading)]
    if summands and not missing and len(summands) == len(found):
        found[""] = _sum(summands, _all_of(summands))
    return found


def metered(counters: Sequence[EnergyCounter], phase: Phase) -> dict[str, Reading | str]:
    """Return the energy of a phase in one process by component, or why there is none."""
    found: dict[str, Reading | str] = {}
    for counter in counters:
        if counter.component not in phase.energy:
            continue
        joules = phase.energy[counter.component]
        # A counter that stood still was not read often enough: that is no energy of 0.
        unread = joules == 0 and (counter.measured or phase.wall_time < counter.update_period)
        found[counter.component] = TOO_SHORT if unread else counter.reading(joules)
    return found


def codecarbon_of(
    counters: Sequence[EnergyCounter], phase: Phase | None, processes: int
) -> Reading | str | None:
    """Return what CodeCarbon would book for a phase, GPUs included, or why that is not known.

    None where it has nothing to say: hardware counts the CPU's energy, or the phase did not come.
    """
    if phase is None or not phase.wall_time or not phase.energy.keys() >= {"cpu"}:
        return None
    (cpu,) = (counter for counter in counters if counter.component == "cpu")
    booked = cpu.codecarbon(phase.energy["cpu"], phase.wall_time)
    if booked is None or processes == 1:
        gpu = phase.energy.get("gpu", 0.0)
        if booked is None or not gpu:
            return booked
        how = booked.how.and_(f"; the GPU's counter, {gpu:.4g} J, is in it")
        return Reading(booked.value + gpu, "J", how)
    return f"CodeCarbon's accounting is worked out for one process; there are {processes}"


def uncounted(shares: Sequence[Share]) -> dict[str, str]:
    """Return the components that were not counted on every node to the end, with the reasons."""
    nodes = {share.place.node for share in shares}
    missing: dict[str, str] = {}
    for component in dict.fromkeys(name for share in shares for name in share.counters):
        seen = {share.place.node for share in shares if component in share.counters}
        if seen != nodes:
            missing[component] = f"not counted on node {min(nodes - seen)}"
    for share in shares:
        missing |= share.lost
    return missing


def _meters(shares: Sequence[Share]) -> str:
    nodes = {share.place.node for share in shares}
    return ", sum over {} meters on " + f"{len(nodes)} node{'s' * (len(nodes) > 1)}"


def _sums(parts: Iterable[Mapping[str, Reading]], note: str) -> dict[str, Reading]:
    by_kind: dict[str, list[Reading]] = {}
    for part in parts:
        for kind, reading in part.items():
            by_kind.setdefault(kind, []).append(reading)
    return {
        kind: found[0]
        if len(found) == 1
        else _sum(
            found,
            How(worst([one.how.tag for one in found]), found[0].how.text).and_(
                note.format(len(found))
            ),
        )
        for kind, found in by_kind.items()
    }


def _all_of(summands: Sequence[Reading]) -> How:
    """Return how a sum of components was obtained: as its worst, with how each was."""
    hows = list(dict.fromkeys(reading.how for reading in summands))
    if len(hows) == 1:
        return hows[0]
    return How(worst([how.tag for how in hows]), "; ".join(map(str, hows)))


def _sum(parts: Sequence[Reading], how: How) -> Reading:
    """Return the sum of readings in one unit, and of their ends where any has one."""
    low, high = (
        sum(part.value if end is None else end for part, end in zip(parts, ends, strict=True))
        if any(end is not None for end in ends)
        else None
        for ends in ([part.low for part in parts], [part.high for part in parts])
    )
    interval = next((part.interval for part in parts if part.interval is not None), None)
    total = sum(part.value for part in parts)
    return replace(parts[0], value=total, how=how, low=low, high=high, interval=interval)
