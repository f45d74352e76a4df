"""Which class measures which torch device."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hwlit.devices.base import Device
from hwlit.devices.cpu import Cpu
from hwlit.devices.cuda import Cuda
from hwlit.devices.generic import Generic
from hwlit.devices.tpu import Tpu

ACCELERATORS: dict[str, Callable[[torch.device, Cpu], Device]] = {"cuda": Cuda, "xla": Tpu}


def device_for(torch_device: torch.device) -> Device:
    """Return the device to measure, by the type of the torch device.

    Raises:
        ResourceError: What the class needs is not installed.
    """
    host = Cpu()
    if torch_device.type == host.kind:
        return host
    return ACCELERATORS.get(torch_device.type, Generic)(torch_device, host)
