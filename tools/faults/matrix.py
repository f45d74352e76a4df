"""Stop training by SIGTERM at chosen batches, resume, and compare the final weights bit by bit.

Each cell trains once without a stop and once with one stop or two, each part in a new trainer as a
new process would make it, and compares the learned weights, the rows of every batch, the validation
losses and the best checkpoint. Prints one line per cell; exits with 1 where any differs.

    python -m tools.faults.matrix
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from peft import AdaLoraConfig

from hwlit import quiet
from hwlit.adapters.base import Adapter
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.peft import Peft
from hwlit.callbacks.checkpoints import Checkpoints, DurableCheckpointIO
from hwlit.cli import TRAINER_DEFAULTS
from hwlit.data.tweets import Tweets
from hwlit.errors import Interrupted
from hwlit.resume import find_checkpoint
from hwlit.signals import Signals
from hwlit.tasks.text_classification import TextClassification
from tools.faults.workload import digest, write_model, write_tweets

ROWS, BATCH_SIZE, EPOCHS = 70, 4, 2  # 13 training batches an epoch
ADAPTERS: dict[str, Adapter] = {
    "lora": Lora(rank=2, dropout=0.1),
    "full": Full(),
    "pissa": Lora(rank=2, pissa=True),
    "adalora": Peft(config=AdaLoraConfig(init_r=4, target_r=2, tinit=4, tfinal=8, total_step=26)),
}
# Batches, counted over epochs from 0, at whose end the signal comes.
STOPS = {
    "first": (0,), "within": (5,), "last but one": (11,), "last": (12,), "second epoch": (17,),
    "twice": (4, 16), "last, then within": (12, 20), "end": (25,),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One way to train and to stop."""

    stops: str
    accumulate: int = 1
    workers: int = 0
    precision: str = "32-true"
    adapter: str = "lora"
    validations: float = 1.0
    patience: int | None = None


def cells() -> list[Cell]:
    """Return all cells: every stop under accumulation and workers, and some under the rest."""
    found = [Cell(*each) for each in itertools.product(STOPS, (1, 3), (0, 2))]
    for stops in ("within", "last", "twice"):
        found += [
            Cell(stops, precision="bf16-mixed"), Cell(stops, adapter="full"),
            Cell(stops, validations=0.25), Cell(stops, accumulate=3, validations=0.25),
            Cell(stops, patience=1, validations=0.25), Cell(stops, adapter="pissa"),
            Cell(stops, adapter="adalora"),
        ]  # fmt: skip
    return found


class Watch(Callback):
    """Notes what was trained and validated, and sends the signal at the end of a batch."""

    def __init__(self, stop: int | None) -> None:
        self.stop = stop
        self.seen: dict[int, list[int]] = {}
        self.losses: dict[int, float] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the rows; the last writer wins, as in a log that is cut at the checkpoint."""
        place = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx
        self.seen[place] = batch["row_id"].tolist()
        if place == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the loss."""
        self.losses[trainer.global_step] = float(trainer.callback_metrics["val/loss"])


def train(cell: Cell, inputs: Path, folder: Path, stop: int | None, resume: bool) -> Any:
    """Train one part; return what it saw, its weights and best checkpoint, or None if stopped."""
    task = TextClassification(ADAPTERS[cell.adapter], pretrained=str(inputs / "model"), seed=3)
    task.hparams.clear()  # built here they are live objects; under the CLI they are plain data
    data = Tweets(
        path=str(inputs / "tweets.csv"), tokenizer=str(inputs / "model"), max_length=32,
        shuffle_seed=3, batch_size=BATCH_SIZE, num_workers=cell.workers,
    )  # fmt: skip
    watch, checkpoints = Watch(stop), Checkpoints(TextClassification.best_by, every_minutes=1e6)
    checkpoints.folder = folder / "checkpoints"
    stopping = [EarlyStopping("val/loss", patience=cell.patience)] if cell.patience else []
    settings = TRAINER_DEFAULTS | {
        "accelerator": "cpu", "precision": cell.precision, "max_epochs": EPOCHS, "logger": False,
        "accumulate_grad_batches": cell.accumulate, "val_check_interval": cell.validations,
        "enable_progress_bar": False, "default_root_dir": folder,
        "plugins": [DurableCheckpointIO(nullcontext)],
    }  # fmt: skip
    trainer = Trainer(callbacks=[watch, *stopping, checkpoints], **settings)
    found = find_checkpoint(folder) if resume else None
    with Signals() as checkpoints.signals:
        if found and found.checkpoint:
            checkpoints.adopt(found.checkpoint.parent, found.step, trainer)
        try:
            path = found.checkpoint if found else None
            trainer.fit(task, datamodule=data, ckpt_path=path, weights_only=True)
        except Interrupted:
            return watch, None, None
    assert checkpoints.best is not None
    best = torch.load(checkpoints.best.path, weights_only=True)["state_dict"]
    return watch, digest(task.learned_state()), (checkpoints.best.path.name, digest(best))


def run_cell(cell: Cell, inputs: Path, folder: Path) -> list[str]:
    """Run a cell and return in what the stopped run differs from the one that was not stopped."""
    whole, weights, best = train(cell, inputs, folder / "whole", None, resume=False)
    seen: dict[int, list[int]] = {}
    losses: dict[int, float] = {}
    for part, stop in enumerate((*STOPS[cell.stops], None)):
        watch, found, found_best = train(cell, inputs, folder / "parts", stop, resume=part > 0)
        seen |= watch.seen
        losses |= watch.losses
        if found is not None:
            break
        if stop not in watch.seen:
            return [f"the signal for batch {stop} never came"]
    same = {
        "rows": seen == whole.seen, "validation losses": losses == whole.losses,
        "weights": found == weights, "best": found_best == best,
    }  # fmt: skip
    return [name for name, equal in same.items() if not equal]


def main() -> int:
    """Run all cells and return the exit code."""
    quiet.silence()
    torch.set_num_threads(1)
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        inputs = write_inputs(Path(scratch))
        for number, cell in enumerate(cells()):
            differences = run_cell(cell, inputs, Path(scratch) / str(number))
            wrong += bool(differences)
            print(f"{'differs in ' + ', '.join(differences) if differences else 'equal':10} {cell}")
    print(f"{len(cells()) - wrong} of {len(cells())} cells bit-equal")
    return int(wrong > 0)


def write_inputs(folder: Path) -> Path:
    """Write model and tweets, and return the folder."""
    write_model(folder / "model")
    write_tweets(folder / "tweets.csv", ROWS)
    return folder


if __name__ == "__main__":
    sys.exit(main())
