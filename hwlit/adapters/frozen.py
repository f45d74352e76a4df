"""Partial freezing: the first layers keep their pretrained weights, the rest learns.

Idea: early layers hold what most tasks share, so only the late ones are taught the task.

Costs a share of full fine-tuning that follows the layers left to learn: their gradients, moments
and backward pass. Nothing is added to a call.

Loses to LoRA in memory and file size at like quality, for whole layers learn; and to full
fine-tuning where the texts are unlike those of pretraining, for early layers then must move.

Source: Lee et al. 2019, What Would Elsa Do?, https://arxiv.org/abs/1911.03090.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

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
        first = (name for layer in layers[: self.layers] for name in layer)
        return (*first, *([embeddings_name(network)] if self.embeddings else []))


def layer_names(network: nn.Module) -> tuple[tuple[str, ...], ...]:
    """Return the transformer layers, from the input on, each by the names of its modules.

    Most are one module. Flaubert and XLM keep attentions and feed-forward blocks in lists of their
    own, side by side; Funnel has lists of layers in a list; where there is an encoder and a
    decoder, the texts go through the encoder first.

    Raises:
        NoSiteError: No list of modules is as long as the config says that there are layers.
    """
    depths = _config_depths(network)
    stacks: dict[str, list[tuple[str, ...]]] = {}  # lists of layers by the name of their owner
    passed: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if isinstance(module, nn.ModuleList) and not name.startswith(passed or "\0"):
            passed += (name + ".",)
            leaves = tuple(_leaves(name, module))
            if len(leaves) in depths:
                stacks.setdefault(name.rpartition(".")[0], []).append(leaves)
    if not stacks:
        raise NoSiteError(
            f"no list of {depths[0]} layers found in {type(network).__name__}, for it shares its "
            "layers or names them otherwise; take lora, head_only or full"
        )
    if len(depths) == 1:
        sizes = {owner: sum(map(partial(_size, network), lists)) for owner, lists in stacks.items()}
        stacks = {owner: stacks[owner] for owner in [max(sizes, key=lambda each: sizes[each])]}
    return tuple(layer for lists in stacks.values() for layer in zip(*lists, strict=False))


def embeddings_name(network: nn.Module) -> str:
    """Return the name of the module that holds the embeddings, position and norm included."""
    if not isinstance(network, PreTrainedModel):
        raise NoSiteError(f"{type(network).__name__} does not say where its embeddings are")
    table = network.get_input_embeddings()
    name: str = next(name for name, module in network.named_modules() if module is table)
    parent = name.rpartition(".")[0]
    # BERT keeps tables and norm together in `embeddings`; Llama's table lies in the model itself.
    return parent if parent.rpartition(".")[2] == "embeddings" else name


def _leaves(name: str, module: nn.Module) -> Iterator[str]:
    """Yield the names of what a list of lists holds, in order."""
    for index, child in enumerate(module.children()):
        inner = f"{name}.{index}"
        yield from _leaves(inner, child) if isinstance(child, nn.ModuleList) else (inner,)


def _size(network: nn.Module, names: tuple[str, ...]) -> int:
    return sum(p.numel() for name in names for p in network.get_submodule(name).parameters())


def _config_depths(network: nn.Module) -> tuple[int, ...]:
    """Return how many layers there are; where there is a decoder as well, how many it has."""
    if not isinstance(network, PreTrainedModel):
        raise NoSiteError(f"{type(network).__name__} does not say how many layers it has")
    config = network.config.get_text_config()
    depth = int(config.num_hidden_layers)
    if not config.is_encoder_decoder:
        return (depth,)
    told = config.to_dict()
    return (depth, int(told.get("decoder_layers") or told.get("num_decoder_layers") or depth))
