"""Tries a run out: everything that fit does, once and small, each failure with its remedy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.pytorch import Trainer

from hwlit.callbacks.checkpoints import NEWEST_KEPT, Checkpoints
from hwlit.callbacks.parameters import Parameters
from hwlit.checking.estimate import clock, planned, token_slots
from hwlit.checking.findings import Findings
from hwlit.checking.rehearsal import Rehearsal, halves
from hwlit.data.base import TextData
from hwlit.data.summary import remarks
from hwlit.devices.base import Device
from hwlit.errors import IntegrityError, ResourceError, UsageError
from hwlit.signals import Signals
from hwlit.study.show import in_unit
from hwlit.tasks.text_classification import TextClassification

EVAL_BATCHES = 4
MARGIN = 64 * 2**20  # bytes: predictions, curves, tokenizer
FEWEST_TIMES = 3
RELOADED_ROWS = 4


class Tryout:
    """One run, tried out.

    Args:
        trainer: The trainer, limited to a few evaluation batches.
        model: The task.
        data: The data.
        device: The device that the trainer uses.
        folder: A directory that is removed afterwards, where the run would write.
        findings: Takes what is found.
        limit: The `limit_val_batches` of the run itself.
    """

    def __init__(
        self,
        trainer: Trainer,
        model: TextClassification,
        data: TextData,
        device: Device,
        folder: Path,
        findings: Findings,
        limit: int | float | None,
    ) -> None:
        self._trainer, self._model, self._data = trainer, model, data
        self._device, self._folder, self._findings = device, folder, findings
        self._limit = limit
        self._rehearsal = Rehearsal(device, Signals(), self._tell)

    def run(self, timed: bool) -> None:
        """Try every part that those before allow.

        Args:
            timed: Whether the times tell anything: not on a device that was not asked for.
        """
        problems = self._findings.problems
        with self._rehearsal.signals:
            before = len(problems)
            self._try_data()
            self._try_model()
            if len(problems) > before:
                return
            self._try_labels()
            if len(problems) > before:
                return
            self._try_steps()
            if len(problems) > before:
                return
            self._try_files()
        if timed:
            self._tell_memory()
            self._estimate()
        else:
            self._findings.skip("time", "not estimated: the device that was asked for is not there")

    def _try_data(self) -> None:
        with self._findings.part("data") as say:
            self._model.trainer = self._data.trainer = self._trainer
            self._data.prepare_data()
            self._data.setup("fit")
            report = self._data.report()
            rows, classes = report["rows"], report["classes"]["train"]
            balance = ", ".join(f"{name} {n / rows['train']:.1%}" for name, n in classes.items())
            say(
                f"{report['source'][0]}: {rows['train']} rows to train ({balance}), "
                f"{rows['validation']} to validate, {rows['test']} to test"
                + (f"; {told}" if (told := remarks(report)) else "")
            )

    def _try_model(self) -> None:
        with self._findings.part("model") as say:
            model = self._model
            model.trainer = self._trainer
            model.configure_model()
            model.check_token_types(self._data.largest_token_type)
            counts = Parameters(model.network).readings()
            share = counts["params/trainable_share"].value
            total = counts["params/total"].value
            say(
                f"{model.model_facts()['hub_id']}, {total:,.0f} parameters; "
                f"{model.adapter.title} on {len(model.sites)} modules, "
                f"heads {', '.join(model.heads)}: {share:.3%} learn"
                + "".join(f"; {remark}" for remark in model.remarks)
            )

    def _try_labels(self) -> None:
        """Compare the data with what the network reads, and with what it gives for a test row."""
        with self._findings.part("labels") as say:
            self._model.check_data(self._data.max_length, self._data.largest_token())
            where = self._trainer.strategy.root_device
            model, labels = self._model.to(where), self._model.labels
            batch = next(iter(self._data.sample_batches((1,)).values()))
            with torch.no_grad(), self._trainer.precision_plugin.forward_context():
                logits = model({name: tensor.to(where) for name, tensor in batch.items()})
            if logits.shape[-1] != len(labels):
                raise UsageError(
                    f"the data has {len(labels)} labels, but the network gives "
                    f"{logits.shape[-1]} logits; give a model whose head can be made anew"
                )
            say(f"{len(labels)} ({', '.join(labels)}), and as many logits")

    def _try_steps(self) -> None:
        """Train a few steps and evaluate a few batches, as fit does."""
        with self._findings.part("steps", (ValueError,)) as say:
            trainer, watched = self._trainer, self._rehearsal
            # Its checkpoints would be those of a run; one is written below.
            trainer.callbacks[:] = [  # type: ignore[attr-defined]
                *(c for c in trainer.callbacks if not isinstance(c, Checkpoints)),  # type: ignore[attr-defined]
                watched,
            ]
            if not self._model.learns:
                trainer.validate(self._model, datamodule=self._data, verbose=False)
                say("nothing learns, so there is no training; a few rows were evaluated")
                return
            trainer.fit(self._model, datamodule=self._data, weights_only=True)
            if names := sorted(set(watched.without_gradient).difference(self._model.unread)):
                raise UsageError(
                    f"{len(names)} tensors are to learn but get no gradient, such as {names[0]}; "
                    "they would stay as they are: take them out of the adapter's targets"
                )
            say(
                f"{watched.batches} of forward, backward and update; the first loss is "
                f"{watched.first_loss:.4g}, and everything that learns has a gradient"
            )

    def _try_files(self) -> None:
        """Write a checkpoint and read it back, export, and compare the sizes with the disk."""
        saved = exported = 0
        with self._findings.part("checkpoint") as say:
            if self._model.learns:
                saved = self._try_checkpoint(self._folder / "check.ckpt")
                say(f"{in_unit(saved, 'B')}, reads back equal: weights and optimizer")
            else:
                say("none: nothing learns")
        with self._findings.part("export") as say:
            rows = self._try_export(folder := self._folder / "adapter")
            exported = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            say(f"{in_unit(exported, 'B')}, reloads equal on {rows} test rows with stock loaders")
        with self._findings.part("disk") as say:
            say(self._room((NEWEST_KEPT + 2) * saved + exported))

    def _try_checkpoint(self, path: Path) -> int:
        """Save, spoil what was learned, and load; return the size in bytes."""
        trainer, model = self._trainer, self._model
        optimizer = trainer.optimizers[0]
        before = {name: tensor.clone() for name, tensor in model.learned_state().items()}
        moments = optimizer.state_dict()
        self._room(sum(map(_size, (before, moments))))
        trainer.save_checkpoint(path, weights_only=False)
        loaded = trainer.strategy.checkpoint_io.load_checkpoint(path, weights_only=True)
        with torch.no_grad():
            for tensor in model.learned_state().values():
                tensor.zero_()
        model.on_load_checkpoint(loaded)
        model.load_state_dict(loaded["state_dict"], strict=False)
        if not _same(before, model.learned_state()):
            raise IntegrityError("a checkpoint does not give the weights back that were saved")
        if not _same(moments, loaded["optimizer_states"][0]):
            raise IntegrityError("a checkpoint does not give the optimizer back that was saved")
        return path.stat().st_size

    def _try_export(self, folder: Path) -> int:
        """Export, reload it as a stranger would, and compare; return the number of test rows."""
        model = self._model.to(self._trainer.strategy.root_device)
        model.export(folder)
        batch = next(iter(self._data.sample_batches((RELOADED_ROWS,)).values()))
        model.eval()
        with torch.inference_mode(), self._trainer.precision_plugin.forward_context():
            logits = model({name: tensor.to(model.device) for name, tensor in batch.items()})
        texts = self._data.test_texts()
        given = [texts[row] for row in batch["row_id"].tolist()]
        length, stride = self._data.max_length, self._data.stride
        model.check_export(folder, given, logits.cpu(), length, fresh=False, stride=stride)
        return len(given)

    def _room(self, needed: int) -> str:
        """Compare what would be written with what is free.

        Raises:
            ResourceError: There is less.
        """
        free = shutil.disk_usage(self._folder).free
        needed += MARGIN
        told = f"about {in_unit(needed, 'B')} of {in_unit(free, 'B')} free"
        if needed > free:
            raise ResourceError(f"the run needs {told} there; make room or give another --output")
        return f"the run needs {told}: {NEWEST_KEPT + 2} checkpoints, the export, and a margin"

    def _tell_memory(self) -> None:
        peak = self._rehearsal.peak_memory.get(self._device.main_memory)
        if peak is None or not self._model.learns:
            self._findings.skip("memory", "no training steps, or their peak cannot be told")
            return
        with self._findings.part("memory") as say:
            total = self._device.describe().get("memory")
            of = f" of {in_unit(total, 'B')}" if total else ""
            kind = self._device.main_memory
            say(f"peak of the training steps {in_unit(peak.value, 'B')}{of} ({kind})")

    def _estimate(self) -> None:
        """Tell how long training and evaluation would take."""
        watched, times = self._rehearsal, self._rehearsal.step_times
        if self._model.learns and len(times) < FEWEST_TIMES:
            self._findings.skip(
                "time", f"only {watched.batches} steps: too few to time, and soon done"
            )
            return
        with self._findings.part("time") as say:
            batches, evaluations = planned(self._trainer) if times else (0, 0)
            width = self._data.max_length if self._data.pad_to_max_length else None
            slots = token_slots(self._data.test_dataloader().order, None, width)
            slots += evaluations * token_slots(
                self._data.val_dataloader().order, self._limit, width
            )
            evaluating = watched.eval_time / watched.eval_slots * slots
            told = f"evaluation {clock(evaluating)} (validation {evaluations} times, test once)"
            if not times:
                say(told)
                return
            mean, low, high = halves(times)
            load, threads = psutil.getloadavg()[0], psutil.cpu_count() or 1
            busy = f"; the machine is busy, load {load:.1f} on {threads} threads"
            say(
                f"training {clock(batches * mean)} ({clock(batches * low)} to "
                f"{clock(batches * high)}): {batches} steps of {in_unit(mean, 's')}, the mean of "
                f"{len(times)} (the range: their quicker and slower half); {told}; in all "
                f"{clock(batches * mean + evaluating)}, without start, latency and reload check"
                + (busy if load > threads + 1 else "")
            )

    def _tell(self, done: int, of: int) -> None:
        self._findings.status.update(f"step {done} of {of} ...")


def _size(state: Any) -> int:
    """Return the bytes of all tensors in nested dicts and lists."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, Mapping):
        return sum(map(_size, state.values()))
    return sum(map(_size, state)) if isinstance(state, list | tuple) else 0


def _same(one: Any, other: Any) -> bool:
    """Return whether nested dicts and lists of tensors and numbers are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
