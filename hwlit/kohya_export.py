"""A finished run of LoRA as a file for kohya's tools, read back before it is called written."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from hwlit.errors import IntegrityError, UsageError
from hwlit.exports.diffusers_lora import WEIGHTS
from hwlit.exports.kohya_lora import write_kohya_lora
from hwlit.exports.model_card import public_base
from hwlit.exports.redraw import Drawing, check_redraw
from hwlit.generation import Request, load
from hwlit.networks.pipelines import find_pipeline, picture_sizes, weights_sha256
from hwlit.networks.sampling import draw
from hwlit.plain_text import printable
from hwlit.records import Record, need, read_run, using
from hwlit.storage import replacing

# One picture tells whether the file is read, and a small one of few steps tells it soon.
SIDE, STEPS, GUIDANCE, SEED = 256, 2, 4.0, 0
PROMPT = "a photo"  # where a record names none
# Parameters of a text encoder: that of Stable Diffusion 1 has 123 M, that of 2 has 340 M.
SD2_ENCODER, SD1_ENCODER = 200_000_000, 100_000_000


# Layers that no name in such a file stands for in older versions, beginning with these.
NEWER = ("unet.conv_in.", "unet.conv_out.", "unet.time_embedding.", "unet.add_embedding.")


def export_kohya(run: Path, target: Path, device: str = "cpu") -> list[str]:
    """Write a run of LoRA on a picture model as kohya's scripts name it, and draw from the file.

    Stock diffusers draws from it in a fresh process, and the run's own export here: where the two
    pictures differ, nothing is written.

    Args:
        run: The run's directory.
        target: The file to write, new.
        device: Device of torch that both are drawn on.

    Returns:
        What is to be known of it: a sentence where the base cannot be had any more, so that the
        file could not be read back, and one where older loaders read only a part.

    Raises:
        UsageError: The target exists or ends otherwise, the run is of another method, or its layers
            have no place in such a file.
        IntegrityError: The run is damaged, its base has changed, or the file draws another picture.
    """
    if target.suffix != ".safetensors" or target.exists():
        raise UsageError(f"{target} must be a new file that ends in .safetensors")
    record = read_run(run)
    need(run, record, "model.pretrained", "model.sha256", "model.hub_id")
    with tempfile.TemporaryDirectory() as folder:
        with using(run):
            told = header(record, target)
        file = write_kohya_lora(run / "adapter", Path(folder) / target.name, told)
        try:
            unread = _read_back(run, record, file, device)
        except IntegrityError as error:
            why = str(error).replace(str(file), target.name)
            raise IntegrityError(f"{target} was not written: {why}") from error
        with replacing(target) as out, file.open("rb") as made:
            shutil.copyfileobj(made, out)
    return [*([unread] if unread else []), *_for_older(run)]


def _for_older(run: Path) -> Iterator[str]:
    """Yield what older loaders pass over."""
    with safe_open(run / "adapter" / WEIGHTS, "pt") as file:
        found = {name for name in NEWER for key in file.keys() if key.startswith(name)}  # noqa: SIM118
    if found:
        names = ", ".join(sorted(name.split(".")[1] for name in found))
        yield (
            f"diffusers 0.33 and earlier pass over {names} of the unet in such a file, whatever "
            "they are called there; RUN/adapter has them for every version"
        )


def _read_back(run: Path, record: Record, file: Path, device: str) -> str | None:
    """Draw from the file elsewhere; return why that cannot be done.

    Raises:
        IntegrityError: The picture is not the run's.
    """
    name = str(record.model.pretrained)
    try:
        weights_sha256(name)
    except UsageError as error:  # gone, or there is no network
        return f"{file.name} was not read back, for its base is not there: {error}"
    prompt = str(record.data.rest.get("instance_prompt") or PROMPT)
    drawing = Drawing([prompt], [SEED], STEPS, GUIDANCE, min(SIDE, picture_sizes(name)[0]))
    live, untuned = (
        _drawn(load(run, record, Request((prompt,), base=base), torch.float32), drawing, device)
        for base in (False, True)
    )
    location = find_pipeline(name).location
    check_redraw(file, location, drawing, live, untuned, torch.float32, device)
    return None


def _drawn(pipeline: Any, drawing: Drawing, device: str) -> list[Any]:
    pipeline.set_progress_bar_config(disable=True)
    return draw(
        pipeline.to(device),
        drawing.prompts,
        drawing.seeds,
        steps=drawing.steps,
        guidance=drawing.guidance,
        size=drawing.size,
    )


def header(record: Record, target: Path) -> dict[str, str]:
    """Return what the file says of itself: base, trigger word, prediction; no path of this machine.

    Args:
        record: The run's record.
        target: The file, whose name is its title.
    """
    model, data = record.model.rest, record.data.rest
    v = model.get("prediction_type") == "v_prediction"
    version, architecture = _base_version(model, v)
    told = {
        "ss_output_name": target.stem,
        "ss_base_model_version": version,
        "ss_v2": str(version.startswith("sd_v2")),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": target.stem,
        "modelspec.prediction_type": "v" if v else "epsilon",
    }
    if (base := public_base(record.model)) is not None:
        told["ss_sd_model_name"] = base
    if isinstance(side := data.get("resolution"), int):
        told |= {"ss_resolution": f"({side}, {side})", "modelspec.resolution": f"{side}x{side}"}
    if prompt := printable(str(data.get("instance_prompt") or "")):
        trigger = printable(record.data.identifier or prompt)
        count = dict(data.get("rows") or {}).get("train", 1)
        told["modelspec.trigger_phrase"] = trigger
        told["ss_tag_frequency"] = json.dumps({trigger: {prompt: count}})
    return told


def _base_version(model: dict[str, Any], v: bool) -> tuple[str, str]:
    """Return what kohya's scripts and ModelSpec call the base, such as `sd_v1`."""
    if model.get("architecture") == "StableDiffusionXLPipeline":
        return "sdxl_base_v1-0", "stable-diffusion-xl-v1-base"
    size = dict(model.get("parameters") or {}).get("text_encoder", 0)
    if size > SD2_ENCODER or (v and size < SD1_ENCODER):  # of smaller ones 2 alone predicts v
        return (
            ("sd_v2_v", "stable-diffusion-v2-768-v") if v else ("sd_v2", "stable-diffusion-v2-512")
        )
    return ("sd_v1_v" if v else "sd_v1"), "stable-diffusion-v1"
