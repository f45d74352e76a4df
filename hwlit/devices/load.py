"""What a phase's counters say: how much of the machine was a run's own, and what disturbed it.

Needs neither torch nor a machine: numbers in, numbers and sentences out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwlit.devices.gpu_load import mean
from hwlit.records import Disturbance

LIMIT = 0.05
"""Share from which a phase is disturbed: times are then off by as much. Alone, a run waits for
others in less than 0.01 of its time."""
SLOW_CLOCK = 0.5
"""Part of its highest clock that a busy GPU lacks, without its power limit, from which it is slow:
less is usual where the clocks follow the kind of work."""
LEAST_S = 0.05
"""Seconds that must have been lost: what the kernel counts in ticks of 0.01 s is not exact."""


@dataclass(frozen=True)
class Load:
    """What went on during a phase.

    Args:
        counts: The differences of the counters of `HostCounters`.
        processors: How many there were for us.
    """

    counts: Mapping[str, float]
    processors: float

    @property
    def wall(self) -> float:
        """Seconds."""
        return self.counts.get("wall", 0.0)

    @property
    def own(self) -> float:
        """Seconds of processors that our processes used."""
        return self.counts.get("own", 0.0)

    @property
    def others(self) -> float | None:
        """Seconds of our processors that other processes used."""
        if "busy" not in self.counts:
            return None
        return max(0.0, self.counts["busy"] - self.own)

    @property
    def waiting(self) -> float | None:
        """Share of the time in which our threads were ready that they waited for a processor."""
        if "waited" not in self.counts:
            return None
        ready = self.counts["ran"] + self.counts["waited"]
        return self.counts["waited"] / ready if ready > 0 else 0.0

    @property
    def waited_for_others(self) -> float | None:
        """The part of that share which other processes caused.

        On average `ready / wall` of our threads were ready at once. As many as there are processors
        could have run: what they got less than that is lost, and the rest of the waiting is our
        own doing. Nor can others have caused more than they ran, times our threads that stood
        behind them. Of one thread beside one other process on one processor that is a half; of
        twice as many threads as processors and nobody else, nothing.
        """
        if "waited" not in self.counts or self.others is None or not self.wall:
            return None
        ran, ready = self.counts["ran"], self.counts["ran"] + self.counts["waited"]
        at_once = ready / self.wall
        lost = min(ready, self.processors * self.wall) - ran
        lost = min(lost, self.others * max(1.0, at_once / self.processors))
        return max(0.0, lost) / max(ran + lost, 1e-9)

    @property
    def steal(self) -> float | None:
        """Share of what our processors were busy with, or would have been, that was taken."""
        if "steal" not in self.counts or "busy" not in self.counts:
            return None
        wanted = self.counts["busy"] + self.counts["steal"]
        return self.counts["steal"] / wanted if wanted > 0 else 0.0

    @property
    def quota_throttled(self) -> float | None:
        """Share of the periods of a quota in which it stopped our processes; the worst group's."""
        shares = [
            self.counts.get(f"throttled/{name.partition('/')[2]}", 0.0) / periods
            for name, periods in self.counts.items()
            if name.startswith("periods/") and periods > 0
        ]
        return max(shares, default=None)

    @property
    def thermally_throttled(self) -> float | None:
        """Share of the time for which the hottest processor was slowed down."""
        hot = [value for name, value in self.counts.items() if name.startswith("hot/")]
        return max(hot) / self.wall if hot and self.wall else None

    def kept_from(self, threads: int) -> float | None:
        """Return a share of processors lost to others, where the kernel counts no waiting.

        It is what threads could have used at most, less what they did, and never more than others
        used; less what idled, for that could have been had.

        Args:
            threads: How many we compute with.
        """
        if self.others is None or "waited" in self.counts:
            return None
        wanted = min(float(threads), self.processors) * self.wall
        lost = min(wanted - self.own, self.others) - self.counts["idle"]
        return max(0.0, lost) / max(self.own + lost, 1e-9)


RUN_QUEUE, STEAL, QUOTA, HEAT = "run-queue wait", "steal", "quota throttling", "thermal throttling"
KEPT, GPU_OTHERS, GPU_SHARED = "other processes", "other processes on the GPU", "shared GPU"
GPU_SLOWED, GPU_CLOCK = "slowed GPU", "low GPU clock"
WORDS = {
    RUN_QUEUE: "its threads were ready to run and waited for other processes",
    STEAL: "the hypervisor took processor time",
    QUOTA: "the quota of its control group stopped it",
    HEAT: "a processor was slowed down for its heat",
    KEPT: "other processes used processors that it could have used",
    GPU_OTHERS: "other processes ran on its GPU",
    GPU_SHARED: "other processes held its GPU, and how much they ran is not told",
    GPU_SLOWED: "the GPU was slowed down",
    GPU_CLOCK: "the busy GPU lacked a part of its highest clock",
}
OTHERS = (RUN_QUEUE, KEPT, GPU_OTHERS, GPU_SHARED)
FIRST = ("fit", "test", "latency")  # the phases that are compared


def disturbances(phase: str, load: Load, threads: int) -> list[Disturbance]:
    """Return what disturbed a phase beyond the limits.

    Args:
        phase: Its name.
        load: What went on during it.
        threads: How many threads the run computes with.
    """
    found = [Disturbance(phase, cause, round(v, 4), LIMIT) for cause, v in _causes(load, threads)]
    return found + [
        Disturbance(phase, GPU_CLOCK, round(1 - clock, 4), SLOW_CLOCK)
        for clock in [mean(load.counts, "gpu/busy_clock")]
        if clock is not None and 1 - clock > SLOW_CLOCK
    ]


def _causes(load: Load, threads: int) -> Iterator[tuple[str, float]]:
    counts = load.counts
    ready = counts.get("ran", load.own) + counts.get("waited", 0.0)
    others = mean(counts, "gpu/others")
    shares = (
        (RUN_QUEUE, load.waited_for_others, ready),
        (KEPT, load.kept_from(threads), load.own),
        (STEAL, load.steal, counts.get("busy", 0.0) + counts.get("steal", 0.0)),
        (QUOTA, load.quota_throttled, load.wall),
        (HEAT, load.thermally_throttled, load.wall),
        (GPU_OTHERS, others, load.wall),
        (GPU_SHARED, mean(counts, "gpu/shared") if others is None else None, load.wall),
        (GPU_SLOWED, mean(counts, "gpu/slowed"), load.wall),
    )
    for cause, share, seconds in shares:
        if share is not None and share > LIMIT and share * seconds >= LEAST_S:
            yield cause, share


def remark(found: Sequence[Disturbance], why_slowed: Sequence[str] = ()) -> str:
    """Return one sentence for all disturbances of a run; "" where there are none.

    Args:
        found: The disturbances.
        why_slowed: What slowed the GPU down, in words.
    """
    if not found:
        return ""
    told = []
    for cause in dict.fromkeys(one.cause for one in found):
        same = [one for one in found if one.cause == cause]
        same.sort(key=lambda one: FIRST.index(one.phase) if one.phase in FIRST else len(FIRST))
        shares = ", ".join(f"{100 * one.value:.0f} % in {one.phase}" for one in same)
        slowed = f" by {' and '.join(why_slowed)}" if cause == GPU_SLOWED and why_slowed else ""
        limit = f"limit {100 * same[0].limit:.0f} %"
        told.append(f"{WORDS[cause]}{slowed} (share of the time: {shares}; {limit})")
    alone = any(one.cause in OTHERS for one in found)
    return (
        f"times, rates and energy of this run are not what this machine does alone: "
        f"{'; '.join(told)}{'. Run it again when nothing else runs' if alone else ''}"
    )
