"""Latencies of several runs, held against the network in full precision that each began with.

Seconds of two runs also tell how busy the machine was at each; a ratio that was timed in turns does
not.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.records import Measure, Reading, Record, measured
from hwlit.study.methods import Method

OVER_BASE = "latency/merged_over_base"
UNMERGED_OVER_BASE = "latency/unmerged_over_base"
RESOLUTION = 0.05  # by which two timings of one network in turns may differ; less is no difference
# What makes ratios of two rows unequal, as it begins in a row's flags: their bases are not alike.
OTHER_BASE = ("other model", "precision", "device", "threads", "torch", "max_length", "resolution")
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
    ratios = {id(run): ratio_to_base(run.record, network, given) for run in method.runs}
    known = {place: ratio for place, ratio in ratios.items() if ratio is not None}
    return known if len(known) == len(ratios) else {}


def ratio_to_base(record: Record, network: str, given: str | None) -> Reading | None:
    """Return one run's ratio: what it timed in turns, of medians where it kept no such ratio.

    A network whose base is quantised is held against the reference in full precision instead.
    """
    stem = f"latency/{network}/{given}"
    own, reference, base = (
        record.value(f"latency/{name}/{given}/p50") for name in (network, "reference", "base")
    )
    if reference is None and (told := record.readings.get(f"{stem}/over_base")) is not None:
        return told
    if own is None or not (beside := reference or base):
        return None
    return Reading(own / beside, "1", measured("ratio of medians, timed in turns"), measure=RATIO)


def is_latency(name: str) -> bool:
    """Return whether a cost is one of using the network, and not of training it."""
    return name.startswith("latency/")
