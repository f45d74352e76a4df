"""What adapters made by PEFT share: layers wrapped in place, folded back, saved in its format.

Source: `peft.inject_adapter_in_model`, which makes the same call, but refuses the methods whose
layers share projections (VeRA).
"""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from peft import PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.lora.layer import Linear
from peft.tuners.lora.torchao import TorchaoLoraLinear
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.save_and_load import get_peft_model_state_dict
from torch import Tensor, nn

from hwlit.adapters.base import Adapter, NotMergeableError, freeze
from hwlit.adapters.targets import Targets
from hwlit.errors import UsageError

NAME = "default"  # what PEFT calls an adapter that was given no name
# What PEFT raises where a config does not fit a network.
REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
Wrapped = Any  # a BaseTunerLayer that is a Module as well, which PEFT's types do not say
MEMORY = "hwlit_memory"  # child of a wrapped layer: what we must remember of it beside PEFT


@dataclass(frozen=True, kw_only=True)
class Injected(Adapter, ABC):
    """An adapter whose layers are PEFT's, wrapped around the network's own."""

    heads: tuple[str, ...] = field(default=(), init=False, repr=False)

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Self:
        """Return the adapter with the heads known, which it leaves alone."""
        return self.knowing(heads=heads)

    @abstractmethod
    def find_targets(self, network: nn.Module) -> Targets:
        """Return the layers to wrap, and how they were found.

        Raises:
            NoSiteError: A target matches nothing, or the network has no layer of the usual kinds.
        """

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the layers to wrap."""
        return self.find_targets(network).sites

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return how the layers were found, where the config does not name them."""
        return self.find_targets(network).facts()

    def remarks(self, network: nn.Module) -> tuple[str, ...]:
        """Return how the layers were found, where nobody named them and PEFT knows none."""
        told = self.find_targets(network).told
        return (*super().remarks(network), *([f"{self.title}: {told}"] if told else []))

    @property
    def wraps(self) -> bool:
        """Say that layers are wrapped."""
        return True

    @abstractmethod
    def injected_config(self, network: nn.Module) -> PeftConfig:
        """Return the config by which PEFT wraps the layers, with the full names of its targets."""

    def attach(self, network: nn.Module) -> None:
        """Freeze the network and wrap the target layers.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: PEFT refuses the config, or its folder could not hold what would be learned.
        """
        sites, config = self.sites(network), self.injected_config(network)
        freeze(network)
        inject(network, config)
        found = {name for name, _ in wrapped_layers(network)}
        if odd := sorted(found ^ set(sites)):  # PEFT also takes names that end alike
            raise UsageError(f"PEFT does not wrap the targets alone: {odd[0]}; give other targets")
        for parameter in network.parameters():
            # PEFT takes the type of the base, in which small updates are rounded away.
            if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
                parameter.data = parameter.data.float()

    def merge(self, network: nn.Module) -> None:
        """Fold what was learned into the weights and put the plain layers back in place.

        Raises:
            NotMergeableError: Nothing was attached, or the merged weights are not finite.
        """
        layers = list(wrapped_layers(network))
        if not layers:
            raise NotMergeableError("the network holds no wrapped layer; attach before merging")
        for name, layer in layers:
            # torchao's own merge quantises anew; by now its base is plain again.
            kind = Linear if isinstance(layer, TorchaoLoraLinear) else type(layer)
            try:
                kind.merge(layer, safe_merge=True)
            except (ValueError, TypeError, NotImplementedError) as error:
                raise NotMergeableError(f"{name} cannot be merged: {error}") from error
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, layer.get_base_layer())

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return what learns and what its layers hold beside it, such as shared projections."""
        saved = network.state_dict()
        wrapped = tuple(name + "." for name, _ in wrapped_layers(network))
        buffers = {
            name: tensor
            for name, tensor in network.named_buffers()
            if name in saved and name.startswith(wrapped) and ".base_layer." not in name
        }
        return {**super().state(network), **buffers}

    def peft_config(self, network: nn.Module) -> PeftConfig:
        """Return the config that `PeftModel.from_pretrained` rebuilds the layers from."""
        return self.injected_config(network)

    def peft_state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the tensors that PEFT itself saves of these layers."""
        return peft_tensors(network)


def inject(network: nn.Module, config: PeftConfig) -> None:
    """Wrap the layers that a PEFT config names, in place.

    Args:
        network: The network; nothing in it is wrapped yet.
        config: The config, its targets given by full names.

    Raises:
        UsageError: PEFT refuses the config, or would not save all that learns.
    """
    kind = type(config).__name__
    refused = f"{kind} cannot be used on this network"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            tuner(config)(network, config, NAME)
            saved = peft_tensors(network)
        except REFUSALS as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise UsageError(
                f"{refused}: {reason}; take other --model.adapter.targets or settings, or lora"
            ) from error
    for warning in told:
        # Where a setting does not fit, OFT takes another one and warns.
        if str(warning.message).startswith("Invalid"):
            raise UsageError(f"{refused}: {warning.message}")
    for _, layer in wrapped_layers(network):
        for name, child in layer.named_children():
            # Copied to half precision, PEFT's constants would learn (AdaLoRA's ranknum).
            if name in layer.other_param_names:
                child.requires_grad_(False)
    pointers = {tensor.data_ptr() for tensor in saved.values()}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and parameter.data_ptr() not in pointers:
            raise UsageError(
                f"{kind} learns {name}, which PEFT does not save with injected layers; take "
                "another method"
            )


def tuner(config: PeftConfig) -> type[BaseTuner]:
    """Return PEFT's class that wraps layers by such a config."""
    return PEFT_TYPE_TO_TUNER_MAPPING[PeftType(config.peft_type)]


def wrapped_layers(network: nn.Module) -> Iterator[tuple[str, Wrapped]]:
    """Yield the layers that PEFT wrapped, with their names."""
    for name, module in network.named_modules():
        if isinstance(module, BaseTunerLayer):
            yield name, module


def remember(layer: Wrapped, tensors: Mapping[str, Tensor]) -> None:
    """Keep copies of tensors in a wrapped layer; they travel with it and into checkpoints."""
    memory = BufferDict({name: t.detach().clone() for name, t in tensors.items()}, persistent=True)
    layer.add_module(MEMORY, memory)


def recall(layer: Wrapped) -> dict[str, Tensor]:
    """Return the tensors that a wrapped layer remembers, by name."""
    return dict(layer.get_submodule(MEMORY).named_buffers())


def peft_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return what PEFT saves of an injected network, by the names in its file, heads aside."""
    state: dict[str, Tensor] = dict(network.state_dict())
    shared = _shared_projections(network)
    found = get_peft_model_state_dict(
        network, state_dict=state | {f"{name}.{NAME}": t for name, t in shared.items()}
    )
    tensors = {
        name if name.startswith("base_model.") else f"base_model.model.{name}": tensor
        for name, tensor in found.items()
        if f".{MEMORY}." not in name
    }
    return tensors | shared


def _shared_projections(network: nn.Module) -> dict[str, Tensor]:
    """Return the saved tensors that all layers share, by the names that a PeftModel has for them.

    PEFT keeps them at the top of the model, beside the network, as well as in each layer.
    """
    holders: dict[str, list[BufferDict]] = {}
    for _, layer in wrapped_layers(network):
        for kind, child in layer.named_children():
            if isinstance(child, BufferDict) and child.persistent and kind != MEMORY:
                holders.setdefault(kind, []).append(child)
    return {
        f"base_model.{kind}": children[0].get_buffer(NAME)
        for kind, children in holders.items()
        if all(child is children[0] for child in children)
    }


def with_targets(config: PeftConfig, **names: tuple[str, ...]) -> PeftConfig:
    """Return a copy of a config with full names in its fields: PEFT changes what it is given."""
    fields: dict[str, Any] = {field: list(found) for field, found in names.items()}
    return dataclasses.replace(config, **fields)
