"""What one busy thread of a processor is taken to draw, where no hardware counter can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwlit.devices.codecarbon_tables import plain_name
from hwlit.devices.cpu_model import CpuModel

# A thread's share of the TDP is only a middle. Half: CodeCarbon's constant for the mean draw
# (`CONSUMPTION_PERCENTAGE_CONSTANT`). Twice: a thread that has its core of two threads alone, or
# turbo (an i9-13900K draws up to 253 W at a TDP of 125 W, https://ark.intel.com).
LOW, HIGH = 0.5, 2.0
# Of a processor of unknown size. Low: half of the share in the processor with the most threads
# (EPYC 9754: 360 W, 256 threads, https://www.amd.com/en/products/specifications). High: the most
# that Cloud Carbon Footprint found per virtual CPU at full load, 8.58 W of Sandy Bridge; 1.69 W of
# EPYC 2 and Graviton 2, https://www.cloudcarbonfootprint.org/docs/methodology.
LEAST, MOST = 0.7, 8.6
# A larger share mostly means a virtual machine that hides that it is one; of the few processors
# that have it, such as the Pentium D, the range for unknown ones is taken, too.
LARGEST_SHARE = 35.0


@dataclass(frozen=True)
class ThreadPower:
    """Watts of one busy thread, with a range of assumptions.

    Args:
        low: Lower end.
        middle: What is reckoned with.
        high: Upper end.
        how: Where they come from, in words without a comma.
        why: What the ends assume, in words.
    """

    low: float
    middle: float
    high: float
    how: str
    why: str


def thread_power(model: CpuModel, table: Mapping[str, float], usual: float) -> ThreadPower:
    """Return what a thread of this processor is taken to draw.

    The TDP is divided by the threads of the processor itself, never by those that a virtual machine
    shows: a name alone must not make a run cost thirty times more.

    Args:
        model: The processor.
        table: TDP in watts by `plain_name`.
        usual: Watts of a thread of a processor of which nothing is known.
    """
    tdp = table.get(plain_name(model.name))
    if tdp is None:
        how = f"{usual:g} W per thread (CodeCarbon's for a processor that is not in its table"
        return ThreadPower(LEAST, usual, MOST, f"{how}: {model.name})", _unknown())
    share = tdp / model.threads if model.threads else LARGEST_SHARE
    if share < LARGEST_SHARE:
        how = (
            f"{share:.3g} W per thread (TDP {tdp:g} W in CodeCarbon's table / {model.threads} "
            f"threads of one {model.name} {model.threads_from})"
        )
        why = "half of that share and twice that share for a thread with a core or turbo to itself"
        return ThreadPower(LOW * share, share, HIGH * share, how, why)
    # A virtual machine seldom shows more threads of a socket than the processor has.
    most = tdp / max(1, model.shown_threads // model.sockets)
    middle = min(usual, most)
    how = (
        f"{middle:.3g} W per thread (TDP {tdp:g} W in CodeCarbon's table but this machine does not "
        f"show how many threads one {model.name} has)"
    )
    low, high = min(LEAST, LOW * most), min(MOST, HIGH * most)
    return ThreadPower(low, middle, high, how, _unknown())


def _unknown() -> str:
    return "from the processors with the most threads to old ones with few"
