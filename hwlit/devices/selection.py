"""Which class measures which torch device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from hwlit.devices.base import Device
from hwlit.devices.cpu import Cpu
from hwlit.devices.cuda import Cuda
from hwlit.devices.generic import Generic
from hwlit.devices.tpu import Tpu

ACCELERATORS: dict[str, Callable[[torch.device, Cpu, Sequence[torch.device]], Device]] = {
    "cuda": Cuda,
    "xla": lambda torch_device, host, node_devices: Tpu(torch_device, host),
}


def device_for(torch_device: torch.device, node_devices: Sequence[torch.device] = ()) -> Device:
    """Return the device to measure, by the type of the torch device.

    Args:
        torch_device: The device of this process.
        node_devices: All devices of this node that the job uses; none stands for this one alone.

    Raises:
        ResourceError: What the class needs is not installed.
    """
    host = Cpu()
    if torch_device.type == host.kind:
        return host
    if torch_device.type not in ACCELERATORS:
        return Generic(torch_device, host)
    return ACCELERATORS[torch_device.type](torch_device, host, node_devices)
