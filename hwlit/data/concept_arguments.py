"""Settings of a concept's pictures that cannot be used together, told before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwlit.data.arguments import at_least
from hwlit.data.prompts import check_prompts
from hwlit.errors import UsageError

COUNTS = ("class_steps", "images_per_prompt", "batch_size", "eval_batch_size", "epoch_steps")


def check_settings(given: Mapping[str, Any]) -> None:
    """Refuse settings of `ConceptImages` that are out of range or do not go together.

    Args:
        given: The settings by name.

    Raises:
        UsageError: They are refused.
    """
    for name in ("class_images", "seed", "num_workers"):
        at_least(0, name, given[name])
    for name in (*COUNTS, "validation_levels"):
        at_least(1, name, given[name])
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
    folder = None if given is None else Path(given).expanduser()
    if folder is not None and not folder.is_dir() and (folder.exists() or folder.is_symlink()):
        raise UsageError(f"--data.class_images_path {given} is no folder; give one, or a new name")
