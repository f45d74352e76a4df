"""Pictures drawn while training goes on, so that one sees the concept come, or go too far."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from hwlit.errors import DivergedError, UsageError
from hwlit.exports.contact_sheet import contact_sheet
from hwlit.exports.png import write_png
from hwlit.networks.picture_flaws import flaw_of
from hwlit.networks.sampling import draw

COLUMNS = 4


class Samples(Callback):
    """Draws the same prompts from the same seeds every so many optimizer steps.

    Training goes on as if nothing had been drawn: random state, modes and gradients of the network
    are afterwards what they were. Of several processes the first draws and the others wait.

    Args:
        pipeline: Returns the stock pipeline around the network as it is now.
        prompts: One for each picture.
        seeds: One for each picture.
        every_n_steps: Optimizer steps from one drawing to the next.
        steps: Denoising steps.
        guidance: Guidance scale.
        size: Side in pixels; None takes the pipeline's own.
        folder: Where a contact sheet per drawing is written.
        sampling: Gives the context in which pictures are drawn, such as a phase of the ledger.
        remark: Is told in a sentence where samples cannot be drawn or show nothing.
    """

    def __init__(
        self,
        pipeline: Callable[[], Any],
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        every_n_steps: int,
        steps: int,
        guidance: float,
        folder: Path,
        sampling: Callable[[], AbstractContextManager[Any]],
        remark: Callable[[str], None],
        size: int | None = None,
    ) -> None:
        if every_n_steps < 1:
            raise UsageError(f"samples are drawn every {every_n_steps} steps; give at least 1")
        self._pipeline, self._folder, self._sampling = pipeline, folder, sampling
        self._remark = remark
        self._prompts, self._seeds = tuple(prompts), tuple(seeds)
        self._every_n_steps = every_n_steps
        self._settings: dict[str, Any] = {"steps": steps, "guidance": guidance, "size": size}
        self._drawn_at = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw where a drawing is due, once per optimizer step."""
        step = trainer.global_step
        if step % self._every_n_steps or step == self._drawn_at or not trainer.is_global_zero:
            return
        self._drawn_at = step
        try:
            with self._sampling(), untouched(pl_module), trainer.precision_plugin.forward_context():
                pictures = draw(self._pipeline(), self._prompts, self._seeds, **self._settings)
        except DivergedError as error:  # the test draws by the best checkpoint, not by this one
            self._remark(f"no sample was drawn at step {step}: {error}")
            return
        if flaw := flaw_of(pictures):
            self._remark(f"the samples of step {step} {flaw}")
        sheet = contact_sheet(pictures, self._prompts, COLUMNS)
        write_png(self._folder / f"step-{step:06d}.png", sheet, {"step": step})
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                pixels = np.asarray(sheet)
                logger.experiment.add_image("samples", pixels, step, dataformats="HWC")


@contextlib.contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode; give it and torch's generators back as they were."""
    modes = {module: module.training for module in network.modules()}
    devices = {p.device for p in network.parameters() if p.device.type == "cuda"}
    network.eval()
    try:
        with torch.random.fork_rng([device.index for device in devices]):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
