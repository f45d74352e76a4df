"""The check after fit: does what was exported reload elsewhere, and draw the same pictures?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hwlit.errors import IntegrityError
from hwlit.exports.fresh_process import run_fresh

SCRIPT = Path(__file__).with_name("stock_pipeline.py")
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
    timeout: float = 1800.0,
) -> dict[str, Any]:
    """Draw from an export with stock diffusers in a fresh process, and compare with the run's own.

    Args:
        folder: The exported folder.
        base: Location of the pretrained pipeline.
        drawing: What to draw.
        live: What the network in memory drew.
        untuned: What the pretrained pipeline drew.
        dtype: Precision of the pipeline that drew both; sets the tolerance.
        device: Device of torch that drew both.
        timeout: Seconds after which the fresh process is given up.

    Returns:
        What the record says: differences in levels of 0 to 255, tolerance, versions.

    Raises:
        IntegrityError: It does not reload, draws other pictures, or draws those of the base.
    """
    job = {
        "folder": str(folder),
        "base": base,
        "dtype": str(dtype).removeprefix("torch."),
        "device": device,
        "prompts": list(drawing.prompts),
        "seeds": list(drawing.seeds),
        "settings": drawing.settings(),
    }
    with tempfile.TemporaryDirectory() as out:
        versions = _run(job | {"out": out}, folder, timeout, device)
        found = _levels([Image.open(Path(out) / f"{i}.png") for i in range(len(live))])
    wanted, before = _levels(live), _levels(untuned)
    off, change = np.abs(found - wanted), np.abs(found - before)
    report = {
        "pictures": len(live),
        "max_pixel_difference": int(off.max()),
        "mean_pixel_difference": float(off.mean()),
        "mean_difference_from_base": float(change.mean()),
        "tolerance": {"max": TOLERANCES[dtype].largest, "mean": TOLERANCES[dtype].mean},
        "levels": 255,
        "loaded_with": f"stock diffusers, fresh process, {job['dtype']} on {device}",
        "versions": versions,
    }
    _judge(folder, off, change, TOLERANCES[dtype], learned=bool((wanted != before).any()))
    return report


def _judge(folder: Path, off: Levels, change: Levels, limit: Tolerance, learned: bool) -> None:
    if off.max() > limit.largest or off.mean() > limit.mean:
        raise IntegrityError(
            f"{folder} reloads, but draws other pictures than the run: a pixel differs by up to "
            f"{off.max()} of 255 levels, {off.mean():.2g} in the mean (tolerance {limit.largest} "
            f"and {limit.mean:g}); do not use it, and report this with the record"
        )
    # What hardly learned lies within the tolerance of its base, but nearer to itself.
    if learned and change.mean() <= off.mean():
        raise IntegrityError(
            f"{folder} reloads, but draws what the untuned model draws: what was learned is not "
            "in it; do not use it, and report this with the record"
        )


def _levels(pictures: Sequence[Image.Image]) -> Levels:
    return np.stack([np.asarray(picture.convert("RGB"), dtype=np.int16) for picture in pictures])


def _run(job: dict[str, Any], folder: Path, timeout: float, device: str) -> Any:
    return run_fresh(SCRIPT, job, folder, timeout, device)
