"""Which precisions work on a device: each is tried, and timed against 32-true."""

from __future__ import annotations

import platform
import time
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from hwlit.devices.cpu_model import CPUINFO

SIZE = 512  # rows and columns of the product: 0.27 GFLOP, a few milliseconds
ROUNDS = 5
REPEATS = 2  # the first one of each round makes the kernels ready
# Names of Lightning: the type of the weights, and of the product.
PRECISIONS = {
    "32-true": (torch.float32, torch.float32),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "16-mixed": (torch.float32, torch.float16),
    "bf16-true": (torch.bfloat16, torch.bfloat16),
    "16-true": (torch.float16, torch.float16),
    "64-true": (torch.float64, torch.float64),
}
# Flags of Linux; the units that multiply in the type, the fastest first.
CPU_UNITS = {
    torch.float32: ("avx512f", "avx2", "asimd"),
    torch.float64: ("avx512f", "avx2", "asimd"),
    torch.bfloat16: ("amx_bf16", "avx512_bf16", "bf16"),
    torch.float16: ("amx_fp16", "avx512_fp16", "asimdhp"),
}


@dataclass(frozen=True)
class Trial:
    """What came of trying a precision.

    Args:
        seconds: The fastest forward and backward of a linear layer; None where it failed.
        unit: What of the hardware multiplies in this type; empty where that is not known.
        error: Why it failed.
    """

    seconds: float | None
    unit: str = ""
    error: str = ""


def try_precisions(device: torch.device) -> dict[str, Trial]:
    """Return what came of each precision, by Lightning's name."""
    flags = cpu_flags()
    trials: dict[str, Trial] = {}
    for _ in range(ROUNDS):  # in turns, so that what else the machine does falls on all alike
        for name, types in PRECISIONS.items():
            trial, before = _try(device, *types, flags), trials.get(name)
            if before is None or (trial.seconds or 0.0) < (before.seconds or 0.0):
                trials[name] = trial
    return trials


def cpu_flags() -> frozenset[str]:
    """Return what the kernel says that the CPU can do; nothing outside Linux."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    flags = {value for name, _, value in named if name.strip() in ("flags", "Features")}
    return frozenset(flag for value in flags for flag in value.split())


def _try(
    device: torch.device, weights: torch.dtype, product: torch.dtype, flags: frozenset[str]
) -> Trial:
    unit = _unit(device, product, flags)
    context = nullcontext() if weights == product else torch.autocast(device.type, dtype=product)
    try:
        layer = torch.nn.Linear(SIZE, SIZE, device=device, dtype=weights)
        batch = torch.ones(SIZE, SIZE, device=device, dtype=weights)
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            with context:
                loss = layer(batch).float().sum()
            loss.backward()
            loss.item()  # waits for the device
            times.append(time.perf_counter() - start)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return Trial(None, unit, str(error).partition("\n")[0])
    return Trial(min(times), unit)


def _unit(device: torch.device, product: torch.dtype, flags: frozenset[str]) -> str:
    """Return what multiplies in this type; for a CPU by its flags, for a GPU by its capability."""
    if device.type == "cuda" and torch.version.hip is None:
        major, minor = torch.cuda.get_device_capability(device)
        least = {torch.bfloat16: (8, 0), torch.float16: (7, 0)}.get(product)
        if least is None:
            return f"compute capability {major}.{minor}"
        return "tensor cores" if (major, minor) >= least else "none: emulated"
    if device.type != "cpu" or not flags:
        return ""
    found = next((unit for unit in CPU_UNITS[product] if unit in flags), None)
    return found or ("none: emulated" if platform.machine() in ("x86_64", "aarch64") else "")
