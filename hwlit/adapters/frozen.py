"""Partial freezing: the first layers keep their pretrained weights, the rest learns.

Idea: early layers hold what most tasks share, so only the late ones are taught the task.

Costs a share of full fine-tuning that follows the layers left to learn: their gradients, moments
and backward pass. Nothing is added to a call.

Loses to LoRA in memory and file size at like quality, for whole layers learn; and to full
fine-tuning where the texts are unlike those of pretraining, for early layers then must move.

Source: Lee et al. 2019, What Would Elsa Do?, https://arxiv.org/abs/1911.03090.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from hwlit.adapters.base import Adapter, NoSiteError, modules_with_parameters
from hwlit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Frozen(Adapter):
    """Freezes the first transformer layers and, if asked, the embeddings.

    Args:
        learning_rate: Learning rate of everything that stays free.
        layers: How many layers are frozen, counted from the input.
        embeddings: Whether the embeddings are frozen too.
    """

    learning_rate: float = 5e-5
    layers: int = 4
    embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 0:
            raise UsageError(f"layers must be 0 or more, got {self.layers}")

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the modules that learn: all that own parameters and are not frozen."""
        frozen = self._frozen(network)
        return tuple(
            name
            for name in modules_with_parameters(network)
            if not any(name == prefix or name.startswith(prefix + ".") for prefix in frozen)
        )

    def attach(self, network: nn.Module) -> None:
        """Let everything learn but the frozen modules."""
        frozen = self._frozen(network)
        for parameter in network.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        for name in frozen:
            for parameter in network.get_submodule(name).parameters():
                parameter.requires_grad_(False)

    def _frozen(self, network: nn.Module) -> tuple[str, ...]:
        layers = layer_names(network)
        if self.layers > len(layers):
            raise UsageError(
                f"layers is {self.layers}, but the network has only {len(layers)} layers to freeze"
            )
        return (*layers[: self.layers], *([embeddings_name(network)] if self.embeddings else []))


def layer_names(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the transformer layers, from the input on.

    Raises:
        NoSiteError: No list of modules is as long as the config says that there are layers.
    """
    depth = _config_depth(network)
    stacks = [
        (sum(p.numel() for p in module.parameters()), name)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    if not stacks:
        raise NoSiteError(f"no stack of {depth} layers found in {type(network).__name__}")
    _, stack = max(stacks)
    return tuple(f"{stack}.{index}" for index in range(depth))


def embeddings_name(network: nn.Module) -> str:
    """Return the name of the module that holds the embeddings, position and norm included."""
    if not isinstance(network, PreTrainedModel):
        raise NoSiteError(f"{type(network).__name__} does not say where its embeddings are")
    table = network.get_input_embeddings()
    name: str = next(name for name, module in network.named_modules() if module is table)
    parent = name.rpartition(".")[0]
    # BERT keeps tables and norm together in `embeddings`; Llama's table lies in the model itself.
    return parent if parent.rpartition(".")[2] == "embeddings" else name


def _config_depth(network: nn.Module) -> int:
    if not isinstance(network, PreTrainedModel):
        raise NoSiteError(f"{type(network).__name__} does not say how many layers it has")
    return int(network.config.get_text_config().num_hidden_layers)
