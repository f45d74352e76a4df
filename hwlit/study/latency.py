"""Latencies of several runs, held against the network in full precision that each began with.

Seconds of two runs also tell how busy the machine was at each; a ratio that was timed in turns does
not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwlit.records import Measure, Reading, measured
from hwlit.study.methods import Method

OVER_BASE = "latency/merged_over_base"
UNMERGED_OVER_BASE = "latency/unmerged_over_base"
RESOLUTION = 0.05  # by which two timings of one network in turns may differ; less is no difference
# What makes ratios of two rows unequal, as it begins in a row's flags: their bases are not alike.
OTHER_BASE = (
    "other model",
    "precision",
    "device",
    "threads",
    "torch",
    "max_length",
    "stride",
    "resolution",
)
RATIO = Measure("cost", "min", (0.0, None), margin=RESOLUTION)


def over_base(
    network: str, method: Method, given: str | None, flags: Sequence[str]
) -> dict[int, Reading]:
    """Return the latency of a network over that of the unquantised base network, by run.

    Args:
        network: "merged" or "unmerged".
        method: The runs; each timed both in turns.
        given: What latencies are of, such as `batch_1`.
        flags: What makes the row unequal to the baseline.

    Returns:
        By the identity of the run; nothing where one was not timed, or the base is not that of
        the baseline.
    """
    if any(flag.startswith(OTHER_BASE) for flag in flags):
        return {}
    ratios = {id(run): ratio_to_base(run.record.readings, network, given) for run in method.runs}
    known = {place: ratio for place, ratio in ratios.items() if ratio is not None}
    return known if len(known) == len(ratios) else {}


def ratio_to_base(
    readings: Mapping[str, Reading], network: str, given: str | None
) -> Reading | None:
    """Return one run's ratio of latencies to the unquantised base, the same for every page.

    It is the run's own reading, taken turn by turn. Records before that have no interval in theirs,
    which was over another base where a base was quantised: of them it is the ratio of medians.

    Args:
        readings: The readings of the run's record.
        network: "merged", "unmerged", or "base" beside a reference.
        given: What latencies are of, such as `batch_1`.

    Returns:
        A reading; None where one was not timed.
    """
    known = readings.get(f"latency/{network}/{given}/over_base")
    if known is not None and known.low is not None and known.high is not None:
        return known if min(known.value, known.low, known.high) > 0 else None
    medians = {
        name: reading.value
        for name in ("reference", "base", network)
        if (reading := readings.get(f"latency/{name}/{given}/p50")) is not None
    }
    beside = "reference" if "reference" in medians else "base"
    if network == beside or not {network, beside} <= medians.keys() or min(medians.values()) <= 0:
        return None
    ratio = medians[network] / medians[beside]
    return Reading(ratio, "1", measured("ratio of medians, timed in turns"), measure=RATIO)


def is_latency(name: str) -> bool:
    """Return whether a cost is one of using the network, and not of training it."""
    return name.startswith("latency/")
