"""The command line of fit, validate and test; joins tasks, data and callbacks."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from transformers.utils import logging as transformers_logging

from hwlit.allowed_classes import Allowed
from hwlit.callbacks.checkpoints import Checkpoints, DurableCheckpointIO
from hwlit.callbacks.loggers import run_loggers
from hwlit.callbacks.phases import Phases
from hwlit.callbacks.ranks import Place, node_devices
from hwlit.callbacks.weights_and_biases import projects
from hwlit.data.resuming import ResumableData
from hwlit.devices.selection import device_for
from hwlit.errors import Interrupted, UsageError
from hwlit.explain import explain
from hwlit.output import find_output, is_first_process, run_name
from hwlit.parsing import (
    Parser,
    add_run_options,
    differences,
    link_model_and_data,
    read_configs_as_data,
    refuse_linked,
    root_cause,
    verbatim_columns,
)
from hwlit.plain_text import say
from hwlit.refusals import Refusal, check_names
from hwlit.resume import check_file, find_resumption, resume_arguments
from hwlit.run_directory import Held, take_directory
from hwlit.runs.base import WARMUP_STEPS, Run
from hwlit.runs.selection import run_for
from hwlit.saved_configs import FITTED, load_config
from hwlit.storage import write_text
from hwlit.study.show import show_run
from hwlit.tasks.base import Task
from hwlit.tasks.precision import HALF_DTYPES, FrozenHalf
from hwlit.trainer_settings import (
    TRAINER_DEFAULTS,
    check_devices,
    check_monitors,
    check_ranges,
)
from hwlit.written_files import keep_other_record
from hwlit.yaml_files import config_text, in_comment

# What a config.yaml does not hold: where it lies, and what it was made from.
IN_NO_CONFIG = ("output", "config", "resume", "allow_class")


class HwlitCLI(LightningCLI):
    """LightningCLI with one directory per run and a `fit` that goes on to the finished row."""

    kind_of_run = staticmethod(run_for)
    take = staticmethod(take_directory)
    again = "go on with: hwlit fit --resume {}"

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the command that is asked for: a parser takes long to make."""
        return {sys.argv[1]: LightningCLI.subcommands()[sys.argv[1]]}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seed."""
        parser.add_argument(
            "--seed_everything", type=int, default=0,
            help="Seed of all that is random in training: fresh weights, order of rows, "
            "crops, flips, dropout, noise. What is tested on follows from --data.seed instead.",
        )  # fmt: skip

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what fit needs beside trainer, model and data, and join model and data."""
        add_run_options(parser)
        parser.add_lightning_class_args(Checkpoints, "checkpoint")
        link_model_and_data(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line, and say of a refused one what it meant.

        Raises:
            UsageError: It is refused, or a number is out of range.
        """
        command, *words = sys.argv[1:]
        allowed = Allowed.given(words)
        try:
            check_names(words, allowed)
            super().parse_arguments(parser, args)
        except Refusal:
            raise
        except UsageError as error:
            meant = explain(self._parser(command), words, allowed.every())
            raise UsageError(meant or str(error)) from error
        check_ranges(self.config[command])

    def _parse_ckpt_path(self) -> None:
        """Read no hyperparameters from a checkpoint: the command line wins, nothing is imported.

        Raises:
            UsageError: The path is no file.
        """
        # A run that goes on may have outlived the checkpoint that it began from.
        if self._asked("resume") is None and (path := self._asked("ckpt_path")) is not None:
            check_file(path)

    def instantiate_classes(self) -> None:
        """Make task, data and trainer, and only then take the run's directory.

        Raises:
            UsageError: A setting is out of range, or the trainer cannot be had as asked.
        """
        self.output = self._find_output() if self.subcommand == "fit" else None
        self.resumption = None
        self.lock: Held | None = None
        if self.output is not None:
            resumes = self._asked("resume") is not None
            if resumes and is_first_process():  # held before it is looked at
                self.lock = take_directory(self.output, self._name(), resumes)
                keep_other_record(self.output)
            self.resumption = find_resumption(self.output, resumes, self._asked("ckpt_path"))
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, ImportError, MisconfigurationException) as error:
            raise root_cause(error) from error
        check_monitors(self.trainer, self.model.metric_names, self.model.best_by)
        if self.output is not None and self.trainer.is_global_zero:
            if self.lock is None:
                self.lock = self.take(self.output, self._name(), False)
            os.environ["HWLIT_OUTPUT"] = str(self.output)  # for the processes that this one starts

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with loggers and checkpoints inside the run's directory."""
        check_devices(self.config[str(self.subcommand)])
        plugins = list(self._asked("trainer.plugins") or [])
        half = self._asked("trainer.precision")
        if half in HALF_DTYPES:
            plugins.append(FrozenHalf(half))
            kwargs["precision"] = None
        if self.output is None:
            if self._asked("trainer.profiler") == "pytorch":
                raise UsageError("--trainer.profiler pytorch writes into a run; use it with fit")
            plugins.append(DurableCheckpointIO(nullcontext))
            kwargs |= {"logger": False}
        else:
            plugins.append(DurableCheckpointIO(lambda: self.phases.phase("save")))
            kwargs |= {"logger": self._loggers(self.output), "default_root_dir": self.output}
        trainer = super().instantiate_trainer(plugins=plugins, **kwargs)
        for plugin in plugins:
            if isinstance(plugin, FrozenHalf):
                plugin.device_type = trainer.strategy.root_device.type
        if self.output is not None:
            place = Place.of(trainer)
            self.device = device_for(trainer.strategy.root_device, node_devices(trainer))
            self.phases = Phases(self.device, WARMUP_STEPS, place)
            assert isinstance(trainer.checkpoint_callback, Checkpoints)
            trainer.checkpoint_callback.folder = self.output / "checkpoints"
        return trainer

    def fit(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Run from training to the finished row, and print it."""
        assert self.output is not None
        assert isinstance(model, Task)
        assert isinstance(datamodule, ResumableData)
        config = self._resolved()
        run: Run[Any, Any] | None = None
        resumes = self._asked("resume") is not None
        try:
            run = self.kind_of_run(model, datamodule)(
                self.trainer, model, datamodule, self.device, self.phases, self.output, config,
                self._name(),
            )  # fmt: skip
            self._keep_config(config)
            record = run(self.resumption)
        except BaseException as error:
            kept = resumes or (run is not None and run.began)
            if not kept and self.lock is not None:
                self.lock.undo()
            if isinstance(error, Interrupted):
                again = self.again.format(shlex.quote(str(self.output)))
                if (own := self._asked("allow_class")) is not None:  # it stands in no file
                    again += f" --allow_class {shlex.quote(own)}"
                less = "nothing else is kept of it" if error.__notes__ else "nothing is kept of it"
                error.add_note(again if kept else less)
            raise
        finally:
            os.environ.pop("HWLIT_OUTPUT", None)
            if self.lock is not None:
                self.lock.release()
        if self.trainer.is_global_zero:
            show_run(record, self.output)

    def _keep_config(self, config: dict[str, Any]) -> None:
        """Write the config of a new run; compare that of one that goes on."""
        assert self.output is not None
        path = self.output / "config.yaml"
        if self._asked("resume") is not None and self.resumption is not None:
            before = load_config(config_text(path))
            self.resumption = replace(self.resumption, changed=differences(before, config))
        elif self.trainer.is_global_zero:
            header = f"{FITTED}--config {in_comment(path)}\n"
            write_text(path, header + yaml.safe_dump(config, sort_keys=False))

    def validate(
        self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any
    ) -> None:
        """Validate, and print the metrics."""
        self.trainer.validate(
            model, datamodule=datamodule, verbose=False, ckpt_path=kwargs["ckpt_path"]
        )
        self._print_metrics()

    def test(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Test, and print the metrics."""
        at = kwargs["ckpt_path"]
        self.trainer.test(model, datamodule=datamodule, verbose=False, ckpt_path=at)
        self._print_metrics()

    def _print_metrics(self) -> None:
        text = json.dumps({n: float(v) for n, v in self.trainer.callback_metrics.items()}, indent=1)
        if (output := self._asked("output")) is not None:
            write_text(Path(output), text + "\n")
        say(*text.split("\n"))

    def _asked(self, key: str) -> Any:
        return self.config[str(self.config["subcommand"])].get(key)

    def _name(self) -> str:
        return run_name(self._asked("config") or [], self._asked("resume"))

    def _find_output(self) -> Path:
        adapter = "model.init_args.adapter"
        method = self._asked(f"{adapter}.init_args.config.class_path")  # of PEFT's methods
        kind = str(method or self._asked(f"{adapter}.class_path")).removesuffix("Config")
        return find_output(self._asked("output"), self._asked("resume"), self._name(), kind)

    def _loggers(self, output: Path) -> Any:
        step = self.resumption.step if self._asked("resume") and self.resumption else None
        more = projects(self._asked("wandb"), output, self._resolved)
        asked = self.config_init["fit"]["trainer"].get("logger")
        return run_loggers(asked, output, step, *more)

    def _resolved(self) -> dict[str, Any]:
        """Return the resolved config as plain data, fit to be given to `--config` again."""
        parser = self._parser("fit")
        text = parser.dump(self.config["fit"], skip_none=False, skip_validation=True, format="yaml")
        config: dict[str, Any] = yaml.safe_load(text)
        return {key: value for key, value in config.items() if key not in IN_NO_CONFIG}


def main(arguments: list[str], cli: type[HwlitCLI] = HwlitCLI) -> int:
    """Run fit, validate or test.

    Args:
        arguments: The command line from the subcommand on, configs already found.
        cli: What runs it; `check` has its own.

    Returns:
        The exit code: 0 only after the record lies on the disk.
    """
    arguments = verbatim_columns(resume_arguments(arguments))
    refuse_linked(arguments)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    read_configs_as_data(Allowed.given(arguments).every())
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)  # it would let checkpoints run code
    # Lightning starts the other processes of a run with this process's arguments.
    saved, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        cli(
            Task,
            ResumableData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_class=Parser,
            parser_kwargs={"prog": "hwlit", "allow_abbrev": False},
        )
    finally:
        sys.argv = saved
    return 0
