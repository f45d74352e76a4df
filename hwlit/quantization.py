"""Quantise a finished run after training, and write what that costs and wins as a row of its own.

The run's config is parsed again, its best checkpoint loaded, its adapter merged; from there on it
is a run like any other, in which nothing learns: tested, exported, timed, recorded.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from torch import nn

from hwlit import cli
from hwlit.adapters.bitsandbytes_linear import NF4
from hwlit.adapters.formats import Format
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8, OneDnnLinear
from hwlit.adapters.ptq import Ptq
from hwlit.bounded_files import read_rows
from hwlit.checkpoint_file import read_checkpoint
from hwlit.errors import IntegrityError, UsageError
from hwlit.parsing import config_sha256
from hwlit.records import COST, Reading, Record, counted, measured, need, read_run
from hwlit.records import Source as SourceFacts
from hwlit.resume import Resumption
from hwlit.run_directory import (
    Held,
    check_plain,
    hold_directory,
    run_status,
    take_directory,
)
from hwlit.runs.text import TextRun
from hwlit.saved_configs import QUANTIZED
from hwlit.statistics.differences import difference
from hwlit.statistics.parts import scores
from hwlit.storage import write_text
from hwlit.tasks.base import Task
from hwlit.temporaries import remove_temporaries
from hwlit.written_files import keep_other_record
from hwlit.yaml_files import in_comment

LONGEST_LINE = 1 << 16  # characters of the first line of a row's config
FORMATS: dict[str, Format] = {"int8": OneDnnInt8(), "int4": OneDnnInt4(), "nf4": NF4()}


@dataclass(frozen=True)
class Source:
    """The run that is quantised.

    Args:
        folder: Its directory.
        record: Its record.
        name: Short name of the format, as it was asked for.
    """

    folder: Path
    record: Record
    name: str

    @property
    def made(self) -> str:
        """The first line of the row's config: what it was made by."""
        return f"{QUANTIZED}{in_comment(self.folder.resolve(), quoted=True)} --format {self.name}\n"

    def load(self, model: Task) -> None:
        """Give a task, built as the run's was, what the run learned, and merge it.

        Raises:
            IntegrityError: The best checkpoint is missing or damaged.
        """
        best = self.record.best_checkpoint
        if best is None and model.learns:
            raise IntegrityError(
                f"{self.folder} has no best checkpoint to quantise; train it again"
            )
        if best is not None:
            path = Path(best.path)
            if path.parent != Path("checkpoints"):
                raise IntegrityError(
                    f"the best checkpoint of {self.folder} is not in its checkpoints/; train it "
                    "again"
                )
            checkpoint = read_checkpoint(self.folder / path)
            model.on_load_checkpoint(checkpoint)
            model.load_state_dict(checkpoint["state_dict"], strict=False)
        model.adapter.merge(model.network)

    def right(self) -> dict[int, bool]:
        """Return whether each test row was right, by row id.

        Raises:
            IntegrityError: The run's predictions cannot be read.
        """
        path = self.folder / "predictions.csv"
        try:
            return {int(r["row_id"]): r["label"] == r["prediction"] for r in read_rows(path)}
        except (OSError, LookupError, ValueError) as error:
            raise IntegrityError(f"{path} cannot be read ({error}); give a whole run") from error


class QuantizedRun(TextRun):
    """A run in which nothing learns: it begins with what another has learned."""

    source: ClassVar[Source]

    def _load(self) -> str:
        told = super()._load()
        model, source = self._model, self.source
        with self._phases.phase("load"):
            source.load(model)
            adapter = Ptq(format=FORMATS[source.name]).settle(model.heads, model.run_device)
            adapter.attach(model.network)
            model.adapter, model.sites = adapter, adapter.sites(model.network)
        self._recorder.describe(
            config_sha256=config_sha256(self._config | {"quantize": source.name}),
            source=SourceFacts(
                str(source.folder.absolute()),
                source.record.name,
                source.record.adapter.name,
                source.record.config_sha256,
            ),
        )
        return told

    def _comparability(self, resumption: Resumption | None) -> dict[str, Any]:
        """Return that of the source, which was trained once for both, and where this was timed."""
        here = super()._comparability(resumption)
        where = {name: here[name] for name in ("torch", "threads", "world_size", "device")}
        return {**self.source.record.comparability, **where}

    def _export(self) -> None:
        super()._export()
        before, rows = self.source.right(), self._predictions.row_ids.tolist()
        if set(before) != set(rows):
            raise IntegrityError(
                f"{self.source.folder} was tested on other rows than its config gives now; bring "
                "its data back as it was"
            )
        after = (self._predictions.logits.argmax(-1) == self._predictions.targets).tolist()
        found = paired_difference(after, [before[row] for row in rows])
        self._recorder.add({"test/accuracy_difference": found})

    def _probe(self) -> None:
        super()._probe()  # which meets the last of the shapes that kernels are chosen for
        converted = copy.deepcopy(self._model.network)
        self._model.adapter.merge(converted)
        how = counted("parameters, buffers, scales, and copies that the processor multiplies with")
        self._recorder.add(
            {
                "weights/memory": Reading(held_bytes(converted), "B", how, measure=COST),
                "weights/memory/source": Reading(held_bytes(self._model.network), "B", how),
            }
        )


class QuantizeCLI(cli.HwlitCLI):
    """The command line of fit, with a run that learns nothing."""

    source: ClassVar[Source]
    again = "the same command begins again"

    def _name(self) -> str:
        return f"{self.source.record.name}-{self.source.name}"

    def _keep_config(self, config: dict[str, Any]) -> None:
        assert self.output is not None
        text = yaml.safe_dump(config, sort_keys=False)
        told = "# What follows is the config of that run, which trains it again.\n"
        write_text(self.output / "config.yaml", self.source.made + told + text)


def take_again(output: Path, name: str, made: str) -> Held:
    """Take a new directory, or that of a row which the same command began and did not finish.

    Args:
        output: The directory.
        name: What the row is called.
        made: The first line of its config.

    Raises:
        UsageError: It holds anything else.
    """
    if _begun(output, made):
        lock = hold_directory(output, name)
        if _begun(output, made):  # no other process has finished it meanwhile
            remove_temporaries(output)
            keep_other_record(output)
            return Held(output, lock, fresh=False)
        lock.release()
    return take_directory(output, name, False)


def _begun(output: Path, made: str) -> bool:
    path = output / "config.yaml"
    if not path.is_file() or run_status(output) == "ok":
        return False
    check_plain(output)
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(LONGEST_LINE) == made


def paired_difference(after: Sequence[bool], before: Sequence[bool]) -> Reading:
    """Return the difference of two accuracies on the same rows, with its 95 % interval.

    Args:
        after: Whether each row is right now.
        before: Whether it was.
    """
    rows = [np.arange(len(after))]
    now, then = (scores(rows, [np.array(right, float)]) for right in (after, before))
    found = difference(now, then)
    low, high = (
        None if end is None else max(-1.0, min(1.0, end)) for end in (found.low, found.high)
    )
    return Reading(
        found.mean, "1", measured("test accuracy less that of the source"),
        low, high, len(after), "paired t interval",
    )  # fmt: skip


def held_bytes(network: nn.Module) -> int:
    """Return the memory that the weights of a network take, in bytes."""
    held = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    for layer in network.modules():
        if isinstance(layer, OneDnnLinear):
            held += layer.copy_bytes
        elif NF4().owns(layer):  # its scales are neither parameters nor buffers
            state = layer.state_dict()
            held += sum(state[name].nbytes for name in state if name.startswith("weight."))
    return held


def quantize(
    run: Path, name: str, output: Path | None, accelerator: str, more: Sequence[str] = ()
) -> int:
    """Quantise a run, and print its row.

    Args:
        run: The run's directory.
        name: One of `FORMATS`.
        output: The row's directory; None takes one beside the run.
        accelerator: Where it is tested, as the trainer calls it.
        more: Further words of the command line, as fit takes them.

    Returns:
        The exit code.

    Raises:
        UsageError: The run is none of text classification, or has not ended well; it is quantised
            already; the device cannot compute the format.
        IntegrityError: Its record or its best checkpoint is damaged or missing.
    """
    record = read_run(run)
    if record.model.labels is None and record.model.pretrained is not None:
        raise UsageError(f"{run} draws pictures, and only classifiers of texts can be quantised")
    if record.status != "ok":
        raise UsageError(f"{run} has the status {record.status}; quantise one that is finished")
    need(run, record, "model.labels", "adapter.name", "config_sha256", "comparability")
    if "converts_to" in record.adapter.rest:
        raise UsageError(f"{run} is quantised already ({record.adapter.name})")
    source = Source(run.absolute(), record, name)
    output = output or run.absolute().with_name(f"{run.absolute().name}-{name}")
    kind = type("QuantizedRun", (QuantizedRun,), {"source": source})
    command = type(
        "QuantizeCLI", (QuantizeCLI,),
        {
            "source": source, "kind_of_run": staticmethod(lambda model, data: kind),
            "take": staticmethod(lambda output, name, _: take_again(output, name, source.made)),
        },
    )  # fmt: skip
    words = ["fit", "--config", str(run / "config.yaml"), "--output", str(output)]
    one = ["--trainer.devices=1", "--trainer.strategy=auto", "--trainer.logger=false"]
    return cli.main([*words, "--trainer.accelerator", accelerator, *one, *more], command)
