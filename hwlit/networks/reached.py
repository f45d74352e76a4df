"""Which parameters of a network its logits depend on."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

TOKENS = 8  # of the text that is tried


def sharing_copy(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode with the same weights in memory.

    A forward can change what a network is: BigBird reads all that follows with full attention once
    it has read a short text.
    """
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, dict(shared)).eval()


def reached(network: PreTrainedModel, names: Sequence[str]) -> tuple[str, ...]:
    """Return the parameters that the logits depend on.

    BigBird's classifier computes a pooler and reads the tokens beside it, for one.

    Args:
        network: A sequence classifier; it is not changed.
        names: Names of parameters in it.

    Returns:
        Those of the names that get a gradient; all where the network reads no such short text.
    """
    probe = sharing_copy(network)
    parameters = [probe.get_parameter(name) for name in names]
    if not all(parameter.requires_grad for parameter in parameters):
        return tuple(names)
    ids = torch.zeros(1, TOKENS, dtype=torch.long, device=network.device)
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            logits = probe(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        found = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return tuple(names)  # it wants other inputs, or a kernel that is not there
    return tuple(name for name, grad in zip(names, found, strict=True) if grad is not None)
