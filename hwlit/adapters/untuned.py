"""The baseline: nothing learns.

Idea: what the pretrained network does with a head that was never trained shows what chance is.

Costs no training at all; the row has quality and latency of the base.

Loses to everything that learns: it is there to be compared with.

Source: the usual untrained baseline; no paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from hwlit.adapters.base import Adapter, freeze


@dataclass(frozen=True, kw_only=True)
class Untuned(Adapter):
    """Learns nothing: no training loop and no optimizer; the row is tested like any other.

    Args:
        learning_rate: Never used; here because every adapter has one.
    """

    trains_heads: ClassVar[bool] = False

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return nothing, for nothing is touched."""
        return ()

    def attach(self, network: nn.Module) -> None:
        """Freeze everything."""
        freeze(network)
