"""BitFit: only the biases learn.

Idea: the biases of a pretrained transformer are a small lever that moves every layer's features,
enough to bring out what the network knows already.

Costs gradients and optimizer moments for about 1 parameter in 1,000; the backward pass still runs
through the whole network, so a step is hardly faster than LoRA's. Nothing is added to a call.

Loses where there are no biases (Llama, ModernBERT and most newer models have none: refused) and
where the task needs new features rather than a shift of old ones: with many rows LoRA and full
fine-tuning pass it. Needs a far higher learning rate than full fine-tuning.

Source: Ben Zaken et al. 2021, https://arxiv.org/abs/2106.10199.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import torch
from torch import nn

from hwlit.adapters.base import Adapter, NoSiteError, freeze, match, plain_modules


@dataclass(frozen=True, kw_only=True)
class BitFit(Adapter):
    """Lets the biases learn and freezes the rest.

    Args:
        learning_rate: Learning rate of the biases and the heads.
        targets: Globs over the names of modules that have a bias, such as `*.query`; null takes
            all. The paper's smaller variant has the query and the first feed-forward layer alone.
    """

    learning_rate: float = 1e-3
    targets: tuple[str, ...] | None = None
    heads: tuple[str, ...] = field(default=(), init=False, repr=False)

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Self:
        """Return the adapter with the heads known: they learn anyway, biases or not."""
        return self.knowing(heads=heads)

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the modules whose bias learns.

        Raises:
            NoSiteError: A target matches nothing, or the network has no bias below its heads.
        """
        names = tuple(
            name
            for name, module in plain_modules(network)
            if any(own == "bias" for own, _ in module.named_parameters(recurse=False))
        )
        heads = tuple(head + "." for head in self.heads)
        if all(f"{name}.".startswith(heads) for name in names):
            raise NoSiteError(
                f"{type(network).__name__} has no biases{' below its head' if names else ''}, so "
                "BitFit has nothing to learn there; take lora, or ln_tuning, which is as small"
            )
        return match(self.targets or ("*",), names)

    def attach(self, network: nn.Module) -> None:
        """Freeze everything but the biases."""
        sites = self.sites(network)
        freeze(network)
        for name in sites:
            network.get_parameter(f"{name}.bias").requires_grad_(True)
