"""Latencies of several runs, held against what each run timed in turns with them.

Seconds of two runs also tell how busy the machine was at each; the ratio to the network that a run
began with, timed in turns with its result, does not. A quantised network is held against the one in
full precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hwlit.study.methods import Method
from hwlit.study.pooling import Pooled, pool

OVER_BASE = "latency/merged_over_base"
UNMERGED_OVER_BASE = "latency/unmerged_over_base"
RESOLUTION = 0.05  # by which two timings of one network in turns may differ; less is a tie
# What makes ratios of two rows unequal, as it begins in a row's flags: their bases are not alike.
OTHER_BASE = ("other model", "precision", "device", "threads", "torch", "max_length", "resolution")


def ratio_to_base(
    readings: Mapping[str, Any], network: str, given: str | None
) -> Mapping[str, Any] | None:
    """Return one run's ratio of latencies to the unquantised base, the same for every page.

    It is the run's own reading, taken turn by turn. Records before that have no interval in theirs,
    which was over another base where a base was quantised: of them it is the ratio of medians.

    Args:
        readings: The readings of the run's record, as plain data.
        network: "merged", "unmerged", or "base" beside a reference.
        given: What latencies are of, such as `batch_1`.

    Returns:
        A reading; None where one was not timed.
    """
    known = readings.get(f"latency/{network}/{given}/over_base")
    if known is not None and {"low", "high"} <= known.keys():
        return known if min(known["value"], known["low"], known["high"]) > 0 else None
    medians = {
        name: reading["value"]
        for name in ("reference", "base", network)
        if (reading := readings.get(f"latency/{name}/{given}/p50")) is not None
    }
    beside = "reference" if "reference" in medians else "base"
    if network == beside or not {network, beside} <= medians.keys() or min(medians.values()) <= 0:
        return None
    ratio = medians[network] / medians[beside]
    return {"value": ratio, "unit": "1", "method": "measured: ratio of medians, timed in turns"}


def over_base(
    network: str, method: Method, given: str | None, flags: Sequence[str]
) -> Pooled | None:
    """Return the latency of a network over that of the unquantised base network.

    Of several runs it is the geometric mean of their ratios.

    Args:
        network: "merged" or "unmerged".
        method: The runs; each timed both in turns.
        given: What latencies are of, such as `batch_1`.
        flags: What makes the row unequal to the baseline.

    Returns:
        None where one was not timed, or the base is not that of the baseline.
    """
    if any(flag.startswith(OTHER_BASE) for flag in flags):
        return None
    found = [ratio_to_base(run.record["readings"], network, given) for run in method.runs]
    ratios = [ratio for ratio in found if ratio is not None]
    if len(ratios) < len(found):
        return None
    pooled = pool(ratios)
    if len(ratios) == 1:
        return pooled
    mean = math.exp(math.fsum(math.log(ratio["value"]) for ratio in ratios) / len(ratios))
    return replace(pooled, value=mean, low=None, high=None)
