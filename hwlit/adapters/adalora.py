"""AdaLoRA's two parts outside the layers: an orthogonality penalty and a shrinking rank budget.

Idea: write the update as P diag(e) Q, score each of its directions by how much the loss depends on
it, and take the least important ones away as training goes on, wherever they are in the network.

Costs three tensors per target and, beside the optimizer's moments, two running means of the size
of the adapter; the penalty costs a product per factor and step. PEFT zeroes the directions that
lost, it does not cut them out, so that file and latency stay those of the first rank.

Loses to LoRA in short runs: the scores need hundreds of steps before they say anything, and the
schedule has three more settings. The best checkpoint may be one from before the budget was reached.

Source: Zhang et al. 2023, https://arxiv.org/abs/2303.10512; layers and allocation are PEFT's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import torch
from peft import AdaLoraConfig
from peft.tuners.adalora.layer import RankAllocator
from torch import Tensor, nn

from hwlit.adapters.injection import NAME, Wrapped, recall, remember, wrapped_layers
from hwlit.errors import UsageError


def check(config: AdaLoraConfig) -> None:
    """Check what PEFT does not.

    Raises:
        UsageError: The budget does not shrink, or `r` is set, which PEFT would ignore.
    """
    if config.r != type(config).r:
        raise UsageError("AdaLoraConfig.r is not used: set init_r and target_r")
    if not 0 < config.target_r < config.init_r:
        raise UsageError(
            f"target_r must be above 0 and below init_r, got {config.target_r} and {config.init_r}"
        )


def begin(network: nn.Module) -> None:
    """Give each layer its running means and its mask, so that checkpoints hold them."""
    for _, layer in wrapped_layers(network):
        factors = _factors(layer)
        remember(
            layer,
            {f"importance_{kind}": torch.zeros_like(p) for kind, p in factors.items()}
            | {f"uncertainty_{kind}": torch.zeros_like(p) for kind, p in factors.items()}
            | {"mask": torch.ones_like(factors["lora_E"], dtype=torch.bool)},
        )


def orthogonality(network: nn.Module, config: AdaLoraConfig) -> Tensor:
    """Return the penalty: the mean over all factors of ||P^T P - I||, times `orth_reg_weight`."""
    distances = []
    for _, layer in wrapped_layers(network):
        a, b = layer.lora_A[NAME], layer.lora_B[NAME]
        for gram in (a @ a.T, b.T @ b):
            distances.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram)).to(gram)))
    return config.orth_reg_weight * torch.stack(distances).mean()


def allocate(network: nn.Module, config: AdaLoraConfig, step: int, steps: int) -> None:
    """Update the scores and take directions away, after an update and before its gradients go.

    Args:
        network: The network with AdaLoRA's layers.
        config: The schedule: `tinit` and `tfinal` count in units of `total_step`, and are stretched
            to the steps that the run really makes.
        step: Number of updates so far, this one included.
        steps: Number of updates that the run will make.

    Raises:
        UsageError: The run is too short for a schedule.
    """
    schedule = _stretched(config, steps)
    layers = dict(wrapped_layers(network))
    last = steps - schedule.tfinal
    if step > last:
        for layer in layers.values():
            with torch.no_grad():
                layer.lora_E[NAME].mul_(recall(layer)["mask"])
        return
    gradients = [p.grad for layer in layers.values() for p in _factors(layer).values()]
    if not torch.isfinite(nn.utils.get_total_norm([g for g in gradients if g is not None])):
        return  # under 16-mixed the scaler has skipped this step
    allocator = RankAllocator(network, schedule, NAME)  # type: ignore[no-untyped-call]
    # PEFT keeps the running means in the allocator, which no checkpoint would hold.
    means = {"importance": allocator.exp_avg_ipt, "uncertainty": allocator.exp_avg_unc}
    for key, memory, factor in _remembered(layers):
        allocator.ipt[key] = memory[f"importance_{factor}"]  # overwritten; PEFT looks for the key
        for kind, mean in means.items():
            mean[key] = memory[f"{kind}_{factor}"]
    _, pattern = allocator.update_and_allocate(  # type: ignore[no-untyped-call]
        network, step, force_mask=step == last
    )
    for key, memory, factor in _remembered(layers):
        for kind, mean in means.items():
            memory[f"{kind}_{factor}"].copy_(mean[key])
        if pattern and factor == "lora_E":
            memory["mask"].copy_(torch.tensor(pattern[key]).view(-1, 1))


def _factors(layer: Wrapped) -> dict[str, Tensor]:
    """Return P, Q and e of a layer, by PEFT's names for them."""
    return {
        "lora_A": layer.lora_A[NAME],
        "lora_B": layer.lora_B[NAME],
        "lora_E": layer.lora_E[NAME],
    }


def _remembered(layers: Mapping[str, Wrapped]) -> Iterator[tuple[str, dict[str, Tensor], str]]:
    """Yield the full name of each factor, what its layer remembers, and its short name."""
    for name, layer in layers.items():
        for factor in _factors(layer):
            yield f"{name}.{factor}.{NAME}", recall(layer), factor


def _stretched(config: AdaLoraConfig, steps: int) -> AdaLoraConfig:
    """Return the schedule in steps of this run."""
    scale = steps / (config.total_step or steps)  # PEFT refuses a config without one
    try:
        return dataclasses.replace(
            config,
            total_step=steps,
            tinit=round(config.tinit * scale),
            tfinal=round(config.tfinal * scale),
        )
    except ValueError as error:
        raise UsageError(
            f"AdaLoRA's schedule (tinit {config.tinit} and tfinal {config.tfinal} of total_step "
            f"{config.total_step}) leaves no step of this run's {steps} to shrink the rank in; "
            "train longer or lower them"
        ) from error
