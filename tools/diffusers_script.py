"""Run a DreamBooth script of diffusers' examples in this process, unchanged, and watch its steps.

What the script calls once a step is watched from outside: `Accelerator.log` after the update, with
the loss, and `AutoencoderKL.encode` with the pixels. Where torchvision is not installed, a stand-in
for the few transforms that it uses takes its place.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import runpy
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import accelerate
import diffusers
import torch
from torch import Tensor

from hwlit.errors import UsageError

STAND_IN = Path(__file__).parent / "stand_in"
FOLDER = Path("examples", "dreambooth")
TAIL = 2000  # characters of what a failed script printed


@dataclass
class Draw:
    """What a step began from.

    Args:
        pixels: (rows, 3, height, width), from -1 to 1, the concept's rows first.
        random_state: State of torch's generator before latents, noise and noise levels were drawn.
    """

    pixels: Tensor
    random_state: Tensor


@dataclass
class Seen:
    """What was seen of a run, step by step.

    Args:
        ends: When each step ended, in s of a clock that never goes back.
        processor: Processor time of this process until then, in s, over all threads.
        losses: The loss of each.
        draws: What each began from, where that was kept.
        trainable_parameters: How many learn.
    """

    ends: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    trainable_parameters: int = 0

    def step_ended(self) -> None:
        """Note the end of a step."""
        self.ends.append(time.perf_counter())
        self.processor.append(time.process_time())


def find_script(folder: str, name: str) -> Path:
    """Return the path of a script in a checkout of diffusers, or in a folder of its scripts.

    Raises:
        UsageError: It is not there.
    """
    for path in (Path(folder) / name, Path(folder) / FOLDER / name):
        if path.is_file():
            return path
    raise UsageError(
        f"--diffusers {folder} has neither {name} nor {FOLDER / name}; give a checkout of "
        f"https://github.com/huggingface/diffusers at tag v{diffusers.__version__}"
    )


def script_version(script: Path) -> str:
    """Return the version of diffusers that a script says it belongs to, or "unknown"."""
    found = re.search(r'^check_min_version\("([^"]+)"\)', script.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as a command line: `True` is a bare flag, `False` is left out."""
    told = []
    for name, value in settings.items():
        if value is not False:
            told += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return told


def run_script(script: Path, settings: Mapping[str, Any], keep_draws: bool = False) -> Seen:
    """Run a script to its end.

    Args:
        script: Its path.
        settings: Its options.
        keep_draws: Whether pixels and random states are kept.

    Raises:
        RuntimeError: It failed; the message ends in what it printed.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed,
        _torchvision(),
        _watched(keep_draws) as seen,
        mock.patch.object(sys, "argv", [str(script), *flags(settings)]),
    ):
        try:
            with _printing_to(printed):
                runpy.run_path(str(script), run_name="__main__")
        except (Exception, SystemExit) as error:
            printed.seek(0)
            tail = printed.read()[-TAIL:]
            raise RuntimeError(f"{script.name} failed: {error!r}\n{tail}") from error
    return seen


@contextlib.contextmanager
def _printing_to(file: TextIO) -> Iterator[None]:
    """Send what is printed to a file: some handlers of the libraries hold the streams already."""
    sys.stdout.flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        for stream in kept:
            os.dup2(file.fileno(), stream)
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            yield
    finally:
        file.flush()
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)


@contextlib.contextmanager
def _torchvision() -> Iterator[None]:
    """Have torchvision, or its stand-in, on the path.

    The libraries have looked for torchvision when they were imported, above, and go on without it.
    """
    places = [] if importlib.util.find_spec("torchvision") else [str(STAND_IN)]
    with mock.patch.object(sys, "path", places + sys.path):
        yield


@contextlib.contextmanager
def _watched(keep_draws: bool) -> Iterator[Seen]:
    """Note the steps of whatever trains by accelerate meanwhile."""
    seen = Seen()
    prepare, log = accelerate.Accelerator.prepare, accelerate.Accelerator.log
    encode = diffusers.AutoencoderKL.encode

    def watch_prepare(self: Any, network: Any, *others: Any, **named: Any) -> Any:
        learned = (p.numel() for p in network.parameters() if p.requires_grad)
        seen.trainable_parameters = sum(learned)
        return prepare(self, network, *others, **named)

    def watch_log(self: Any, values: dict[str, Any], *others: Any, **named: Any) -> None:
        log(self, values, *others, **named)
        seen.losses.append(values["loss"])
        seen.step_ended()

    def watch_encode(self: Any, pixels: Tensor, *others: Any, **named: Any) -> Any:
        if keep_draws:
            seen.draws.append(Draw(pixels.clone(), torch.get_rng_state()))
        return encode(self, pixels, *others, **named)

    with (
        mock.patch.object(accelerate.Accelerator, "prepare", watch_prepare),
        mock.patch.object(accelerate.Accelerator, "log", watch_log),
        mock.patch.object(diffusers.AutoencoderKL, "encode", watch_encode),
    ):
        yield seen
