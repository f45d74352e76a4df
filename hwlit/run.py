"""One run: train, test the best checkpoint, probe, export, check, and write one record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from rich.console import Console
from torch import nn

from hwlit.adapters.base import NotMergeableError
from hwlit.callbacks.checkpoints import Checkpoints
from hwlit.callbacks.latency import Forward, Latency
from hwlit.callbacks.loggers import TensorBoard
from hwlit.callbacks.parameters import Parameters
from hwlit.callbacks.phases import Phases
from hwlit.callbacks.predictions import Predictions
from hwlit.callbacks.recorder import RunRecorder, environment
from hwlit.callbacks.steps import Steps
from hwlit.data.base import TextData
from hwlit.devices.base import Device
from hwlit.errors import DivergedError, HwlitError, ResourceError
from hwlit.records import Reading, RunRecord
from hwlit.storage import write_text
from hwlit.tasks.text_classification import TextClassification

WARMUP_STEPS = 5
CHECKED_ROWS = 32
LATENCY_SECONDS = 1.0
# What a run is about does not change with where it is written or how many workers load it.
NOT_HASHED = ("output", "config", "ckpt_path", "trainer.logger", "trainer.enable_progress_bar",
              "trainer.default_root_dir", "data.init_args.num_workers")  # fmt: skip


class Run:
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

    def __init__(
        self,
        trainer: Trainer,
        model: TextClassification,
        data: TextData,
        device: Device,
        phases: Phases,
        output: Path,
        config: Mapping[str, Any],
        name: str,
    ) -> None:
        self._trainer, self._model, self._data = trainer, model, data
        self._device, self._phases, self._output = device, phases, output
        self._config = config
        self._steps = Steps(device, WARMUP_STEPS)
        self._predictions = Predictions(model.labels)
        self._latency = Latency(device, LATENCY_SECONDS)
        self._recorder = RunRecorder(output / "record.json")
        self._recorder.watch(phases, self._steps, self._predictions, self._latency)
        self._recorder.describe(
            name=name,
            config_sha256=config_sha256(config),
            seed=config["seed_everything"],
            precision=str(trainer.precision),
            **environment(device.describe()),
        )

    def __call__(self, ckpt_path: str | None = None) -> RunRecord:
        """Run from data to record; where it fails, the record says how."""
        try:
            self._prepare()
            best = self._train(ckpt_path)
            self._test(best)
            if not self._trainer.is_global_zero:
                return self._recorder.record("ok")  # the first process writes the one record
            self._finish_alone()
            record = self._recorder.write("ok")
        except BaseException as error:
            self._phases.finish()
            status = status_of(error, self._trainer)
            if self._trainer.is_global_zero:
                self._recorder.write(status, _sentence(error, status, self._trainer))
            if status == "oom":
                raise ResourceError(
                    "out of memory; lower --data.batch_size or --data.max_length, or set "
                    "--model.gradient_checkpointing true"
                ) from error
            if self._trainer.received_sigterm:
                raise SystemExit(143) from error
            if status == "interrupted":  # Lightning turns Ctrl-C into an exit with code 1
                raise KeyboardInterrupt from error
            raise
        for logger in self._trainer.loggers:
            if isinstance(logger, TensorBoard):
                logger.add_row(record, self._predictions, self._texts())
        return record

    def _prepare(self) -> None:
        """Load data and model before the trainer does, so that each is a phase of its own."""
        trainer, model, data = self._trainer, self._model, self._data
        model.trainer = data.trainer = trainer
        with self._phases.phase("tokenise"):
            data.prepare_data()
            data.setup("fit")
        with self._phases.phase("load"):
            model.configure_model()
            facts = model.model_facts()
        parameters = Parameters(model.network)
        self._recorder.watch(parameters)
        self._recorder.describe(adapter=model.adapter_facts(), model=facts, data=data.report())
        self._recorder.describe(comparability=self._comparability(facts, data.report()))
        trainer.callbacks.extend([self._phases, self._steps, self._predictions])  # type: ignore[attr-defined]
        if not trainer.is_global_zero:
            return
        share = parameters.readings()["params/trainable_share"].value
        Console(stderr=True).print(
            f"{type(model.adapter).__name__} on {facts['hub_id']}: {100 * share:.3g} % of the "
            f"parameters learn; {data.report()['rows']['train']} training rows; "
            f"writing to {self._output}",
            highlight=False,
            soft_wrap=True,
        )

    def _train(self, ckpt_path: str | None) -> str | None:
        """Train, and return the best checkpoint; None where nothing learns."""
        if not self._model.learns:
            return None
        self._trainer.fit(self._model, datamodule=self._data, ckpt_path=ckpt_path)
        checkpoints = self._trainer.checkpoint_callback
        assert isinstance(checkpoints, Checkpoints)
        score = checkpoints.best_model_score
        if score is None or not torch.isfinite(score):
            raise DivergedError(
                f"{checkpoints.monitor} was never a number, so there is no best checkpoint; "
                "look at metrics.csv and lower --model.adapter.learning_rate"
            )
        best = str(checkpoints.best_model_path)
        self._recorder.describe(
            best_checkpoint={
                "path": str(Path(best).relative_to(self._output)),
                "monitor": checkpoints.monitor,
                "score": float(score),
            }
        )
        return best

    def _test(self, best: str | None) -> None:
        """Test once, on the best checkpoint."""
        self._trainer.test(self._model, datamodule=self._data, ckpt_path=best, verbose=False)

    def _finish_alone(self) -> None:
        """Do what one process does for all: predictions, export, check and latency."""
        write_text(self._output / "predictions.csv", self._predictions.to_csv(self._texts()))
        self._export()
        self._probe()
        self._phases.finish()

    def _export(self) -> None:
        """Write the adapter in the ecosystem's own format and check it in a fresh process."""
        folder = self._output / "adapter"
        with self._phases.phase("export"):
            learned = self._model.export(folder)
            size = learned.stat().st_size
            self._recorder.add(
                {"adapter/file_size": Reading(size, "B", f"measured: size of {learned.name}", n=1)}
            )
            record = self._recorder.record("ok").to_dict()
            write_text(folder / "README.md", self._model.card(record))
        with self._phases.phase("check"):
            count = min(CHECKED_ROWS, len(self._predictions.row_ids))
            texts = self._texts()
            report = self._model.check_export(
                folder,
                [texts[int(row)] for row in self._predictions.row_ids[:count]],
                self._predictions.logits[:count],
                self._data.max_length,
            )
            self._recorder.add({}, check=report)

    def _probe(self) -> None:
        """Time base, unmerged and merged network on test rows; merges the adapter at the end."""
        with self._phases.phase("latency"):
            device = self._trainer.strategy.root_device
            model = self._model.to(device)
            batches = {
                size: {name: tensor.to(device) for name, tensor in batch.items()}
                for size, batch in self._data.sample_batches((1, self._data.batch_size)).items()
            }
            base = model.build(model.frozen_dtype)[0].to(device)
            if same_modules(base, model.network):
                del base
                self._latency.probe({"unmerged": self._forward(model.network)}, batches)
                self._latency.same("the adapter adds none")
                return
            sides = {"base": self._forward(base), "unmerged": self._forward(model.network)}
            before = self._latency.probe(sides, batches)["unmerged"]
            try:
                model.adapter.merge(model.network)
            except NotMergeableError as error:
                self._latency.missing("merged", str(error))
                return
            sides = {"base": self._forward(base), "merged": self._forward(model.network)}
            after = self._latency.probe(sides, batches)["merged"]
            self._recorder.add(
                {
                    "adapter/merge_difference": Reading(
                        float((after - before).abs().max()),
                        "1",
                        "measured: largest difference of logits that merging makes, one test batch",
                        n=len(after),
                    )
                }
            )

    def _forward(self, network: nn.Module) -> Forward:
        """Return the forward of a network in eval mode, in the trainer's precision."""
        network.eval()

        def forward(batch: dict[str, torch.Tensor]) -> torch.Tensor:
            with self._trainer.precision_plugin.forward_context():
                return self._model.logits(network, batch)

        return forward

    def _texts(self) -> dict[int, str]:
        return {row: text for row, text, _ in self._data.test_rows()}

    def _comparability(self, model: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return what must be equal for two rows to be compared."""
        trainer = self._trainer
        return {
            "model": model["sha256"],
            "data": data["fingerprint"],
            "rows": data["rows"],
            "epochs": trainer.max_epochs,
            "batch": self._data.batch_size * trainer.accumulate_grad_batches * trainer.world_size,
            "precision": str(trainer.precision),
            "torch": torch.__version__,
            "device": self._device.describe()["name"],
        }


def config_sha256(config: Mapping[str, Any]) -> str:
    """Return the hash of what a config asks for, less where it writes and how it loads.

    Args:
        config: The resolved config, plain data.
    """
    flat = {key: value for key, value in _flatten(config) if not key.startswith(NOT_HASHED)}
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()


def same_modules(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two networks have the same modules by name and type, so the same speed."""

    def kinds(network: nn.Module) -> list[tuple[str, type]]:
        return [(name, type(module)) for name, module in network.named_modules()]

    return kinds(one) == kinds(other)


def status_of(error: BaseException, trainer: Trainer) -> str:
    """Return the status of a run that an exception ended: failed, oom or interrupted."""
    if trainer.received_sigterm or (trainer.interrupted and not isinstance(error, Exception)):
        return "interrupted"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    # The CPU allocator raises a plain RuntimeError.
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        return "oom"
    return "failed"


def _sentence(error: BaseException, status: str, trainer: Trainer) -> str:
    if status == "interrupted":
        return f"stopped by {'SIGTERM' if trainer.received_sigterm else 'Ctrl-C'}"
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, HwlitError) else f"{type(error).__name__}: {text}"


def _flatten(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            items += _flatten(value, f"{prefix}{key}.")
        else:
            items.append((f"{prefix}{key}", value))
    return items
