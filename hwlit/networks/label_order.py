"""The rows of a classifier's head, put in another order: each row stands for one class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedModel

from hwlit.errors import IntegrityError
from hwlit.networks.loading import loading


def own_labels(folder: str) -> tuple[str, ...]:
    """Return the class names of a pretrained model by its config, LABEL_0 and so on by default.

    Args:
        folder: The local folder of the model.

    Raises:
        IntegrityError: Its config cannot be read.
    """
    with loading(f"the config of {folder}", lambda error: "fetch it again", IntegrityError):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    names = config.id2label or {}
    return tuple(names[index] for index in sorted(names))


def order_of(labels: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Return for each wanted name the index of that label; None where the names are not the same.

    Names are compared without regard to case.
    """
    known = {label.casefold(): index for index, label in enumerate(labels)}
    names = [name.casefold() for name in wanted]
    if len(known) != len(labels) or sorted(known) != sorted(names):
        return None
    return [known[name] for name in names]


def output_tensors(network: PreTrainedModel) -> tuple[str, ...]:
    """Return the names of the parameters of the output layer, which have one row for each class."""
    classes, body = network.config.num_labels, f"{network.base_model_prefix}."
    layers = [
        (name, [parameter for parameter, _ in module.named_parameters(recurse=False)])
        for name, module in network.named_modules()
        if not f"{name}.".startswith(body) and _rows(module) == classes
    ]
    name, parameters = layers[-1]  # the layers before it may be as wide
    return tuple(f"{name}.{parameter}" for parameter in parameters)


@torch.no_grad()
def reorder(parameters: Sequence[nn.Parameter], order: Sequence[int]) -> None:
    """Put the rows of parameters in another order, in place."""
    for parameter in parameters:
        parameter.copy_(parameter[list(order)].clone())


def _rows(module: nn.Module) -> int | None:
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    return None if weight is None else len(weight)
