"""What every task shares: build, attach, learn, and save what was learned and nothing else."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.plugins import DoublePrecision
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import get_scheduler

from hwlit.adapters.base import Adapter, unfreeze
from hwlit.errors import DivergedError, IntegrityError, UsageError
from hwlit.records import Record
from hwlit.tasks.heads import refuse_wrapped_heads
from hwlit.tasks.optimizers import fuse, make_optimizer, try_optimizer
from hwlit.tasks.precision import FrozenHalf
from hwlit.tasks.seeding import seed_of, seeded
from hwlit.tasks.variants import Variants, variants_of

Schedule = Literal["linear", "cosine", "constant_with_warmup"]  # names of transformers


class Task(LightningModule, ABC):
    """A network with an adapter, trained by one loop that is the same for all adapters.

    Args:
        adapter: Which parameters learn, and in what form; brings its own learning rate.
        optimizer: The optimizer; its learning rate is the adapter's, and its weight decay is for
            matrices alone: biases and norms are never decayed.
        warmup: Share of the steps over which the learning rate rises from 0.
        schedule: How the learning rate goes on after the warm-up.
        seed: Seed of the fresh weights and of every step; the CLI links it from seed_everything.
    """

    best_by: str  # the metric that decides which checkpoint is the best, unless a run says so

    def __init__(
        self,
        adapter: Adapter,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        warmup: float = 0.06,
        schedule: Schedule = "linear",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= warmup < 1:
            raise UsageError(
                f"--model.warmup is {warmup}; give a share of the steps, from 0 to below 1"
            )
        self.adapter = adapter
        self.optimizer = optimizer
        self.warmup = warmup
        self.schedule = schedule
        self.seed = seed
        self.phase: Callable[[str], AbstractContextManager[Any]] = nullcontext  # a run has a ledger
        self.heads: tuple[str, ...] = ()
        self.sites: tuple[str, ...] = ()
        self._built = False
        self._steps = 0
        self._converted: list[nn.Module] = []  # in a list, for it is no part of what is saved
        # Only what was learned is in a checkpoint; on_load_checkpoint compares the names itself.
        self.strict_loading = False
        self.network: nn.Module = nn.Identity()
        try_optimizer(optimizer, adapter.learning_rate)

    @abstractmethod
    def build(self, dtype: torch.dtype) -> tuple[nn.Module, tuple[str, ...]]:
        """Return the pretrained network and the names of its heads; may download."""

    @property
    @abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """Return the names of the metrics that training and validation log."""

    @abstractmethod
    def model_facts(self) -> dict[str, Any]:
        """Return what the record says about the pretrained network, plain data."""

    @abstractmethod
    def export(self, folder: Path) -> tuple[Path, ...]:
        """Write what was learned in the ecosystem's own format; return the files that hold it."""

    @abstractmethod
    def card(self, record: Record) -> str:
        """Return the model card for a run's record."""

    def configure_model(self) -> None:
        """Build the network and attach the adapter, once."""
        if self._built:
            return
        with seeded(self.seed, "build"):
            network, self.heads = self.build(self.frozen_dtype)
            self.adapter = self.adapter.settle(self.heads, self.run_device)
            self.adapter.attach_in_phases(network, self.phase)
        self.sites = self.adapter.sites(network)
        refuse_wrapped_heads(network, self.heads)
        if self.adapter.trains_heads:
            unfreeze(network, self.heads)
        self.network = network
        self._built = True
        if isinstance(self._trainer and self.trainer.precision_plugin, FrozenHalf):
            self.trainer.precision_plugin.convert_module(self)

    @property
    def run_device(self) -> torch.device:
        """Device that the trainer computes on; without a trainer the CPU."""
        return self.trainer.strategy.root_device if self._trainer else torch.device("cpu")

    @property
    def frozen_dtype(self) -> torch.dtype:
        """Precision in which weights are loaded; what learns is fp32, or fp64 under 64-true."""
        plugin = self.trainer.precision_plugin if self._trainer else None
        if isinstance(plugin, FrozenHalf):
            return plugin.dtype
        return torch.float64 if isinstance(plugin, DoublePrecision) else torch.float32

    @property
    def learns(self) -> bool:
        """Whether anything learns at all."""
        return any(p.requires_grad for p in self.network.parameters())

    def learned_state(self) -> dict[str, Tensor]:
        """Return what a checkpoint holds of the network: the adapter's state and the heads."""
        state = self.adapter.state(self.network)
        for head in self.heads:
            state |= self.network.get_submodule(head).state_dict(prefix=head + ".")
        return state

    def variants(self) -> Variants:
        """Return the base, the network as trained, and a merged copy of it, for timing.

        The base is loaded anew: up to two copies lie beside the network while it lives. Where the
        base is quantised, it lies there in full precision too, as `reference`.
        """

        def base() -> nn.Module:
            return self.build(self.frozen_dtype)[0].to(self.device)

        return variants_of(self.adapter, self.network, base)

    def on_test_start(self) -> None:
        """Convert a copy of the network, where the converted one is what is used."""
        if self.adapter.converts:
            converted = copy.deepcopy(self.network)
            self.adapter.merge(converted)
            self._converted = [converted.eval()]

    def on_test_end(self) -> None:
        """Let go of the copy."""
        self._converted = []

    @property
    def used(self) -> nn.Module:
        """The network that computes: while testing the converted one, where there is one."""
        return self._converted[0] if self._converted else self.network

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer over what learns and its schedule."""
        learned = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = make_optimizer(self.optimizer, learned, self.adapter.learning_rate)
        fuse(optimizer, self.device)
        self._steps = int(self.trainer.estimated_stepping_batches)
        scheduler = get_scheduler(
            self.schedule, optimizer, math.ceil(self._steps * self.warmup), max(self._steps, 1)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the step by its position, so that dropout does not depend on what ran before."""
        position = (self.trainer.current_epoch, batch_idx, self.trainer.global_rank)
        torch.manual_seed(seed_of(self.seed, *position))

    def over_processes(self, loss: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss to learn from, and the mean over the batches of all processes.

        Gradients are averaged over processes, of which one may have a row more than another:
        weighted so, that is the gradient of the mean over all rows, as of one process. All see that
        mean, so that all stop where it is not finite.

        Args:
            loss: The weighted mean over this process's rows.
            weight: The sum of their weights, which is their number where all count alike.
        """
        if self._trainer is None or self.trainer.world_size == 1:
            return loss, loss.detach()
        own = torch.stack([loss.detach() * weight, weight])
        total, all_weight = self.trainer.strategy.reduce(own, reduce_op="sum").unbind()
        return loss * (weight * self.trainer.world_size / all_weight), total / all_weight

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Update, then let the adapter do what it does after an update."""
        super().optimizer_step(*arguments, **named)
        # The trainer counts the update after this hook, and clears the gradients in the next one.
        self.adapter.on_step(self.network, self.trainer.global_step + 1, self._steps)

    def penalised(self, loss: Tensor) -> Tensor:
        """Return the loss with what the adapter adds to it."""
        penalty = self.adapter.penalty(self.network)
        if penalty is None:
            return loss
        self.log("train/penalty", penalty.detach())
        return loss + self.finite(penalty)

    def finite(self, loss: Tensor) -> Tensor:
        """Return the loss.

        Raises:
            DivergedError: It is not finite; raised before the backward pass.
        """
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss.item()} at step {self.global_step}; nothing was updated: "
                "lower --model.adapter.learning_rate or look at the batch"
            )
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, and stop before the update where a gradient is not finite.

        Raises:
            DivergedError: A gradient is infinite or not a number.
        """
        scaled = str(self.trainer.precision) == "16-mixed"
        if gradient_clip_algorithm == "value":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        limit = (
            gradient_clip_val
            if gradient_clip_val and gradient_clip_algorithm != "value"
            else math.inf
        )
        norm = nn.utils.clip_grad_norm_(parameters, limit)
        self.log("train/grad_norm", norm)
        # Under 16-mixed an overflow is expected: the gradient scaler skips the step by itself.
        if not scaled and not torch.isfinite(norm):
            raise DivergedError(
                f"a gradient became {norm.item()} at step {self.global_step}; nothing was updated: "
                "lower --model.adapter.learning_rate or set --trainer.gradient_clip_val"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only what was learned, and under what: a device can decide on another base."""
        state = self.learned_state()
        checkpoint["state_dict"] = {f"network.{name}": tensor for name, tensor in state.items()}
        checkpoint["adapter"] = self.adapter.title

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare names and shapes in the checkpoint with those that learn here.

        Raises:
            IntegrityError: They differ.
        """
        if (before := checkpoint.get("adapter", self.adapter.title)) != self.adapter.title:
            raise IntegrityError(
                f"the checkpoint was learned under {before}, and here the adapter is "
                f"{self.adapter.title} ({self.adapter.remark or 'by its config'}); go on where it "
                "was learned, or start a new run"
            )
        wanted = {(f"network.{n}", tuple(t.shape)) for n, t in self.learned_state().items()}
        found = {(name, tuple(t.shape)) for name, t in checkpoint["state_dict"].items()}
        if wanted != found:
            odd = sorted({name for name, _ in wanted ^ found})
            raise IntegrityError(
                f"the checkpoint does not fit this model and adapter: {len(odd)} tensors differ, "
                f"such as {odd[0]}; use the config of the run that wrote it"
            )

    def adapter_facts(self) -> dict[str, Any]:
        """Return what the record says about the adapter, plain data."""
        where = {"sites": list(self.sites), "heads": list(self.heads)}
        return {**self.adapter.describe(), **self.adapter.facts(self.network), **where}
