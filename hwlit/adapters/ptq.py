"""PTQ: a trained network whose weights are rounded once, with nothing learned afterwards.

Idea: most weights can be told by 8 bits, and many by 4, without the outputs changing much; a
network that was fine-tuned and merged is as good a start as any.

Costs seconds. What is lost in quality is a number of the row, beside what is won.

Loses to QAT at 4 bits, where there are rows and time to learn with; in time to fp32 where the
device has no kernel for the format (NF4 on a CPU).

Source: Nagel et al. 2021, A White Paper on Neural Network Quantization,
https://arxiv.org/abs/2106.08295, section 3: rounding to the nearest, by the largest value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from hwlit.adapters.base import Adapter, freeze
from hwlit.adapters.formats import Format, shapes
from hwlit.adapters.quantized import layers_to_round, left_whole
from hwlit.adapters.quantized_state import SAVED
from hwlit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Ptq(Adapter):
    """Learns nothing; merging rounds every linear layer that is in no head.

    Args:
        learning_rate: Of no use: nothing learns.
        format: How the weights are held.
    """

    trains_heads: ClassVar[bool] = False

    format: Format
    heads: tuple[str, ...] = field(default=(), init=False, repr=False)
    device: torch.device = field(default=torch.device("cpu"), init=False, repr=False)

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Ptq:
        """Return the adapter with the heads known, which it leaves alone, and the device.

        Raises:
            UsageError: The device cannot compute the format.
        """
        if reason := self.format.unsupported(device):
            able = [name for name, each in SAVED.items() if each.unsupported(device) is None]
            can = f"this device can do {', '.join(able)}" if able else "this device can do none"
            raise UsageError(f"{self.format.name} does not work here ({reason}); {can}")
        return self.knowing(heads=heads, device=device)

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the layers that are rounded.

        Raises:
            NoSiteError: There is none.
        """
        return layers_to_round(network, None, self.heads)

    def attach(self, network: nn.Module) -> None:
        """Freeze everything."""
        freeze(network)

    def merge(self, network: nn.Module) -> None:
        """Put the rounded layers in place."""
        for name in self.sites(network):
            layer = network.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            made = self.format.quantize(layer, layer.weight.device)
            network.set_submodule(name, made, strict=True)

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return the format, how many layers have it, and how the device computes them."""
        made, sites = self.format, self.sites(network)
        found = {"format": made.name, "bits": made.bits, "layers": len(sites)}
        found |= left_whole(network, self.heads)
        return {"converts_to": {**found, **made.facts(self.device, shapes(network, sites))}}

    @property
    def title(self) -> str:
        """Name of the method, such as `PTQ onednn-int8`."""
        return f"PTQ {self.format.name}"

    @property
    def wraps(self) -> bool:
        """Say that merging is more than nothing."""
        return True

    @property
    def converts(self) -> bool:
        """Say that the merged network is the one to test."""
        return True
