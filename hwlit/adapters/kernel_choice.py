"""The choice of a kernel: each is timed at the shape at hand, and the fastest is taken.

Idea: how fast a kernel is depends on processor, library, shape and threads, and no flag and no name
of a processor tells it. So a few calls of each are timed in turns, on the rows that are to be
multiplied, once a process for each shape of a layer, class of rows and number of threads. A kernel
that is not exact is none, so a choice moves times and no bit of an output. fp32 takes part: nothing
is taken that is slower than the same product in floating point.

Costs some tens of milliseconds where a shape is first met, and is bounded: a kernel that takes
many times as long as fp32 is given up at two rows of a small matrix, or at the first small share of
the rows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hwlit.adapters.int8_kernels import FLOAT, KERNELS, Kernel
from hwlit.adapters.rounding import LARGEST

CLASSES = (1, 4, 16, 64, 256, 1024, 4096)  # most rows of a class; what has more is of the last
PROBE_ROWS, PROBE_SIDE = 2, 256  # a size that every kernel should like
TYPICAL_ROWS, TYPICAL_SIDE = 64, 768
HOPELESS = 8  # times as long as fp32: more than the cost of calls and a busy machine explain
PART = 16  # of many rows a share of this is tried first
TRIES, ROUNDS, SECONDS = 3, 5, 0.1

Call = Callable[[], Tensor]


class Case(NamedTuple):
    """What a kernel is chosen for; a tuple, for every call of a layer makes one.

    Args:
        device: The device, as torch writes it.
        in_features: Size of a row of the input.
        out_features: Size of a row of the output.
        up_to_rows: Most rows of the class; the last class has no end.
        threads: Threads of torch.
    """

    device: str
    in_features: int
    out_features: int
    up_to_rows: int
    threads: int

    @classmethod
    def of(cls, integers: Tensor, weight: Tensor) -> Case:
        """Return the case of a product: (rows, in_features), (out_features, in_features)."""
        outputs, inputs = weight.shape
        up_to = next((most for most in CLASSES if len(integers) <= most), CLASSES[-1])
        return cls(str(integers.device), inputs, outputs, up_to, torch.get_num_threads())


@dataclass(frozen=True)
class Choice:
    """A kernel, and why it was taken.

    Args:
        kernel: The kernel.
        rows: Rows that the times are of.
        seconds: Median time of a call, by kernel; empty where there is but one.
        dropped: Why others were given up before that, by kernel.
    """

    kernel: Kernel
    rows: int
    seconds: Mapping[str, float]
    dropped: Mapping[str, str]


def now(device: torch.device) -> float:
    """Return the time in seconds, once a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass
class Chooser:
    """Tries kernels and remembers what it chose.

    Args:
        kernels: Kernels by type of device, each time with the one in floating point last, which
            the others are held against and which is never given up.
        clock: Returns the time in seconds, once a device is done.
    """

    kernels: Mapping[str, Sequence[Kernel]] = field(default_factory=lambda: KERNELS)
    clock: Callable[[torch.device], float] = now

    def __post_init__(self) -> None:
        self.choices: dict[Case, Choice] = {}
        self._typical: dict[Case, Choice] = {}
        self._left: dict[Case, tuple[Sequence[Kernel], dict[str, str]]] = {}

    def choose(self, integers: Tensor, weight: Tensor, scale: Tensor) -> Kernel:
        """Return the fastest of the kernels that are exact.

        Args:
            integers: Of -127 to 127, (rows, in_features), fp32, one row at least.
            weight: int8, (out_features, in_features).
            scale: What each row of the weights is multiplied by, (out_features,), fp32.
        """
        case = Case.of(integers, weight)
        if case not in self.choices:
            self.choices[case] = self._try(case, integers[: CLASSES[-1]], weight, scale)
        return self.choices[case].kernel

    def chosen(
        self, device: torch.device, shapes: Collection[tuple[int, int]]
    ) -> dict[Case, Choice]:
        """Return what was chosen so far for layers of some shapes, in order.

        Args:
            device: Where they compute.
            shapes: Their in_features and out_features.
        """
        return {
            case: choice
            for case, choice in sorted(self.choices.items(), key=lambda item: item[0])
            if torch.device(case.device).type == device.type
            and (case.in_features, case.out_features) in shapes
        }

    def typical(self, device: torch.device) -> Choice:
        """Return what would be chosen for 64 rows of 768 x 768: to tell before there are rows."""
        product = _extremes(TYPICAL_ROWS, TYPICAL_SIDE, TYPICAL_SIDE, device)
        case = Case.of(*product[:2])
        if case not in self._typical:
            self._typical[case] = self._try(case, *product)
        return self._typical[case]

    @torch.no_grad()
    def _try(self, case: Case, integers: Tensor, weight: Tensor, scale: Tensor) -> Choice:
        device = integers.device
        if len(only := self.kernels.get(device.type, (FLOAT,))) == 1:
            return Choice(only[0], len(integers), {}, {})
        able, dropped = self._able(case, device)
        packed = {kernel: kernel.pack(weight) for kernel in able}
        if len(part := integers[: len(integers) // PART]) > 1:
            calls = {k: _call(k, part, packed[k], scale) for k in able}
            dropped = dropped | self._slow(calls, device, f"{len(part)} rows")
        calls = {k: _call(k, integers, packed[k], scale) for k in able if k.name not in dropped}
        *others, fp32 = calls
        wanted = calls[fp32]()
        for kernel in others:
            if not torch.equal(calls[kernel](), wanted):
                dropped = {**dropped, kernel.name: "it is not exact"}
                del calls[kernel]
        seconds = self._medians(calls, device)
        best = min(calls, key=lambda kernel: seconds[kernel.name])  # of equals the first
        return Choice(best, len(integers), seconds, dropped)

    def _able(self, case: Case, device: torch.device) -> tuple[Sequence[Kernel], dict[str, str]]:
        """Return the kernels that are left at a shape, and why others are not."""
        dropped: dict[str, str] = {}
        able: Sequence[Kernel] = self.kernels.get(device.type, (FLOAT,))
        for sides in ((PROBE_SIDE, PROBE_SIDE), (case.in_features, case.out_features)):
            probe = Case(case.device, *sides, PROBE_ROWS, case.threads)
            if probe not in self._left:
                dropped = dropped | self._unfit(able, sides, device)
                self._left[probe] = [k for k in able if k.name not in dropped], dropped
            able, dropped = self._left[probe]
        return able, dropped

    def _unfit(
        self, able: Sequence[Kernel], sides: tuple[int, int], device: torch.device
    ) -> dict[str, str]:
        """Return which kernels fail, round, overflow or dawdle at a few rows of a shape."""
        integers, weight, scale = _extremes(PROBE_ROWS, *sides, device)
        wanted = torch.outer(integers[:, 0].double(), weight[:, 0].double()).mul_(sides[0]).float()
        dropped, calls = {}, {}
        for kernel in able:
            try:
                call = _call(kernel, integers, kernel.pack(weight), scale)
                exact = torch.equal(call(), wanted)
            except RuntimeError as error:
                told = str(error).strip().partition("\n")[0].rstrip(". ")[:120]
                dropped[kernel.name] = f"it fails: {told or 'no message'}"
                continue
            if exact or kernel == able[-1]:
                calls[kernel] = call
            else:  # as on processors that add pairs of products in 16 bits
                dropped[kernel.name] = "it is not exact"
        return dropped | self._slow(calls, device, f"{PROBE_ROWS} rows of {sides[0]} x {sides[1]}")

    def _slow(
        self, calls: Mapping[Kernel, Call], device: torch.device, where: str
    ) -> dict[str, str]:
        """Return which kernels take many times as long as the last one, which is fp32."""
        *others, fp32 = calls
        most = HOPELESS * min(self._time(calls[fp32], device) for _ in range(TRIES))
        dropped = {}
        for kernel in others:
            least = self._time(calls[kernel], device)
            for _ in range(TRIES - 1):  # other work on the machine can hit a call, or two
                if least > most:
                    least = min(least, self._time(calls[kernel], device))
            if least > most:
                ratio = f"{HOPELESS * least / most:,.0f}" if most > 0 else "many"
                dropped[kernel.name] = f"it takes {ratio} times as long as fp32 for {where}"
        return dropped

    def _medians(self, calls: Mapping[Kernel, Call], device: torch.device) -> dict[str, float]:
        """Return the median time of calls that are timed in turns, within a budget."""
        times: dict[str, list[float]] = {kernel.name: [] for kernel in calls}
        for _ in range(ROUNDS):
            for kernel, call in calls.items():
                times[kernel.name].append(self._time(call, device))
            if sum(map(sum, times.values())) > SECONDS:
                break
        return {name: statistics.median(found) for name, found in times.items()}

    def _time(self, call: Call, device: torch.device) -> float:
        start = self.clock(device)
        call()
        return self.clock(device) - start


CHOOSER = Chooser()
"""What layers ask, unless they are given another: choices are made once a process."""


def to_plain(choices: Mapping[Case, Choice]) -> list[dict[str, Any]]:
    """Return choices as a record has them."""
    return [
        {
            "in_features": case.in_features,
            "out_features": case.out_features,
            "up_to_rows": case.up_to_rows,
            "threads": case.threads,
            "kernel": choice.kernel.name,
            "integer": choice.kernel.integer,
            "rows": choice.rows,
            "seconds": dict(choice.seconds),
            "dropped": dict(choice.dropped),
        }
        for case, choice in choices.items()
    ]


def in_floating_point(choices: Mapping[Case, Choice]) -> str:
    """Return for how many sizes integers multiply as fp32, in a clause; empty where for none."""
    floating = sum(not choice.kernel.integer for choice in choices.values())
    if not floating:
        return ""
    return (
        f"at {floating} of {len(choices)} sizes that were met no exact kernel for integers is "
        "faster than fp32, so there the same integers multiply as fp32"
    )


def _call(kernel: Kernel, integers: Tensor, packed: Any, scale: Tensor) -> Call:
    return lambda: kernel.multiply(integers, packed, scale)


def _extremes(
    rows: int, inputs: int, outputs: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return integers, weights and scales whose sums are the largest and the least there are."""
    integers = torch.full((rows, inputs), float(LARGEST), device=device)
    integers[1::2] *= -1
    weight = torch.full((outputs, inputs), LARGEST, dtype=torch.int8, device=device)
    weight[1::2] *= -1
    return integers, weight, torch.ones(outputs, device=device)
