"""Settings of a concept's pictures that cannot be used together, told before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hwlit.data.arguments import folder_of, seed_in_range, whole, workers
from hwlit.data.picture_folder import MOST_PICTURES
from hwlit.data.prompts import check_lengths, check_prompts
from hwlit.errors import UsageError

# The most of each that a run could end with; all are made ready at once.
COUNTS = {
    "class_steps": 1000,
    "images_per_prompt": MOST_PICTURES,
    "batch_size": 10_000,
    "eval_batch_size": 10_000,
    "epoch_steps": 1_000_000,
    "validation_levels": 1000,
}
MOST_ROWS = 10_000_000
NOT_TAKEN = {
    "seed": "pictures of a concept are not divided, for all of them train; leave it out (order, "
    "crops and flips follow --seed_everything)"
}


def check_settings(given: Mapping[str, Any]) -> None:
    """Refuse settings of `ConceptImages` that are out of range or do not go together.

    Args:
        given: The settings by name.

    Raises:
        UsageError: They are refused.
    """
    seed_in_range("shuffle_seed", given["shuffle_seed"])
    workers(given["num_workers"])
    whole(0, MOST_PICTURES, "class_images", given["class_images"])
    for name, most in COUNTS.items():
        whole(1, most, name, given[name])
    if not math.isfinite(guidance := given["class_guidance"]):
        raise UsageError(f"--data.class_guidance is {guidance}; give a finite number, such as 7.5")
    prompts = len(given["test_prompts"]) + len(given["unrelated_prompts"])
    if (drawn := prompts * given["images_per_prompt"]) > MOST_PICTURES:
        raise UsageError(
            f"{drawn:,} test pictures are asked for, and at most {MOST_PICTURES:,} are drawn; "
            "lower --data.images_per_prompt or give fewer prompts"
        )
    if (rows := given["epoch_steps"] * given["batch_size"]) > MOST_ROWS:
        raise UsageError(
            f"an epoch has {rows:,} rows, and at most {MOST_ROWS:,} are put in order at once; "
            "lower --data.epoch_steps and give more --trainer.max_epochs"
        )
    check_lengths((given["identifier"], *given["unrelated_prompts"]))
    check_prompts(given["instance_prompt"], given["identifier"], given["test_prompts"])
    if given["class_images"] and not (given["class_prompt"] or "").strip():
        raise UsageError("--data.class_images needs --data.class_prompt: 'a photo of dog'")
    if given["class_images_path"] is not None and not given["class_images"]:
        raise UsageError("--data.class_images_path needs --data.class_images: how many to use")
    _check_folder(given["class_images_path"])
    varied = given["crop"] == "random" or given["flip"] or given["random_size"]
    if given["cache_latents"] and varied:
        raise UsageError(
            "random crops, flips and sizes need every picture encoded anew; set "
            "--data.cache_latents false, or turn --data.crop, flip and random_size off"
        )


def _check_folder(given: str | None) -> None:
    folder = None if given is None else folder_of(given, "--data.class_images_path")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--data.class_images_path {given} is no folder; give one that is there")
