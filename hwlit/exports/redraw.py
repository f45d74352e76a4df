"""The check after fit: does what was exported reload elsewhere, and draw the same pictures?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hwlit.errors import IntegrityError
from hwlit.exports import stock_pipeline
from hwlit.exports.fresh_process import run_fresh

SCRIPT = Path(stock_pipeline.__file__)
Levels = np.ndarray[Any, np.dtype[np.int16]]


@dataclass(frozen=True)
class Tolerance:
    """How far pictures may lie apart and still count as equal, in levels of 0 to 255.

    Args:
        largest: The largest difference of any channel of any pixel.
        mean: The mean over all of them.
    """

    largest: int
    mean: float


# fp32 differs by the order of sums alone, which rounding to whole levels shows as 1. In half
# precision a sampler amplifies what rounding of the weights begins, at edges above all; there only
# the mean can tell.
TOLERANCES = {
    torch.float32: Tolerance(4, 0.25),
    torch.bfloat16: Tolerance(255, 4.0),
    torch.float16: Tolerance(255, 2.0),
}


# Why stock diffusers draws from no such file, by how its name begins.
UNREAD = {
    stock_pipeline.SHIFTS: "stock diffusers has no loader for it; the pipeline, which was drawn "
    "from, holds it folded, and hwlit export RUN --lora turns it into a LoRA file",
    "learned.": "stock diffusers has no loader for it; the pipeline, which was drawn from, has it",
}
ROUNDING = (
    "diffusers computes the attention of such a file step by step, where the run's is one fused "
    "kernel: in half precision each rounds in its own way"
)
WORST: dict[str, Callable[[Iterable[Any]], Any]] = {
    "max_pixel_difference": max,
    "mean_pixel_difference": max,
    "mean_difference_from_base": min,
}
PART = "it holds only a part of what was learned"


@dataclass(frozen=True)
class Drawing:
    """What was drawn, and how.

    Args:
        prompts: The prompts.
        seeds: The seed of each, of a generator of its own on the CPU.
        steps: Denoising steps.
        guidance: Guidance scale.
        size: Width and height in pixels; None takes the pipeline's own.
    """

    prompts: Sequence[str]
    seeds: Sequence[int]
    steps: int
    guidance: float
    size: int | None = None

    def settings(self) -> dict[str, Any]:
        """Return what a stock pipeline is called with beside prompt and generator."""
        asked = {"num_inference_steps": self.steps, "guidance_scale": self.guidance}
        return asked | ({} if self.size is None else {"height": self.size, "width": self.size})


def check_redraw(
    folder: Path,
    base: str,
    drawing: Drawing,
    live: Sequence[Image.Image],
    untuned: Sequence[Image.Image],
    dtype: torch.dtype,
    device: str = "cpu",
    timeout: float = 5400.0,
) -> dict[str, Any]:
    """Draw from an export with stock diffusers in a fresh process, and compare with the run's own.

    Drawn from is each file that stock diffusers can read: see `stock_pipeline.ways`.

    Args:
        folder: The exported folder, or a LoRA file alone.
        base: Location of the pretrained pipeline.
        drawing: What to draw.
        live: What the network in memory drew.
        untuned: What the pretrained pipeline drew.
        dtype: Precision of the pipeline that drew both; sets the tolerance.
        device: Device of torch that drew both.
        timeout: Seconds after which the fresh process is given up.

    Returns:
        What the record says: differences in levels of 0 to 255, the largest and those of each way,
        tolerance, versions, and why other files were not drawn from.

    Raises:
        IntegrityError: A file does not reload, draws other pictures, or draws those of the base.
    """
    job, half = _job(folder, base, drawing, dtype, device), dtype != torch.float32
    with tempfile.TemporaryDirectory() as out:
        told = _run(job | {"out": out}, folder, timeout, device)
        drawn = {
            " + ".join(files): _levels([_drawn(out, w, i) for i in range(len(live))])
            for w, files in enumerate(told["ways"])
        }
    ours, before, limit = _levels(live), _levels(untuned), TOLERANCES[dtype]
    ways = {
        name: _compared(f"{name} of {folder}", found, ours, before, limit, half and ".bin" in name)
        for name, found in drawn.items()
    }
    worst = {name: pick(way[name] for way in ways.values()) for name, pick in WORST.items()}
    return {
        "pictures": len(live),
        "prompts": job["prompts"],
        **worst,
        "tolerance": {"max": limit.largest, "mean": limit.mean},
        "levels": 255,
        "loaded_with": f"stock diffusers, fresh process, {job['dtype']} on {device}",
        "ways": ways,
        "unread": _unread(folder, {file for files in told["ways"] for file in files}),
        "versions": told["versions"],
    }


def _job(
    folder: Path, base: str, drawing: Drawing, dtype: torch.dtype, device: str
) -> dict[str, Any]:
    """Return what `stock_pipeline.draw` is called with."""
    return {
        "folder": str(folder),
        "base": base,
        "dtype": str(dtype).removeprefix("torch."),
        "device": device,
        "prompts": list(drawing.prompts),
        "seeds": list(drawing.seeds),
        "settings": drawing.settings(),
    }


def _compared(
    what: str, levels: Levels, wanted: Levels, before: Levels, limit: Tolerance, rounds: bool
) -> dict[str, Any]:
    """Return the differences of what was drawn in one way.

    Args:
        what: What it was drawn from.
        levels: The pictures.
        wanted: Those of the run.
        before: Those of the untuned model.
        limit: How far they may lie from the run's.
        rounds: Whether the attention of this way rounds otherwise than the run's.

    Raises:
        IntegrityError: They are too large, or what was drawn is nearer to the untuned model's.
    """
    off, change = np.abs(levels - wanted), np.abs(levels - before)
    if off.max() > limit.largest or off.mean() > limit.mean:
        raise IntegrityError(
            f"{what} reloads, but draws other pictures than the run: a pixel differs by up to "
            f"{off.max()} of 255 levels, {off.mean():.2g} in the mean (tolerance {limit.largest} "
            f"and {limit.mean:g}); do not use it, and report this with the record"
        )
    # What hardly learned lies within the tolerance of its base, but nearer to itself. Where the
    # attention rounds otherwise both may be noise, and the base must be twice as near to tell.
    nearer = (2 if rounds else 1) * change.mean() <= off.mean()
    if (wanted != before).any() and nearer:
        raise IntegrityError(
            f"{what} reloads, but draws what the untuned model draws: what was learned is not "
            "in it; do not use it, and report this with the record"
        )
    return {
        "max_pixel_difference": int(off.max()),
        "mean_pixel_difference": float(off.mean()),
        "mean_difference_from_base": float(change.mean()),
        **({"remark": ROUNDING} if rounds else {}),
    }


def _unread(folder: Path, read: set[str]) -> dict[str, str]:
    """Say why nothing was drawn from the other files of weights."""
    found = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.suffix in (".safetensors", ".bin") and path.name not in read:
            told = (why for start, why in UNREAD.items() if path.name.startswith(start))
            found[path.name] = next(told, PART)
    return found


def _drawn(folder: str, way: int, number: int) -> Image.Image:
    return Image.open(f"{folder}/{way}-{number}.png", formats=("PNG",))


def _levels(pictures: Sequence[Image.Image]) -> Levels:
    return np.stack([np.asarray(picture.convert("RGB"), dtype=np.int16) for picture in pictures])


def _run(job: dict[str, Any], folder: Path, timeout: float, device: str) -> Any:
    return run_fresh(SCRIPT, job, folder, timeout, device)
