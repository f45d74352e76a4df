"""Going on with a run that was stopped: which arguments, which checkpoint, and how exact it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from hwlit.checkpoint_file import check_checkpoint
from hwlit.errors import IntegrityError, UsageError
from hwlit.output import is_first_process
from hwlit.plain_text import say
from hwlit.run_directory import check_plain, foreign_checkpoints, run_status
from hwlit.saved_configs import QUANTIZED
from hwlit.storage import MANIFEST, manifests, verify
from hwlit.yaml_files import config_text

# What may differ from the run that is resumed; the record says so.
CHANGEABLE = (
    "--trainer.devices", "--trainer.max_epochs", "--data.num_workers",
    "--data.init_args.num_workers", "--trainer.enable_progress_bar", "--allow_class",
)  # fmt: skip

SHOWN = 10  # checkpoints that are passed over, on the screen; the record has all


@dataclass(frozen=True)
class Resumption:
    """Where a run goes on.

    Args:
        checkpoint: The checkpoint; None where none was written yet and the run begins anew.
        facts: Its manifest.
        damaged: Newer checkpoints that were passed over, with the reason.
        changed: What differs from the run's config.
    """

    checkpoint: Path | None
    facts: dict[str, Any] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """The optimizer step of the checkpoint; 0 without one."""
        return int(self.facts.get("step", 0))

    def to_dict(self) -> dict[str, Any]:
        """Return what the record says: from where, and why it may not be bit-exact."""
        here = {"threads": torch.get_num_threads(), "torch": torch.__version__}
        inexact = [
            f"{name} was {self.facts[name]}, is {value}"
            for name, value in here.items()
            if name in self.facts and self.facts[name] != value
        ]
        return {
            "path": None if self.checkpoint is None else str(self.checkpoint),
            "step": self.step,
            "epoch": self.facts.get("epoch", 0),
            "damaged": list(self.damaged),
            "not_bit_exact": [*inexact, *self.changed],
        }


def resume_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `fit --resume RUN` as those of the run, changes last.

    Args:
        arguments: The command line from `fit` on; returned as it is without `--resume`.

    Raises:
        UsageError: There is nothing to resume, or an argument would make another run of it.
        IntegrityError: The run's directory holds a link.
    """
    words = [part for word in arguments for part in _parts(word)]
    if "--resume" not in words:
        return list(arguments)
    at = words.index("--resume")
    if words[0] != "fit" or len(words) == at + 1:
        raise UsageError("--resume belongs to fit and wants a run's directory: fit --resume RUN")
    run = Path(words[at + 1])
    config = run / "config.yaml"
    changes = words[1:at] + words[at + 2 :]
    pairs = list(zip_longest(changes[::2], changes[1::2], fillvalue=""))
    for name, value in pairs:
        # Processes that this one starts have the config in their arguments already.
        if name not in CHANGEABLE and (name, value) != ("--config", str(config)):
            raise UsageError(
                f"--resume goes on with a run as it was, and {name} would change it; only "
                f"{', '.join(CHANGEABLE)} may be given (start a new run from a checkpoint by "
                "--ckpt_path)"
            )
        if not value or value.startswith("--"):
            raise UsageError(f"{name} has no value; give one: {name} VALUE")
    check_plain(run)
    if not config.is_file():
        raise UsageError(
            f"{run} holds no config.yaml, so there is no run to resume; start one with --config"
        )
    if config_text(config).startswith(QUANTIZED):
        raise UsageError(
            f"{run} was made by hwlit quantize, which trains nothing to go on with; quantise its "
            "run again by the same command"
        )
    _refuse_finished(run)
    changed = [f"{name}={value}" for name, value in pairs if name != "--config"]
    return ["fit", "--config", str(config), "--resume", str(run), *changed]


def find_checkpoint(
    run: Path, check: Callable[[Path], dict[str, Any]] = check_checkpoint
) -> Resumption:
    """Return the newest checkpoint of a run that is whole and can be gone on from.

    Args:
        run: The run's directory.
        check: Refuses one that is not; returns its manifest.

    Returns:
        Where it goes on; without a checkpoint where the run was stopped before its first one.

    Raises:
        IntegrityError: There are checkpoints, but none is whole and the run's own: that is no
            reason to begin anew.
    """
    folder = run / "checkpoints"
    described = manifests(folder)
    damaged = _unreadable(folder, [path for path, _ in described])
    for path, _ in reversed(described):
        try:
            return Resumption(path, check(path), tuple(damaged))
        except IntegrityError as error:
            if len(damaged) < SHOWN:
                _say(str(error))
            damaged.append(str(error))
    if damaged:
        raise IntegrityError(
            f"none of the {len(damaged)} checkpoints in {folder} is whole and hwlit's; start a new "
            "run"
        )
    if foreign := foreign_checkpoints(run):
        raise IntegrityError(
            f"{folder} has no checkpoint that is known to be whole: {foreign[0].name} lacks its "
            f"manifest ({foreign[0].name}{MANIFEST}); bring that back, or move {foreign[0].name} "
            "away to begin anew"
        )
    return Resumption(None)


@contextlib.contextmanager
def restoring(checkpoint: Path | None, began: Callable[[], bool]) -> Iterator[None]:
    """Say that a checkpoint is damaged where Lightning finds no sense in it.

    Args:
        checkpoint: What a run goes on from; None where it begins anew.
        began: Says whether a step has begun: what goes wrong later is not the checkpoint's.

    Raises:
        IntegrityError: It is damaged.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if checkpoint is None or began():
            raise
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise IntegrityError(
            f"{checkpoint} cannot be gone on from ({told}); move it away to use another"
        ) from error


def _unreadable(folder: Path, readable: Sequence[Path]) -> list[str]:
    """Say which checkpoints have a manifest that cannot be read; the newest may be among them."""
    known = set(readable)
    found = [m.with_name(m.name.removesuffix(MANIFEST)) for m in folder.glob(f"*.ckpt{MANIFEST}")]
    told = [
        f"the manifest of {path} is damaged; use another checkpoint"
        for path in sorted(found)
        if path.exists() and path not in known
    ]
    for line in told[:SHOWN]:
        _say(line)
    return told


def _say(line: str) -> None:
    if is_first_process():  # of several, one speaks for all
        say(f"hwlit: {line}", error=True)


def find_resumption(output: Path, resumes: bool, ckpt_path: str | None) -> Resumption | None:
    """Return where fit goes on; None where it begins anew.

    Args:
        output: The run's directory.
        resumes: Whether the run goes on in it.
        ckpt_path: The checkpoint, of another run, that it began from.

    Raises:
        IntegrityError: A checkpoint is damaged.
        UsageError: The run is finished by now, or the checkpoint that it began from is gone.
    """
    if resumes:
        _refuse_finished(output)
    found = find_checkpoint(output) if resumes else None
    if found is not None and found.checkpoint is None:
        _say(f"{output} has no checkpoint yet: it begins anew")
    if ckpt_path is not None and (found is None or found.checkpoint is None):
        check_file(ckpt_path)
        path = Path(ckpt_path).absolute()
        return Resumption(path, verify(path))
    return found


def check_file(ckpt_path: str) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        UsageError: The path is no file.
    """
    if not Path(ckpt_path).is_file():
        raise UsageError(
            f"--ckpt_path {ckpt_path} is not a file; give a .ckpt of a run's checkpoints/"
        )


def _refuse_finished(run: Path) -> None:
    if run_status(run) == "ok":
        raise UsageError(f"{run} is finished; see it with: hwlit show {run}")


def _parts(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, value] if equals and name.startswith("--") else [word]
