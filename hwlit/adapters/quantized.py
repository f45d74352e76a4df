"""Quantized: the frozen weights of linear layers in 8 or 4 bits, for another method to learn on.

Idea: what does not learn need not be exact. QLoRA is a chain of this and LoRA: the base takes an
eighth (NF4) or a quarter (int8) of its memory in fp32, and the update is learned in fp32 on top.
Heads are never quantised, nor are embeddings and norms.

Costs time: a 4-bit weight is unpacked at each call, which is slower than fp32 on most CPUs and than
bf16 on GPUs. Costs exactness: the outputs change before anything is learned (the error of a layer
is about 0.4 % in 8 bits and 9 % in NF4). Merged, the weights are plain again, in fp32.

Loses to plain LoRA wherever the model fits into memory.

Source: Dettmers et al. 2023, QLoRA, https://arxiv.org/abs/2305.14314.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hwlit.adapters import bitsandbytes_linear, onednn_linear, torchao_linear
from hwlit.adapters.base import (
    Adapter,
    NoSiteError,
    NotMergeableError,
    freeze,
    match,
    plain_modules,
)
from hwlit.adapters.formats import Bf16, Format, Fp32, shapes
from hwlit.adapters.targets import matrices
from hwlit.errors import UsageError

LADDER: tuple[Format, ...] = (bitsandbytes_linear.NF4(), bitsandbytes_linear.Int8(), Bf16(), Fp32())
KNOWN: tuple[Format, ...] = (
    *LADDER,
    bitsandbytes_linear.FP4(),
    torchao_linear.Int8WeightOnly(),
    torchao_linear.Int4WeightOnly(),
    onednn_linear.OneDnnInt8(),
    onednn_linear.OneDnnInt4(),
)
"""One of each kind, to tell whose layer one is; torchao's two in 8 bits have the same weights."""


@dataclass(frozen=True)
class Choice:
    """What a format became on a device.

    Args:
        asked: Name of the format that was asked for, or `auto`.
        format: The format that was taken.
        why: Why it is another one than was asked for; or, where it is not, what it costs there.
        device: Type of the device that it was chosen for.
    """

    asked: str
    format: Format
    why: str
    device: torch.device

    @property
    def fell_back(self) -> bool:
        """Whether it is another one than was asked for."""
        return self.asked not in ("auto", self.format.name)

    @property
    def told(self) -> str:
        """What a user must know of it, in one sentence; empty where there is nothing."""
        if self.asked != self.format.name:
            return f"asked for {self.asked}, took {self.format.name}: {self.why or 'the first'}"
        return f"{self.asked} saves memory and not time: {self.why}" if self.why else ""


@dataclass(frozen=True, kw_only=True)
class Quantized(Adapter):
    """Freezes the network and holds the weights of its linear layers in fewer bits.

    Args:
        learning_rate: Learning rate of the heads; in a chain the chain has it.
        format: How the weights are held; null takes the fewest bits that the device computes by
            itself, of NF4, LLM.int8, bf16 and fp32.
        targets: Globs over module names; null takes every linear layer that is in no head.
        strict: Refuse where the device cannot do the format, instead of taking one of more bits.
    """

    learning_rate: float = 1e-3
    format: Format | None = None
    targets: tuple[str, ...] | None = None
    strict: bool = False
    heads: tuple[str, ...] = field(default=(), init=False, repr=False)
    choice: Choice | None = field(default=None, init=False, repr=False)

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Quantized:
        """Return the adapter with its format decided for a device.

        Raises:
            UsageError: The device cannot do the format, and `strict` is set.
        """
        return self.knowing(heads=heads, choice=choose(self.format, device, self.strict))

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the layers whose weights are held in fewer bits."""
        return layers_to_round(network, self.targets, self.heads)

    def attach(self, network: nn.Module) -> None:
        """Freeze the network and quantise its layers one by one, each freed before the next.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: The format takes no layer of such a type or shape.
        """
        freeze(network)
        self.quantize(network)

    def quantize(self, network: nn.Module) -> None:
        """Quantise the layers and let learn what learns; nothing else is done to the network."""
        choice = self._choice(network)
        for name in self.sites(network):
            layer = network.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            if layer.weight.dtype == torch.float64:
                raise UsageError("weights in fp64 cannot be quantised; take --trainer.precision 32")
            if type(layer) is not nn.Linear and choice.format.transformers_config([]) is not None:
                raise UsageError(
                    f"{name} is a {type(layer).__name__}, which transformers leaves as it is where "
                    "it quantises a base, so the export would not load equal; take lora"
                )
            network.set_submodule(name, choice.format.quantize(layer, choice.device), strict=True)
        if not isinstance(choice.format, Fp32):
            _leave_the_file(network)

    def rest(self, network: nn.Module) -> None:
        """Quantise a network as it is before anything is learned."""
        self.quantize(network)

    def merge(self, network: nn.Module) -> None:
        """Put plain layers in place, with the values that the quantised weights stand for."""
        dequantize(network)

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return what was asked for, what it became, and why."""
        choice, sites = self._choice(network), self.sites(network)
        first = dict(plain_modules(network))[sites[0]]
        merged = choice.format.dequantize(first).weight.dtype
        held = choice.format.facts(choice.device, shapes(network, sites))
        if choice.asked != choice.format.name:
            held["why"] = choice.why  # why it is another
        return {
            "quantisation": {
                "asked": choice.asked,
                "got": choice.format.name,
                **held,
                "fell_back": choice.fell_back,
                "bits": choice.format.bits,
                "layers": len(sites),
                "merged_dtype": str(merged).removeprefix("torch."),
                **left_whole(network, self.heads),
            }
        }

    def remarks(self, network: nn.Module) -> tuple[str, ...]:
        """Return what the format became, and which matrices stay in full precision."""
        return (*super().remarks(network), *told_whole(self.title, network, self.heads))

    def base_config(self, network: nn.Module) -> dict[str, Any] | None:
        """Return the `quantization_config` by which transformers quantises the same layers."""
        sites = set(self.sites(network))
        linear = (n for n, m in plain_modules(network) if isinstance(m, nn.Linear))
        skipped = [name for name in linear if name not in sites]
        return self._choice(network).format.transformers_config(skipped)

    @property
    def title(self) -> str:
        """Name of the format, such as `nf4`."""
        asked = self.choice.format if self.choice else self.format
        return asked.name if asked else "quantised"

    @property
    def phase(self) -> str:
        """Phase of the ledger in which the layers are quantised."""
        return "quantise"

    @property
    def wraps(self) -> bool:
        """Say that layers are replaced by ones that only `merge` turns into plain ones again."""
        return True

    @property
    def only_base(self) -> bool:
        """Say that it learns nothing but what the task has in its heads."""
        return True

    @property
    def remark(self) -> str:
        """What the format became, and why."""
        return "" if self.choice is None else self.choice.told

    @property
    def rounds(self) -> bool:
        """Say that outputs are only as exact as the format."""
        return not (self.choice and isinstance(self.choice.format, Fp32))

    @property
    def passes_gradients(self) -> bool:
        """Whether another method can learn below these layers."""
        asked = self.choice.format if self.choice else self.format
        return asked is None or asked.trains

    @property
    def lossless(self) -> bool:
        """Say that the outputs change."""
        return not self.rounds

    def _choice(self, network: nn.Module) -> Choice:
        if self.choice is not None:
            return self.choice
        return choose(self.format, next(network.parameters()).device, self.strict)


def choose(asked: Format | None, device: torch.device, strict: bool = False) -> Choice:
    """Return the format of the fewest bits that a device can do, from the one asked for upwards.

    Args:
        asked: The format; None takes the first of NF4, LLM.int8, bf16 and fp32 that the device
            computes by itself.
        device: Where the network will compute.
        strict: Refuse to take another.

    Raises:
        UsageError: The device cannot do it, and `strict` is set.
    """
    if asked is None:
        told = ((each, each.unsupported(device) or each.emulated(device)) for each in LADDER)
        passed = []
        for each, reason in told:
            if reason is None:
                break
            passed.append(f"{each.name} ({reason})")
        why = f"passed over: {'; '.join(passed)}" if passed else ""
        return Choice("auto", each, why, device)
    if (reason := asked.unsupported(device)) is None:
        return Choice(asked.name, asked, asked.emulated(device) or "", device)
    wider = [each for each in LADDER if each.bits > asked.bits]
    able = [each for each in wider if each.unsupported(device) is None]
    if strict:
        raise UsageError(
            f"{asked.name} does not work here ({reason}); this device can do "
            f"{', '.join(each.name for each in able)}: take one of these, or set strict to false"
        )
    return Choice(asked.name, able[0], reason, device)


def layers_to_round(
    network: nn.Module, targets: tuple[str, ...] | None, heads: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of the linear layers that a method holds in fewer bits.

    Args:
        network: The network.
        targets: Globs over module names; None takes all.
        heads: Names of the modules that belong to the task.

    Raises:
        NoSiteError: There is none, or a target matches nothing.
    """
    names = linear_layers(network, heads)
    if not names:
        raise NoSiteError(
            f"{type(network).__name__} has no torch.nn.Linear outside its heads (GPT-2 and "
            "SqueezeBERT have convolutions in its place), so nothing can be held in fewer bits; "
            "take lora, or another model"
        )
    return match(targets or ("*",), names)


def linear_layers(network: nn.Module, heads: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the linear layers that can be quantised, those of heads aside.

    transformers keeps a few layers in fp32 whose callers read their type: quantised, T5's `wo`
    would have its inputs cast to whole numbers.

    Args:
        network: The network.
        heads: Names of the modules that belong to the task.
    """
    inside = tuple(head + "." for head in heads)
    kept = (network._keep_in_fp32_modules or ()) if isinstance(network, PreTrainedModel) else ()
    return tuple(
        name
        for name, module in plain_modules(network)
        if isinstance(module, nn.Linear)
        and not f"{name}.".startswith(inside)
        and not set(kept) & set(name.split("."))
    )


def left_whole(network: nn.Module, heads: tuple[str, ...]) -> dict[str, Any]:
    """Return what the record says of matrices that no linear layer holds, such as fused experts."""
    share, names = matrices(network, heads)
    return {"whole": list(names), "whole_share": round(share, 4)} if names else {}


def told_whole(title: str, network: nn.Module, heads: tuple[str, ...]) -> tuple[str, ...]:
    """Return a remark on the matrices that stay in full precision; none where there are none."""
    share, names = matrices(network, heads)
    if not names:
        return ()
    told = f"{title}: {100 * share:.3g} % of the base stays as it is, for no linear layer holds it"
    return (f"{told}: {', '.join(names[:6])}",)


def dequantize(network: nn.Module) -> None:
    """Put a plain layer in the place of every quantised one, in place.

    Raises:
        NotMergeableError: The plain values are not finite.
    """
    for name, layer in list(network.named_modules()):
        if (owner := _owner(layer)) is None:
            continue
        plain = owner.dequantize(layer)
        if not bool(plain.weight.isfinite().all()):
            raise NotMergeableError(f"{name} has weights that are not finite once dequantised")
        network.set_submodule(name, plain, strict=True)


def _leave_the_file(network: nn.Module) -> None:
    """Copy what is left of the weights out of the file that they were read from.

    transformers maps the file into memory, and each weight is a part of that map: as long as one
    is left, such as an embedding, the full precision of all others stays resident.
    """
    for parameter in network.parameters():
        if type(parameter) is nn.Parameter:
            parameter.data = parameter.data.clone()


def quantised_layers(network: nn.Module) -> list[str]:
    """Return the names of the layers whose weights are held in fewer bits, as if plain."""
    return [name for name, layer in plain_modules(network) if _owner(layer) is not None]


def _owner(layer: nn.Module) -> Format | None:
    return next((each for each in KNOWN if each.owns(layer)), None)
