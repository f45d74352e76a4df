"""Which kinds of devices this machine has, and why the others are not there."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import torch

from hwlit.devices.cpu_model import read_cpu_model
from hwlit.devices.tpu import tpu_chips


@dataclass(frozen=True)
class Presence:
    """One kind of device.

    Args:
        kind: The type of the torch device.
        names: The devices of this kind; none where it is absent.
        reason: Why there is none, and what would bring it.
    """

    kind: str
    names: tuple[str, ...] = ()
    reason: str = ""


def find_devices() -> tuple[Presence, ...]:
    """Return every kind that can be measured, the CPU first, whether it is there or not."""
    cpu = Presence("cpu", (read_cpu_model().name,))
    return (cpu, find_cuda(), find_mps(), find_xpu(), find_tpu())


def find_cuda() -> Presence:
    """Return the NVIDIA GPUs, or AMD's under ROCm, which torch calls by the same name."""
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return Presence("cuda", tuple(torch.cuda.get_device_name(i) for i in range(count)))
    if torch.version.cuda is None and torch.version.hip is None:
        why = f"torch {torch.__version__} is built without CUDA; with a GPU, install a CUDA build"
        return Presence("cuda", reason=f"{why} (https://pytorch.org/get-started)")
    return Presence("cuda", reason="torch sees no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES")


def find_mps() -> Presence:
    """Return the GPU of an Apple chip."""
    if torch.backends.mps.is_available():
        return Presence("mps", ("Apple GPU",))
    built = torch.backends.mps.is_built()
    return Presence("mps", reason="needs macOS 14 or newer" if built else "needs an Apple chip")


def find_xpu() -> Presence:
    """Return that an Intel GPU cannot be used, whether there is one or not."""
    if torch.xpu.is_available():
        return Presence("xpu", reason="Lightning has no accelerator for Intel GPUs")
    return Presence("xpu", reason="torch sees no Intel GPU, or is built without XPU")


def find_tpu() -> Presence:
    """Return the TPU chips; counting them takes none of them."""
    if importlib.util.find_spec("torch_xla") is None:
        return Presence("tpu", reason="torch_xla is not installed; on a TPU: torch_xla[tpu]")
    if not (chips := tpu_chips()):
        return Presence("tpu", reason="torch_xla is installed, but this machine has no TPU chip")
    return Presence("tpu", (f"{chips} chips",))
