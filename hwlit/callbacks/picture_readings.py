"""What the measures of test pictures mean, and each as a mean over pictures with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from hwlit.metrics.intervals import mean_interval, row_variance
from hwlit.records import Measure, Reading, Rows, measured

COSINE = Measure("quality", "max", (-1.0, 1.0), margin=0.01)
# Margins: the published methods lie .02 to .03 apart in CLIP-I, .03 to .10 in DINO and .01 to .05
# in CLIP-T (DreamBooth, table 1; Custom Diffusion, table 1); a third to a half of that is little.
MEASURES = {
    "clip_i": replace(COSINE, primary=True),
    "clip_t": replace(COSINE, margin=0.005),
    "dino": replace(COSINE, margin=0.02),
    "diversity": Measure("quality", "max", (0.0, 2.0), margin=0.01),
    "memorising": replace(COSINE, direction="min"),
    "drift": Measure("quality", "min", (0.0, 2.0), margin=0.01),
    "clip_kid": Measure("quality", "min", margin=0.01),  # unbiased, so that it may be below 0
}


def mean_over_pictures(name: str, values: Tensor, prompts: Sequence[str], source: str) -> Reading:
    """Return a mean with its interval over prompts; those of the tuned model are in the table."""
    low, high = mean_interval(values, prompts) or (None, None)
    phase, _, column = name.partition("/")
    return Reading(
        float(values.double().mean()),
        "1",
        measured(source),
        low,
        high,
        len(values),
        None if low is None else f"bootstrap over {units_of(prompts)}",
        measure_of(name),
        Rows("mean", (column,)) if phase == "test" else None,
        row_variance(values.double().numpy(), prompts),
    )


def bounded(name: str, values: Tensor) -> Tensor:
    """Return values without what rounding adds beyond what there can be, such as a cosine of 1."""
    return values.double().cpu().clamp(*MEASURES[name.partition("/")[2]].bounds)


def measure_of(name: str) -> Measure:
    """Return what a reading means; runs are not ranked by what the untuned model draws."""
    phase, _, quantity = name.partition("/")
    return replace(MEASURES[quantity], primary=MEASURES[quantity].primary and phase == "test")


def units_of(prompts: Sequence[str]) -> str:
    """Return what an interval is drawn over: prompts, or the pictures of a single one."""
    return "prompts" if len(set(prompts)) > 1 else "pictures"
