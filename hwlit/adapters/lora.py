"""LoRA: a low-rank update beside frozen weights, and three variants of it.

Idea: what fine-tuning changes in a matrix has low rank, so only two thin factors of it learn:
y = W x + (alpha / rank) B A x.
`dora` learns the length of each row of the updated matrix beside its direction; `rslora` scales by
alpha / sqrt(rank), so that a high rank still learns; `pissa` starts from the largest singular
directions of W instead of from zero, and freezes the rest of W.

Costs two thin matrices per target, their gradients and moments; the base needs neither. Unmerged
it adds two small products to each call; merged it adds nothing. DoRA computes the norm of the whole
updated matrix in each training step: slower and with more activations. PiSSA needs one SVD per
target at the start, and is saved as a plain LoRA of twice the rank, so that it loads on the
original weights; in half precision these weights and its own differ by rounding.

Loses to full fine-tuning where the task is far from pretraining and rows are many (code, long
mathematics). DoRA loses where the step time counts, for the gain over LoRA is small at rank 8 and
above; rsLoRA at low ranks, where it is only a higher alpha; PiSSA in file size.

Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685; DoRA: Liu et al. 2024,
https://arxiv.org/abs/2402.09353; rsLoRA: Kalajdzievski 2023, https://arxiv.org/abs/2312.03732;
PiSSA: Meng et al. 2024, https://arxiv.org/abs/2404.02948. The layers are PEFT's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from peft import LoraConfig
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hwlit.adapters.base import plain_modules
from hwlit.adapters.injection import NAME, Injected, recall, remember, wrapped_layers
from hwlit.adapters.targets import Targets, Wanted, given_targets, usual_targets
from hwlit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Lora(Injected):
    """Learns a low-rank update of the target layers.

    Args:
        learning_rate: Learning rate of the update and the heads.
        rank: Width of the update; at most the smaller side of every target layer, which for a
            convolution is that of its outputs, or of its inputs times its kernel.
        alpha: Strength; the update is scaled by alpha / rank.
        dropout: Share of the update's input that is dropped in training.
        targets: Globs over module names, such as `*.query`, or `all-linear`: every linear layer but
            those of heads and those narrower than the rank. Null takes query and value projections:
            PEFT's for the architecture, else those found by shape, else `all-linear`.
        dora: Learn the length of each output's weights apart from their direction (DoRA).
        rslora: Scale by alpha / sqrt(rank) instead (rsLoRA).
        pissa: Start from the principal singular directions of the weights (PiSSA).
    """

    learning_rate: float = 1e-3
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    targets: tuple[str, ...] | str | None = None
    dora: bool = False
    rslora: bool = False
    pissa: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise UsageError(f"rank must be at least 1, got {self.rank}")
        if self.alpha <= 0:
            raise UsageError(f"alpha must be above 0 (0 would learn nothing), got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def find_targets(self, network: nn.Module) -> Targets:
        """Return the target layers, and how they were found."""
        kinds = nn.Linear | nn.Embedding | nn.Conv1d | nn.Conv2d | Conv1D
        names = tuple(n for n, module in plain_modules(network) if isinstance(module, kinds))
        if self.targets:
            return given_targets(network, self.targets, names, self.heads, self.rank)
        return usual_targets(network, Wanted({}, narrowest=self.rank), names, self.heads)

    def attach(self, network: nn.Module) -> None:
        """Freeze the network and wrap the target layers.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: The rank is larger than a target layer, or PiSSA cannot split the layer.
        """
        for name in self.sites(network):
            layer = network.get_submodule(name)
            width = _width(layer)
            if self.rank > width:
                raise UsageError(f"rank is {self.rank}, but {name} is only {width} wide; lower it")
            if self.pissa and not isinstance(layer, nn.Linear | Conv1D):
                raise UsageError(f"pissa splits matrices, and {name} is none; narrow the targets")
        super().attach(network)
        if self.pissa:
            for _, wrapped in wrapped_layers(network):
                a, b = wrapped.lora_A[NAME].weight, wrapped.lora_B[NAME].weight
                remember(wrapped, {"A": a, "B": b})

    def injected_config(self, network: nn.Module) -> LoraConfig:
        """Return the config by which PEFT wraps the layers."""
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(self.sites(network)),
            use_dora=self.dora,
            use_rslora=self.rslora,
            init_lora_weights="pissa" if self.pissa else True,
        )

    def peft_config(self, network: nn.Module) -> LoraConfig:
        """Return the config that `PeftModel.from_pretrained` rebuilds the update from.

        PiSSA is a plain LoRA there, of twice the rank at the same strength.
        """
        config = self.injected_config(network)
        if self.pissa:
            scale = self.alpha / (self.rank**0.5 if self.rslora else self.rank)
            config.r = 2 * self.rank
            config.lora_alpha = scale * config.r  # type: ignore[assignment]  # PEFT takes floats
            config.use_rslora, config.init_lora_weights = False, True
        return config

    def peft_state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the tensors of the update.

        Under PiSSA the frozen weight is W - s B0 A0, so what the update adds to the original W is
        s (B A - B0 A0), the product of [B, -B0] and the stack of A and A0.
        Source: https://github.com/huggingface/peft/tree/main/examples/pissa_finetuning
        """
        state = super().peft_state(network)
        if self.pissa:
            for name, layer in wrapped_layers(network):
                first, prefix = recall(layer), f"base_model.model.{name}"
                a, b = f"{prefix}.lora_A.weight", f"{prefix}.lora_B.weight"
                state[a] = torch.cat([state[a], first["A"]], dim=0)
                state[b] = torch.cat([state[b], -first["B"]], dim=1)
        return state

    @property
    def title(self) -> str:
        """Name of the variant, such as `DoRA`."""
        names = {"DoRA": self.dora, "rsLoRA": self.rslora, "PiSSA": self.pissa}
        return "+".join(name for name, on in names.items() if on) or "Lora"


def _width(layer: nn.Module) -> int:
    """Return the smaller side of a layer's matrix: the most that the rank of an update can be.

    A convolution's matrix has a row per output, and a column per input and place of the kernel.
    Where its outputs are grouped, the update has B by group, but each group's A sees all inputs.
    """
    if isinstance(layer, nn.Linear):  # whose weight has another shape where it is quantised
        return min(layer.in_features, layer.out_features)
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        columns = layer.in_channels * math.prod(layer.kernel_size)
        return min(layer.groups * columns, layer.out_channels)
    return min(layer.get_parameter("weight").shape[:2])
