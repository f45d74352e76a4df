"""SVDiff: only the singular values of the weights learn.

Idea: a weight's singular directions stay as pretraining left them, and fine-tuning shifts how much
each counts: W = U diag(relu(s + delta)) V^T. So compact a space hardly overfits a few pictures,
and two concepts can be added as shifts.

Costs little disk: 0.03 % of the numbers of Stable Diffusion 1.5, 0.9 MB beside the 3.4 GB of its
UNet. It saves no memory in training: U and V lie beside the weights, 1.26 times the UNet (1.43
times SDXL's), and each layer multiplies by both. Gradients and moments are next to nothing. The SVD
takes minutes once, and as much disk as U and V. Merged it adds nothing to a call.

Loses to LoRA where training memory or step time counts, and where a concept needs directions that
the pretrained weights lack; to full fine-tuning in likeness of the subject. Needs a rate about
1000 times that of full fine-tuning. Embeddings are left as they are.

Source: Han et al. 2023, https://arxiv.org/abs/2303.11305. The rates are those of its community
implementation, https://github.com/mkshing/svdiff-pytorch, which also decays the shifts by 0.01:
here vectors never decay, which over its 500 steps differs by 0.5 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn import functional

from hwlit.adapters.base import Adapter, NotMergeableError, freeze, match, plain_modules
from hwlit.adapters.decomposition import decompose_all
from hwlit.adapters.spectral import (
    Spectral,
    SpectralConv2d,
    SpectralLinear,
    SpectralMatrix,
    SpectralScale,
)
from hwlit.errors import IntegrityError, UsageError

MATRICES = nn.Linear | nn.Conv2d
NORMS = nn.LayerNorm | nn.GroupNorm
# The UNet's and the text encoder's as the community implementation names them.
FILES = {
    "unet": "spectral_shifts.safetensors",
    "text_encoder": "spectral_shifts_te.safetensors",
    "text_encoder_2": "spectral_shifts_te_2.safetensors",
}
ENDING = ".delta"


@dataclass(frozen=True, kw_only=True)
class SVDiff(Adapter):
    """Learns shifts of the singular values of linear layers, convolutions and norm scales.

    Args:
        learning_rate: Learning rate of the shifts.
        targets: Globs over module names, such as `unet.*attn2.*`; null takes every linear layer
            and convolution, and the norms if they learn.
        norms: Whether the scales of norms learn too, each as a matrix of one row: one shift.
        norms_per_channel: Whether each entry of a norm's scale has a shift of its own instead.
        norm_rate: The norms' learning rate over that of the others: it multiplies their shifts.
        residual: Keep the weight and add the shifts' part to its output, in every layer: exact
            before anything is learned, in half precision too, at 2.3 times the arithmetic. Else
            each layer takes the form that multiplies least for its positions.
    """

    learning_rate: float = 1e-3
    targets: tuple[str, ...] | None = None
    norms: bool = False
    norms_per_channel: bool = False
    norm_rate: float = 1e-3
    residual: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.norm_rate < float("inf"):
            raise UsageError(f"norm_rate must be above 0, got {self.norm_rate}")
        if self.norms_per_channel and not self.norms:
            raise UsageError("norms_per_channel needs norms: true; set it, or leave both out")

    @property
    def phase(self) -> str:
        """Phase of the ledger in which it is attached: that of the SVD."""
        return "svd"

    @property
    def wraps(self) -> bool:
        """Say that layers are wrapped."""
        return True

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the layers whose singular values learn.

        Raises:
            NoSiteError: A target matches nothing.
        """
        kinds = MATRICES | NORMS if self.norms else MATRICES
        names = tuple(
            name
            for name, module in plain_modules(network)
            if isinstance(module, kinds) and any(own == "weight" for own, _ in _own(module))
        )
        return match(self.targets or ("*",), names)

    def attach(self, network: nn.Module) -> None:
        """Freeze the network, take the SVD of the target layers and wrap them.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: A convolution has groups or unusual padding.
            ResourceError: The SVD cannot be kept on disk.
        """
        layers = {name: network.get_submodule(name) for name in self.sites(network)}
        matrices = {n: x.weight for n, x in layers.items() if isinstance(x, MATRICES)}
        svd = decompose_all(matrices)
        freeze(network)
        for name, layer in layers.items():
            wrapped: Spectral
            if isinstance(layer, nn.Linear):
                wrapped = SpectralLinear(layer, svd[name], self.residual)
            elif isinstance(layer, nn.Conv2d):
                wrapped = SpectralConv2d(layer, svd[name], self.residual)
            else:
                wrapped = SpectralScale(layer, self.norm_rate, self.norms_per_channel)
            network.set_submodule(name, wrapped.train(layer.training))

    def merge(self, network: nn.Module) -> None:
        """Fold the shifts into the weights and put the plain layers back in place.

        Raises:
            NotMergeableError: Nothing was attached, or a shift is not finite.
        """
        layers = dict(spectral_layers(network))
        if not layers:
            raise NotMergeableError("the network holds no wrapped layer; attach before merging")
        for name, layer in layers.items():
            if not torch.isfinite(layer.delta).all():
                raise NotMergeableError(f"{name} has shifts that are not finite")
            network.set_submodule(name, layer.fold())

    def files(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return the shifts as the community implementation keeps them, by module path."""
        found: dict[str, dict[str, Tensor]] = {}
        for name, layer in spectral_layers(network):
            file, key = _place(name)
            found.setdefault(file, {})[key] = (layer.rate * layer.delta).detach()
        return found

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return how many layers were learned in each form, and where their SVD came from."""
        matrices = [x for _, x in spectral_layers(network) if isinstance(x, SpectralMatrix)]
        forms = Counter(layer.learned_in for layer in matrices if layer.learned_in)
        return {"forms": dict(forms), "svd": dict(Counter(layer.source for layer in matrices))}


def load_shifts(network: nn.Module, files: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Give the wrapped layers of a network the shifts that `SVDiff.files` returned.

    Args:
        network: The network, an adapter attached with the settings of that one.
        files: Tensors by file name and their own names.

    Raises:
        IntegrityError: A shift is missing, there is one too many, its size differs, or it is not
            finite.
    """
    layers = {_place(name): layer for name, layer in spectral_layers(network)}
    shifts = {(file, key): t for file, tensors in files.items() for key, t in tensors.items()}
    wanted = {(place, tuple(layer.delta.shape)) for place, layer in layers.items()}
    if odd := sorted(wanted ^ {(place, tuple(t.shape)) for place, t in shifts.items()}):
        (file, key), _ = odd[0]
        raise IntegrityError(
            f"{file} does not fit this model: {len(odd)} shifts differ, such as {key}; give the "
            "base model and the settings of the run that wrote it"
        )
    for (file, key), shift in shifts.items():
        if not torch.isfinite(shift).all():
            raise IntegrityError(
                f"{file} holds numbers that are not finite, such as {key}; bring back the file "
                "that the run wrote, or train again"
            )
    with torch.no_grad():
        for place, layer in layers.items():
            layer.delta.copy_(shifts[place] / layer.rate)


@dataclass(frozen=True)
class LowRank:
    """What was learned, as LoRA has it.

    Args:
        config: The config that PEFT rebuilds the layers from.
        tensors: The layers' tensors by their names in PEFT's file.
        relative_error: Frobenius norm of what is left out over that of all that was learned.
    """

    config: LoraConfig
    tensors: dict[str, Tensor]
    relative_error: float


def as_lora(network: nn.Module, rank: int) -> LowRank:
    """Return the best approximation of what was learned by a LoRA of a rank.

    W - W0 = U diag(d) V^T has the singular values |d|, so the directions of the largest |d| are the
    best of that many, without a further SVD: B = U sign(d) sqrt|d| and A = sqrt|d| V^T. Layers with
    fewer values than the rank are filled up with zeros, for loaders take one rank for all. Norms
    have no place in LoRA: what they learned counts as left out.

    Args:
        network: The network with its wrapped layers.
        rank: Directions kept of each layer.

    Raises:
        UsageError: The rank is below 1 or above the number of singular values of every layer, or
            only norms learned.
    """
    layers = {n: x for n, x in spectral_layers(network) if isinstance(x, SpectralMatrix)}
    if not layers:
        raise UsageError("what learned is only norms, which LoRA has no place for; add targets")
    widest = max(len(layer.s) for layer in layers.values())
    if not 1 <= rank <= widest:
        raise UsageError(f"--rank is {rank}; give 1 to {widest}, the most that a layer has")
    changes = [layer.change.detach().double() for _, layer in spectral_layers(network)]
    total = sum(float(change.square().sum()) for change in changes)
    kept, tensors = 0.0, {}
    for name, layer in layers.items():
        d, strongest = layer.change.detach(), layer.change.detach().abs().argsort(descending=True)
        most = strongest[:rank]
        kept += float(d[most].double().square().sum())
        root, room = d[most].abs().sqrt(), max(0, rank - len(most))
        a = root[:, None] * layer.vt[most].flatten(1).to(d.dtype)
        b = layer.u[:, most].to(d.dtype) * (root * d[most].sign())
        a, b = functional.pad(a, (0, 0, 0, room)), functional.pad(b, (0, room))
        ones = (1,) * (layer.vt.ndim - 2)  # a convolution's second factor is one of 1 x 1
        tensors[f"base_model.model.{name}.lora_A.weight"] = a.view(rank, *layer.vt.shape[1:])
        tensors[f"base_model.model.{name}.lora_B.weight"] = b.view(*b.shape, *ones)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers))
    left_out = max(0.0, 1 - kept / total) if total else 0.0
    return LowRank(config, tensors, math.sqrt(left_out))


def set_strength(network: nn.Module, strength: float) -> None:
    """Scale all shifts of a network: 0 is the base, 1 what was learned."""
    for _, layer in spectral_layers(network):
        layer.strength = strength


def spectral_layers(network: nn.Module) -> Iterator[tuple[str, Spectral]]:
    """Yield the wrapped layers by name."""
    for name, module in network.named_modules():
        if isinstance(module, Spectral):
            yield name, module


def _place(name: str) -> tuple[str, str]:
    """Return the file of a layer's shifts and their name there."""
    part, _, path = name.partition(".")
    if part not in FILES:
        return FILES["unet"], name + ENDING
    if part != "unet" and not path.startswith("text_projection"):
        # transformers 5 has no `text_model.` any more; older tools know nothing else.
        path = "text_model." + path.removeprefix("text_model.")
    return FILES[part], path + ENDING


def _own(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return module.named_parameters(recurse=False)
