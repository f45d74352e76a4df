"""How many parameters there are and how many learn."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from hwlit.callbacks.monitor import Monitor
from hwlit.records import COST, Reading, counted


class Parameters(Monitor):
    """Counts the parameters of the network as trained, heads included.

    Args:
        network: The network with its adapter attached and not merged.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._total = sum(parameter.numel() for parameter in network.parameters())
        self._total += sum(map(_packed, network.modules()))
        self._trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)

    def readings(self) -> Mapping[str, Reading]:
        """Return the total, what learns, and its share."""
        how = counted("parameters, heads included")
        return {
            "params/total": Reading(self._total, "1", how),
            "params/trainable": Reading(self._trainable, "1", how, measure=COST),
            "params/trainable_share": Reading(self._trainable / self._total, "1", how),
        }


def _packed(module: nn.Module) -> int:
    """Return how many weights of a layer lie two in a byte, beyond those that are counted."""
    if not isinstance(module, nn.Linear):
        return 0
    return module.in_features * module.out_features - module.weight.numel()
