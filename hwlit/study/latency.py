"""Latencies of several runs, held against what each run timed in turns with them.

Seconds of two runs also tell how busy the machine was at each; the ratio to the network that a run
began with, timed in turns with its result, does not. A quantised network is held against the one in
full precision.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.study.methods import Method
from hwlit.study.pooling import Pooled, pool

OVER_BASE = "latency/merged_over_base"
UNMERGED_OVER_BASE = "latency/unmerged_over_base"
RESOLUTION = 0.05  # by which two timings of one network in turns may differ; less is a tie
# What makes ratios of two rows unequal, as it begins in a row's flags: their bases are not alike.
OTHER_BASE = ("other model", "precision", "device", "threads", "torch", "max_length", "resolution")


def over_base(
    network: str, method: Method, given: str | None, flags: Sequence[str]
) -> Pooled | None:
    """Return the median latency of a network over that of the unquantised base network.

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
    ratios = []
    for run in method.runs:
        known = run.record["readings"]
        own, reference, base = (
            known.get(f"latency/{name}/{given}/p50", {}).get("value")
            for name in (network, "reference", "base")
        )
        if own is None or not (beside := reference or base):
            return None
        ratios.append({"value": own / beside, "unit": "1", "method": "measured: in turns"})
    return pool(ratios)
