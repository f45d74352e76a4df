r"""LoRA: a low-rank update beside frozen weights, y = W x + (alpha / rank) B A x.

Costs two thin matrices per target, their gradients and moments; the base needs neither. Unmerged
it adds two small products to each call; merged it adds nothing. Loses to full fine-tuning where
the task is far from pretraining and rows are many (code, long mathematics).

Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models,
https://arxiv.org/abs/2106.09685; the layers are PEFT's.
"""

from __future__ import annotations

from dataclasses import dataclass

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from hwlit.adapters.base import Adapter, NoSiteError, NotMergeableError, freeze, match
from hwlit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Lora(Adapter):
    """Learns a low-rank update of the target layers.

    Args:
        learning_rate: Learning rate of the update and the heads.
        rank: Width of the update; at most the smaller side of every target layer.
        alpha: Strength; the update is scaled by alpha / rank.
        dropout: Share of the update's input that is dropped in training.
        targets: Globs over module names, such as `*.query`; null takes PEFT's usual ones for the
            architecture (query and value projections for BERT and Llama).
    """

    learning_rate: float = 1e-3
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise UsageError(f"rank must be at least 1, got {self.rank}")
        if self.alpha <= 0:
            raise UsageError(f"alpha must be above 0 (0 would learn nothing), got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the target layers."""
        names = tuple(
            name.removesuffix(".base_layer")
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d | nn.Conv2d | Conv1D)
            and ".lora_" not in name
        )
        return match(self.targets or _usual_targets(network), names)

    def attach(self, network: nn.Module) -> None:
        """Freeze the network and wrap the target layers.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: The rank is larger than a target layer.
        """
        for name in self.sites(network):
            weight = network.get_submodule(name).get_parameter("weight")
            width = min(weight.shape[:2])
            if self.rank > width:
                raise UsageError(f"rank is {self.rank}, but {name} is only {width} wide; lower it")
        freeze(network)
        inject_adapter_in_model(self.peft_config(network), network)

    def merge(self, network: nn.Module) -> None:
        """Add the update to the weights and put the plain layers back in place.

        Raises:
            NotMergeableError: Nothing was attached, or the merged weights are not finite.
        """
        layers = [(n, m) for n, m in network.named_modules() if isinstance(m, BaseTunerLayer)]
        if not layers:
            raise NotMergeableError("the network holds no LoRA layer; attach before merging")
        for name, layer in layers:
            try:
                layer.merge(safe_merge=True)
            except ValueError as error:
                raise NotMergeableError(f"{name} cannot be merged: {error}") from error
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, layer.get_base_layer())

    def peft_config(self, network: nn.Module) -> LoraConfig:
        """Return the config that `PeftModel.from_pretrained` rebuilds the update from."""
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(self.sites(network)),
        )


def _usual_targets(network: nn.Module) -> tuple[str, ...]:
    """Return PEFT's own targets for the architecture, as globs."""
    if not isinstance(network, PreTrainedModel):
        raise NoSiteError(f"no usual targets are known for {type(network).__name__}; give targets")
    kind = network.config.model_type
    # PEFT infers DistilBERT's from nothing; its names are those of its own attention.
    usual = {"distilbert": ["q_lin", "v_lin"], **TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING}
    if not isinstance(names := usual.get(kind), list):
        raise NoSiteError(f"no usual targets are known for model type {kind!r}; give targets")
    return tuple(f"*.{name}" for name in names)
