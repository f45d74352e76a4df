"""Linear probing: the pretrained network is a fixed feature extractor, only the head learns.

Idea: if the classes lie apart in the pretrained features, a linear layer finds the border.

Costs the least of the methods that learn: no gradient runs through the network.

Loses where the pretrained features do not already separate the classes.

Source: Alain and Bengio 2016, https://arxiv.org/abs/1610.01644.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hwlit.adapters.base import Adapter, freeze


@dataclass(frozen=True, kw_only=True)
class HeadOnly(Adapter):
    """Freezes everything; the task's heads learn, as they do under every adapter but `Untuned`.

    Args:
        learning_rate: Learning rate of the heads.
    """

    learning_rate: float = 5e-3

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return nothing: the heads are the task's."""
        return ()

    def attach(self, network: nn.Module) -> None:
        """Freeze everything; the task unfreezes its heads afterwards."""
        freeze(network)
