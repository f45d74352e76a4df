"""The forms of a trained network that are compared: base, as trained, merged, quantised anew."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from hwlit.adapters.base import Adapter, NotMergeableError


@dataclass(frozen=True)
class Variants:
    """The forms of a trained network whose speed a user wants to compare.

    Args:
        networks: `reference`, `base`, `unmerged` and `merged`, as far as they are told apart.
        absent: Why one of them is missing, by name.
        same: Whether all three are the same modules, of which `unmerged` stands for all.
    """

    networks: dict[str, nn.Module]
    absent: dict[str, str] = field(default_factory=dict)
    same: bool = False


def variants_of(adapter: Adapter, network: nn.Module, base: Callable[[], nn.Module]) -> Variants:
    """Return the base, a network as trained, and a merged copy of it.

    Args:
        adapter: What is attached to the network.
        network: The network as trained.
        base: Loads the pretrained network anew.
    """
    first = base()
    networks = {"base": first, "unmerged": network}
    if adapter.rounds:
        networks = {"reference": first, "base": base(), "unmerged": network}
        adapter.rest(networks["base"])
    elif adapter.converts and _kinds(first) == _kinds(network):
        # Nothing was learned in a form of its own: what is rounded is compared with what was not.
        networks = {"base": network}
    elif _kinds(first) == _kinds(network):
        return Variants({"unmerged": network}, same=True)
    merged = copy.deepcopy(network)
    try:
        adapter.merge(merged)
    except NotMergeableError as error:
        return Variants(networks, {"merged": str(error)})
    return Variants({**networks, "merged": merged})


def requantised(adapter: Adapter, network: nn.Module) -> nn.Module:
    """Return a merged copy of a network whose base is quantised again.

    Raises:
        NotMergeableError: What was learned cannot be folded into plain weights.
    """
    again = copy.deepcopy(network)
    adapter.merge(again)
    adapter.rest(again)
    return again


def _kinds(network: nn.Module) -> list[tuple[str, type]]:
    """Return the modules by name and type: networks that agree in these take the same time."""
    return [(name, type(module)) for name, module in network.named_modules()]
