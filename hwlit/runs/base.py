"""One run: prepare, train, test the best checkpoint, finish, and write one record."""

from __future__ import annotations

import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from lightning.pytorch import Trainer

from hwlit.callbacks.checkpoints import Checkpoints
from hwlit.callbacks.contention import Contention
from hwlit.callbacks.flops import Flops
from hwlit.callbacks.joining import Joining
from hwlit.callbacks.latency import Latency
from hwlit.callbacks.loggers import TensorBoard
from hwlit.callbacks.monitor import Monitor, overhead
from hwlit.callbacks.parameters import Parameters
from hwlit.callbacks.phases import Phases
from hwlit.callbacks.ranks import lost_others, outlive_others
from hwlit.callbacks.recorder import RunRecorder, environment
from hwlit.callbacks.steps import Steps
from hwlit.callbacks.weights_and_biases import WeightsAndBiases, reach_all
from hwlit.data.resuming import ResumableData
from hwlit.devices.base import Device
from hwlit.errors import (
    OUT_OF_MEMORY,
    DivergedError,
    HwlitError,
    Interrupted,
    ResourceError,
    UsageError,
    status_of,
)
from hwlit.parsing import config_sha256
from hwlit.plain_text import say
from hwlit.records import COST, Checkpoint, Reading, Record, RowTable, measured
from hwlit.records.table import FILE as ROWS_FILE
from hwlit.resume import Resumption, restoring
from hwlit.signals import Signals
from hwlit.storage import replacing_folder, write_text
from hwlit.tasks.base import Task
from hwlit.written_files import make_way, remove_export, replace_text

WARMUP_STEPS = 5
LATENCY_SECONDS = 1.0

TaskT = TypeVar("TaskT", bound=Task)
DataT = TypeVar("DataT", bound=ResumableData)


class Run(ABC, Generic[TaskT, DataT]):
    """Takes a task and its data through one run.

    Args:
        trainer: The trainer, with loggers and checkpoints already inside `output`.
        model: The task.
        data: The data.
        device: The device that the trainer uses.
        phases: The ledger, open since the trainer was made.
        output: The run's directory.
        config: The resolved config, plain data.
        name: What to call the run: the config's name.
    """

    task: type[TaskT]
    task_name: str  # in the record: runs of other tasks are not ranked with it
    rows: type[DataT]
    learns_from: str

    def __init__(
        self,
        trainer: Trainer,
        model: TaskT,
        data: DataT,
        device: Device,
        phases: Phases,
        output: Path,
        config: Mapping[str, Any],
        name: str,
    ) -> None:
        self._trainer, self._model, self._data = trainer, model, data
        self._device, self._phases, self._output = device, phases, output
        self._signals = Signals(quiet=not trainer.is_global_zero)
        self._joining = Joining(output if trainer.is_global_zero else None)
        self._steps = Steps(device, WARMUP_STEPS)
        self._tested = False
        self._latency = Latency(device, LATENCY_SECONDS)
        self._observers: list[Monitor] = [phases, self._steps, Contention(device, phases)]
        self._observers += [Flops(device, self._steps), *self._collectors()]
        self._config = dict(config)
        model.phase = phases.phase
        self._recorder = RunRecorder(output / "record.json")
        self._recorder.watch(*self._observers, self._latency)
        self._recorder.describe(
            name=name,
            task=self.task_name,
            config_sha256=config_sha256(config),
            seed=config["seed_everything"],
            precision=str(trainer.precision),
            parallel=phases.place.facts(),
            **environment(device.describe()),
        )

    @abstractmethod
    def _collectors(self) -> list[Monitor]:
        """Return the observers of this kind of task."""

    @abstractmethod
    def _load(self) -> str:
        """Make data and model ready, each in its phases; return what to say about the data."""

    @abstractmethod
    def _export(self) -> None:
        """Write the adapter in the ecosystem's own format and check it in a fresh process."""

    @abstractmethod
    def _probe(self) -> None:
        """Time base, unmerged and merged network beside one another."""

    @abstractmethod
    def _comparable(self) -> dict[str, Any]:
        """Return what must be equal of this kind of rows for two to be compared."""

    @abstractmethod
    def _show(self, board: TensorBoard) -> None:
        """Add what the test shows, beside numbers, to TensorBoard."""

    def __call__(self, resumption: Resumption | None = None) -> Record:
        """Run from data, or from a resumption, to the record; a failure after it began is in it."""
        with self._signals:
            return self._run(resumption)

    def _run(self, resumption: Resumption | None) -> Record:
        try:
            self._prepare()
            best = self._train(resumption)
            self._test(best)
            self._recorder.join(self._phases.place)
            if not self._trainer.is_global_zero:
                return self._recorder.record("ok")  # the first process writes the one record
            self._finish_alone(resumption)
            self._illustrate()
            return self._recorder.write("ok")
        except BaseException as error:
            self._joining.end()
            outlive_others()
            self._phases.finish()
            status = status_of(error)
            if self._trainer.is_global_zero and self.began:
                with contextlib.suppress(ResourceError):  # a full disk; the first error is told
                    self._recorder.write(status, _sentence(error))
            if status == "oom":
                raise ResourceError(OUT_OF_MEMORY) from error
            if not self._trainer.is_global_zero and lost_others(error):
                raise Interrupted(signal.SIGTERM) from error  # the one that has ended says why
            raise

    @property
    def began(self) -> bool:
        """Whether anything was trained or tested; a run that failed before leaves nothing."""
        return self._tested or self._steps.began

    def _prepare(self) -> None:
        """Load data and model before the trainer does, so that each is a phase of its own."""
        trainer, model, data = self._trainer, self._model, self._data
        model.trainer = data.trainer = trainer
        reach_all(trainer.loggers)
        told = self._load()
        with self._phases.phase("load"):
            facts = model.model_facts()  # hashes the weights
        parameters = Parameters(model.network)
        self._recorder.watch(parameters)
        self._recorder.describe(adapter=model.adapter_facts(), model=facts, data=data.report())
        # Before the checkpoints, whose saving would else be part of a step.
        trainer.callbacks[:0] = self._observers  # type: ignore[attr-defined]
        if self._phases.place.world_size > 1:
            trainer.callbacks.insert(0, self._joining)  # type: ignore[attr-defined]
            self._joining.begin()
        self._phases.launch()
        if not trainer.is_global_zero:
            return
        share = parameters.readings()["params/trainable_share"].value
        lines = (
            f"{model.adapter.title} on {facts['hub_id']}: {100 * share:.3g} % of the "
            f"parameters learn; {data.report()['rows']['train']} training rows; "
            f"writing to {self._output}",
            *model.adapter.remarks(model.network),
            *told.split("\n"),
        )
        say(*filter(None, lines), error=True)

    def _train(self, resumption: Resumption | None) -> str | None:
        """Train, and return the best checkpoint; None where nothing learns."""
        checkpoints = self._trainer.checkpoint_callback
        assert isinstance(checkpoints, Checkpoints)
        checkpoints.signals = self._signals
        start = None if resumption is None else resumption.checkpoint
        if resumption is not None:
            if start is not None and self._model.learns:
                damaged = checkpoints.adopt(start.parent, resumption.step, self._trainer)
                resumption = replace(resumption, damaged=(*resumption.damaged, *damaged))
            self._recorder.describe(resumed_from=resumption.to_dict())
        if not self._model.learns:
            return None
        if self._trainer.is_global_zero:
            remove_export(self._output)  # of an earlier part of the run
        trainer, model, data = self._trainer, self._model, self._data
        with restoring(start, lambda: self._steps.began):
            trainer.fit(model, datamodule=data, ckpt_path=start, weights_only=True)
        if not checkpoints.validated:
            raise UsageError(
                "nothing was trained and validated, so there is no best checkpoint; look at "
                "--trainer.max_epochs, max_steps and the limits on batches, or at --ckpt_path"
            )
        if (best := checkpoints.best) is None:
            raise DivergedError(
                f"{checkpoints.monitor} was never a number, so there is no best checkpoint; "
                "look at metrics.csv and lower --model.adapter.learning_rate"
            )
        path = os.path.relpath(best.path, self._output)
        chosen = Checkpoint(path, checkpoints.monitor, best.score)
        self._recorder.add({}, best_checkpoint=chosen)
        return str(best.path)

    def _test(self, best: str | None) -> None:
        """Test once, on the best checkpoint."""
        self._tested = True
        self._trainer.test(self._model, datamodule=self._data, ckpt_path=best, verbose=False)

    def _finish_alone(self, resumption: Resumption | None) -> None:
        """Do what one process does for all: export, check and latency."""
        outlive_others()
        facts = self._comparability(resumption)
        # Of several processes each has its threads from the launcher.
        self._recorder.add({}, comparability=facts, threads=facts["threads"])
        self._recorder.add({}, adapter=self._model.adapter_facts())  # now that it has trained
        self._recorder.add(overhead(self._observers, self._phases.readings().get("fit/wall_time")))
        self._export()
        with self._phases.phase("latency"):
            self._probe()
        self._recorder.add({}, adapter=self._model.adapter_facts())  # now that it was timed
        self._phases.finish()

    def _illustrate(self) -> None:
        """Add row and pictures to TensorBoard; where that fails, the record says so instead."""
        record = self._recorder.record("ok")
        for logger in self._trainer.loggers:
            if not isinstance(logger, TensorBoard | WeightsAndBiases):
                continue
            try:
                logger.add_row(record)
                if isinstance(logger, TensorBoard):
                    self._show(logger)
            except Exception as error:  # of a library that draws: the run is whole without
                self._recorder.lack(type(logger).__name__.lower(), _sentence(error))

    def _write_adapter(self, folder: Path) -> None:
        """Export, record the size of the files with what was learned, and write the model card."""
        with replacing_folder(folder) as staged:
            files = self._model.export(staged)
            size, names = sum(f.stat().st_size for f in files), ", ".join(f.name for f in files)
            how = measured(f"size of {names}")
            reading = Reading(size, "B", how, n=len(files), measure=COST)
            self._recorder.add({"adapter/file_size": reading})
            card = self._model.card(self._recorder.record("ok"))
            write_text(staged / "README.md", card)
            make_way(self._output, staged, folder.name)

    def _write_rows(self, table: RowTable) -> None:
        """Write the test rows, by which runs are compared."""
        replace_text(self._output, ROWS_FILE, table.to_csv())
        self._recorder.add({}, test_rows=table.describe())

    def _comparability(self, resumption: Resumption | None) -> dict[str, Any]:
        """Return what must be equal for two rows to be compared."""
        trainer, data = self._trainer, self._data.report()
        return {
            "model": self._model.model_facts()["sha256"],
            "data": data["fingerprint"],
            "rows": data["rows"],
            **self._comparable(),
            "steps": trainer.global_step,
            "batch": self._data.batch_size * trainer.accumulate_grad_batches * trainer.world_size,
            "resumed": resumption is not None,
            "precision": str(trainer.precision),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "world_size": trainer.world_size,
            "device": self._device.describe()["name"],
        }


def _sentence(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    ours = isinstance(error, HwlitError | Interrupted)
    return text if ours else f"{type(error).__name__}: {text}"
