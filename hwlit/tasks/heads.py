"""The heads of a network, which learn whole."""

from __future__ import annotations

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from hwlit.adapters.base import Wrapper
from hwlit.errors import UsageError


def refuse_wrapped_heads(network: nn.Module, heads: tuple[str, ...]) -> None:
    """Refuse an adapter inside a head: the head learns whole, and is saved whole.

    Args:
        network: The network with its adapter attached.
        heads: Names of the heads.

    Raises:
        UsageError: A target of the adapter lies in a head.
    """
    for head in heads:
        for name, module in network.get_submodule(head).named_modules(prefix=head):
            if isinstance(module, BaseTunerLayer | Wrapper):
                raise UsageError(
                    f"a target matches {name}, which belongs to the head and learns whole anyway; "
                    "narrow --model.adapter.targets to the layers below"
                )
