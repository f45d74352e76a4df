"""Any method of PEFT that changes layers, by its config: IA3, AdaLoRA, OFT, VeRA, LoHa and more.

Idea: the config is PEFT's own, named by its class path; hwlit resolves the targets, trains it in
the same loop as every other adapter and writes PEFT's own folder. Each shipped config
(`hwlit adapters`) has the card of its method at its top: idea, paper, costs, when it loses.

Costs what the method costs; PEFT's layers stay in place until they are merged.

Loses where a method needs more than its layers: prompt methods are refused, for they change the
input; so are configs that would change the pretrained weights, and those that PEFT cannot save.

Source: https://huggingface.co/docs/peft (Mangrulkar et al. 2022); the paper of each method is in
its config.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peft import AdaLoraConfig, IA3Config, LNTuningConfig, PeftConfig
from peft.utils import constants
from torch import Tensor, nn
from transformers import PreTrainedModel

from hwlit.adapters import adalora
from hwlit.adapters.base import NoSiteError, match, modules_with_parameters
from hwlit.adapters.injection import Injected, tuner, with_targets
from hwlit.adapters.targets import (
    TABLE,
    Targets,
    Wanted,
    base_modules,
    down_projections,
    given_targets,
    usual_targets,
)
from hwlit.errors import UsageError

# PEFT has no (IA)^3 targets for DistilBERT; these are what its map has for BERT.
IA3_TARGETS = {
    "distilbert": ["k_lin", "v_lin", "ffn.lin2"],
    **constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
}
IA3_FEEDFORWARD = {
    "distilbert": ["ffn.lin2"],
    **constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
}

# What hwlit decides itself; PEFT's setting would be overwritten or would contradict it.
OURS = {
    "target_modules": "give --model.adapter.targets",
    "exclude_modules": "give --model.adapter.targets",
    "layers_to_transform": "give --model.adapter.targets",
    "layers_pattern": "give --model.adapter.targets",
    "target_parameters": "give --model.adapter.targets",
    "trainable_token_indices": "single tokens cannot be learned",
    "layer_replication": "the network stays as it is",
    "modules_to_save": "the heads always learn and are always saved, and nothing else is",
    "task_type": "the task is known",
    "inference_mode": "it would learn nothing",
    "base_model_name_or_path": "give --model.pretrained",
    "revision": "give --model.pretrained",
}


# Sizes of tensors; the widest layers that people adapt have 65,536 features.
SIZES = (
    "r", "init_r", "target_r", "hybrid_r", "effective_rank", "subspace_rank", "stride_A", "num_B",
    "num_vectors", "vector_length",
)  # fmt: skip
MOST = 65_536
PLAIN_NAME = re.compile(r"[\w.]+")  # of a layer, or its end; PEFT takes any expression


@dataclass(frozen=True, kw_only=True)
class Peft(Injected):
    """Learns what a method of PEFT learns.

    Args:
        learning_rate: Learning rate of the adapter and the heads.
        config: PEFT's config of the method, such as `peft.IA3Config` with its `init_args`.
        targets: Globs over module names, such as `*.query`, or `all-linear`: every linear layer but
            those of heads. Null takes PEFT's own for the method and architecture, else those of
            LoRA, else query and value projections found by shape (IA3: key, value and second
            feed-forward layers), else `all-linear`; LN-tuning takes every norm but those of heads.
    """

    learning_rate: float = 1e-3
    config: PeftConfig
    targets: tuple[str, ...] | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = type(self.config).__name__
        if self.config.is_prompt_learning or self.config.is_adaption_prompt:
            raise UsageError(
                f"{kind} learns a prompt, and a prompt is input, which an adapter does not change; "
                "take a method that changes layers, such as peft.IA3Config"
            )
        settings = vars(self.config)
        if "target_modules" not in settings:
            raise UsageError(f"{kind} names no layers to change; take another method")
        for name, instead in OURS.items():
            if settings.get(name) is not None and settings[name] is not False:  # 0 is a layer
                raise UsageError(f"{kind}.{name} is not for you to set: {instead}")
        if settings.get("bias", "none") != "none":
            raise UsageError(f"{kind}.bias must be 'none'; to learn biases too, chain BitFit")
        _check_patterns(kind, settings)
        numbers = {name: v for name, v in settings.items() if isinstance(v, int | float)}
        for name, value in numbers.items():
            if name.endswith("alpha") and value <= 0:
                raise UsageError(f"{kind}.{name} must be above 0 (0 would learn nothing): {value}")
            if name in SIZES and value > MOST:
                raise UsageError(f"{kind}.{name} is {value}; give at most {MOST:,}")
            if name.endswith("dropout") and not 0 <= value < 1:
                raise UsageError(f"{kind}.{name} must be at least 0 and below 1, got {value}")
        if isinstance(self.config, AdaLoraConfig):
            adalora.check(self.config)

    def find_targets(self, network: nn.Module) -> Targets:
        """Return the layers that the method changes, and how they were found."""
        names = modules_with_parameters(network)
        if self.targets:
            return given_targets(network, self.targets, names, self.heads)
        if isinstance(self.config, LNTuningConfig):
            # By name, for Llama's norm is a class of its own; PEFT's map leaves most models out.
            norms = tuple(
                name
                for name, module in base_modules(network, self.heads)
                if name in names and type(module).__name__.endswith("Norm")
            )
            if not norms:
                raise NoSiteError(
                    f"{type(network).__name__} has no norm with weights below its heads, so "
                    "LN-tuning has nothing to learn there; take lora"
                )
            return Targets(norms)
        return usual_targets(network, self._wanted, names, self.heads)

    def attach(self, network: nn.Module) -> None:
        """Freeze the network and wrap the target layers.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: PEFT refuses the config, or it changes pretrained weights.
        """
        before = _values(network)
        super().attach(network)
        after = _values(network)
        changed = [name for name, value in before.items() if after.get(name) != value]
        if changed:
            raise UsageError(
                f"{type(self.config).__name__} changes {changed[0]} itself, which an adapter "
                "folder does not hold; take its default initialisation, or Lora with pissa"
            )
        if isinstance(self.config, AdaLoraConfig):
            adalora.begin(network)

    def penalty(self, network: nn.Module) -> Tensor | None:
        """Return AdaLoRA's orthogonality penalty; other methods have none."""
        if isinstance(self.config, AdaLoraConfig):
            return adalora.orthogonality(network, self.config)
        return None

    def on_step(self, network: nn.Module, step: int, steps: int) -> None:
        """Allocate AdaLoRA's rank budget; other methods do nothing."""
        if isinstance(self.config, AdaLoraConfig):
            adalora.allocate(network, self.config, step, steps)

    def injected_config(self, network: nn.Module) -> PeftConfig:
        """Return PEFT's config with the full names of its targets."""
        sites = self.sites(network)
        if isinstance(self.config, IA3Config):
            asked = self.config.feedforward_modules
            inputs = match(sorted(asked), sites) if asked else self._feedforward(network, sites)
            return with_targets(self.config, target_modules=sites, feedforward_modules=inputs)
        return with_targets(self.config, target_modules=sites)

    @property
    def title(self) -> str:
        """Name of the method, such as `IA3`."""
        return type(self.config).__name__.removesuffix("Config")

    @property
    def lossless(self) -> bool:
        """Whether the method begins as the network was; false where its own start is turned off."""
        return all(
            value is not False
            for name, value in vars(self.config).items()
            if name.startswith("init_") and name.endswith("weights")
        )

    @property
    def _wanted(self) -> Wanted:
        if isinstance(self.config, IA3Config):
            return Wanted(IA3_TARGETS, roles="kv", down=True)
        # Of PEFT's classes, that of trainable tokens has no such table.
        return Wanted(getattr(tuner(self.config), "target_module_mapping", {}))

    def _feedforward(self, network: nn.Module, sites: tuple[str, ...]) -> tuple[str, ...]:
        """Return which targets (IA)^3 scales at their input: the second feed-forward layers."""
        if not isinstance(network, PreTrainedModel):
            return ()
        kind = network.config.model_type
        if self.targets is None and kind not in {*IA3_TARGETS, *TABLE}:
            return down_projections(network, sites, self.heads)
        endings = tuple("." + end for end in IA3_FEEDFORWARD.get(kind, []))
        return tuple(name for name in sites if name.endswith(endings))


def _values(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Return where the values of each parameter lie and how often they were changed there."""
    return {
        name.replace(".base_layer.", "."): (parameter.data_ptr(), parameter._version)
        for name, parameter in network.named_parameters()
    }


def _check_patterns(kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse expressions in place of layers' names: matching some of them never ends.

    Raises:
        UsageError: There is one.
    """
    for name, given in settings.items():
        if name.endswith("_pattern") and isinstance(given, Mapping):
            for layer in given:
                if PLAIN_NAME.fullmatch(str(layer)) is None:
                    raise UsageError(
                        f"{kind}.{name} has the key {layer!r}; give the name of a layer, or its "
                        "end, such as attention.query"
                    )
