"""Draw with a finished run: what it learned on its base, or the base alone."""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from tqdm import tqdm
from transformers.utils import logging as transformers_logging

from hwlit.data.prompts import remarks_on_prompts
from hwlit.errors import IntegrityError, ResourceError, UsageError, is_out_of_memory
from hwlit.exports.contact_sheet import contact_sheet
from hwlit.exports.diffusers_lora import WEIGHTS
from hwlit.exports.png import write_png
from hwlit.networks.diffusion import load_pipeline
from hwlit.networks.loading import loading
from hwlit.networks.picture_flaws import flaw_of, is_blank
from hwlit.networks.sampling import decoded_in_fp32, draw
from hwlit.networks.vetting import vet_lora
from hwlit.paths import last_name
from hwlit.plain_text import say
from hwlit.records import Record, need, read_run
from hwlit.shifts import check_base, folded, learned_shifts
from hwlit.yaml_files import read_config

TASK = "hwlit.tasks.personalization.Personalization"
Pipeline = Any  # of diffusers, whose lazy imports hide its types


@dataclass(frozen=True)
class Request:
    """What to draw.

    Args:
        prompts: The prompts.
        num_images: Pictures of each; the first has the seed, each further one the next.
        seed: From 0.
        base: Whether to draw without what was learned.
        strength: How much of what was learned to use: 0 is the base, 1 what was learned.
        steps: Denoising steps; None takes those of the run's test.
        guidance: Guidance scale; None takes that of the run's test.
        batch_size: Pictures drawn at once.

    Raises:
        UsageError: A number is out of range, or a prompt is empty.
    """

    prompts: tuple[str, ...]
    num_images: int = 4
    seed: int = 0
    base: bool = False
    strength: float | None = None
    steps: int | None = None
    guidance: float | None = None
    batch_size: int = 4

    def __post_init__(self) -> None:
        for name in ("num_images", "steps", "batch_size"):
            value = vars(self)[name]
            if value is not None and value < 1:
                raise UsageError(f"--{name} must be at least 1, got {value}")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed must be from 0 to 2^63 - 1, got {self.seed}")
        for name in ("strength", "guidance"):
            value = vars(self)[name]
            if value is not None and not math.isfinite(value):
                raise UsageError(f"--{name} must be a finite number, got {value}")
        if not all(prompt.strip() for prompt in self.prompts):
            raise UsageError('a --prompt is empty; give what to draw, such as "a photo of sks dog"')
        if self.base and self.strength is not None:
            raise UsageError("--base draws without what was learned; leave --strength out")


def generate(run: Path, request: Request, out: Path, device: str = "cpu") -> list[Path]:
    """Draw each prompt, and write every picture and a contact sheet as PNG.

    Files are numbered on from those in the directory; none is overwritten.

    Args:
        run: The run's directory.
        request: What to draw.
        out: Where to write; made if need be.
        device: Device of torch.

    Returns:
        The files, the contact sheet last.

    Raises:
        UsageError: The run is none of personalization, or `out` is a file; or the base draws
            numbers that are not finite.
        DivergedError: What was learned does.
        IntegrityError: There is no run, it holds no exported model, or its base has changed.
        ResourceError: The device cannot be used, or `out` cannot be written.
    """
    record = read_run(run)
    model = _model_of(run)
    need(run, record, "model.pretrained", "model.sha256", "model.hub_id", "model.dtype")
    need(run, record, "adapter.name", "adapter.class_")
    _check_writable(out)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    pipeline = _placed(load(run, record, request, _dtype(record, device)), device)
    tokenizers = [part for name, part in pipeline.components.items() if "tokenizer" in name]
    for remark in remarks_on_prompts(tokenizers, request.prompts):
        say(f"hwlit: {remark}", error=True)
    steps = request.steps or int(model["sampling_steps"])
    guidance = float(model["guidance"] if request.guidance is None else request.guidance)
    seeds = range(request.seed, request.seed + request.num_images)
    asked = [(prompt, seed) for prompt in request.prompts for seed in seeds]
    pipeline.set_progress_bar_config(disable=None, leave=False, desc="denoise")
    pictures: list[Image.Image] = []
    with tqdm(total=len(asked), desc="generate", unit="picture", disable=None, leave=False) as bar:
        for start in range(0, len(asked), request.batch_size):
            some = asked[start : start + request.batch_size]
            learned = not request.base
            pictures += _drawn(pipeline, some, steps, guidance, model["picture_size"], learned)
            bar.update(len(some))
    # Once each: where one prompt and seed are asked for twice, equal pictures are no fault.
    _say_of(list(dict(zip(asked, pictures, strict=True)).values()))
    facts = {
        "steps": steps,
        "guidance": guidance,
        "model": last_name(str(record.model.hub_id)),
        "adapter": "none" if request.base else record.adapter.name,
        "strength": 0.0 if request.base else _strength(request),
        "run": run.resolve().name,
    }
    return _write(out, pictures, asked, facts, request.num_images)


def _drawn(
    pipeline: Pipeline,
    asked: list[tuple[str, int]],
    steps: int,
    guidance: float,
    size: int | None,
    learned: bool,
) -> list[Image.Image]:
    """Return the pictures of prompts and seeds, all drawn at once."""
    prompts, seeds = zip(*asked, strict=True)
    try:
        return draw(
            pipeline,
            prompts,
            seeds,
            steps=steps,
            guidance=guidance,
            batch_size=len(asked),
            size=size,
            learned=learned,
        )
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise ResourceError("out of memory; lower --batch_size") from error
        raise


def _say_of(pictures: list[Image.Image]) -> None:
    """Say where pictures show nothing, or were decoded in another precision than the pipeline's."""
    if flaw := flaw_of(pictures):
        say(f"hwlit: the pictures {flaw}: what was learned, or its base, is broken", error=True)
    elif blank := sum(map(is_blank, pictures)):
        say(f"hwlit: {blank} of {len(pictures)} pictures are of one colour", error=True)
    if wide := sum(map(decoded_in_fp32, pictures)):
        say(
            f"hwlit: the VAE's decoder overflowed in half precision on {wide} of {len(pictures)} "
            "pictures, which were decoded again in float32",
            error=True,
        )


def load(run: Path, record: Record, request: Request, dtype: torch.dtype) -> Pipeline:
    """Load a run's pipeline with the loaders that a stranger would use, on the CPU.

    Args:
        run: The run's directory.
        record: Its record.
        request: Says whether what was learned is used, and how much of it.
        dtype: Precision of the weights.

    Raises:
        IntegrityError: The run holds no exported model, or its base has changed.
    """
    folder, strength = run / "adapter", _strength(request)
    lora = (folder / WEIGHTS).is_file()
    if not request.base and not lora and not (folder / "model_index.json").is_file():
        status = record.status
        on = f"; go on with it: hwlit fit --resume {run}" if status == "interrupted" else ""
        raise IntegrityError(f"{run} holds no exported model: its status is {status}{on}")
    if not request.base and not lora and strength == 1:
        return load_pipeline(str(folder), dtype, "cpu")
    check_base(run, record)
    name = str(record.model.pretrained)
    if not request.base and learned_shifts(record):
        return load_pipeline(name, dtype, "cpu", folded(run, record, strength, dtype))
    pipeline: Pipeline = load_pipeline(name, dtype, "cpu")
    if request.base:
        return pipeline
    if not lora:
        if new := _new_words(pipeline, tuned := load_pipeline(str(folder), dtype, "cpu")):
            raise UsageError(
                f"{run} learned the new word {new[0]}, which the base lacks, so that there is no "
                "way between the two; leave --strength out"
            )
        return _interpolated(pipeline, tuned, strength)
    vet_lora(folder / WEIGHTS)
    with loading(f"the LoRA file of {run}", lambda error: "bring it back", IntegrityError):
        # By its name: else a pickled one would do as well.
        pipeline.load_lora_weights(
            str(folder), weight_name=WEIGHTS, use_safetensors=True, adapter_name="own"
        )
    if strength == 1:
        return pipeline
    if not record.adapter.rest.get("dora"):
        pipeline.set_adapters(["own"], [strength])
        return pipeline
    # DoRA also learns the length of each row, which a weaker update would keep.
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    return _interpolated(load_pipeline(name, dtype, "cpu"), pipeline, strength)


def _new_words(base: Pipeline, tuned: Pipeline) -> list[str]:
    """Return the words that a tuned pipeline's tokenizer knows and the base's does not."""
    known, now = base.tokenizer.get_vocab(), tuned.tokenizer.get_vocab()
    return sorted(now.keys() - known.keys())


def _interpolated(base: Pipeline, tuned: Pipeline, strength: float) -> Pipeline:
    """Return the tuned pipeline, its weights moved back towards those of the base."""
    for name, part in tuned.components.items():
        if isinstance(part, torch.nn.Module):
            before = base.components[name].state_dict()
            for key, tensor in part.state_dict().items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.lerp(before[key], tensor, strength))
    return tuned


def _model_of(run: Path) -> dict[str, Any]:
    """Return how a run's task draws: `sampling_steps`, `guidance` and `picture_size`.

    Raises:
        UsageError: It is another task, or there is no readable config.
        IntegrityError: The config is none of a run.
    """
    config = read_config(run / "config.yaml")
    try:
        model, kind = config["model"], str(config["model"]["class_path"])
        if kind != TASK:
            raise UsageError(
                f"{run} is a run of {kind.rpartition('.')[2]}, which draws nothing; label texts by "
                "hwlit predict"
            )
        asked = model["init_args"]
        size = asked["picture_size"]
        return {
            "sampling_steps": int(asked["sampling_steps"]),
            "guidance": float(asked["guidance"]),
            "picture_size": None if size is None else int(size),
        }
    except (LookupError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{run / 'config.yaml'} is no config of a run ({type(error).__name__}: {error}); bring "
            "it back"
        ) from error


def _strength(request: Request) -> float:
    return 1.0 if request.strength is None else request.strength


def _dtype(record: Record, device: str) -> torch.dtype:
    """Return the precision of the run's frozen weights; on a CPU fp32, which is faster there."""
    found = torch.float32 if device == "cpu" else vars(torch)[str(record.model.dtype)]
    assert isinstance(found, torch.dtype)
    return found


def _placed(pipeline: Pipeline, device: str) -> Pipeline:
    try:
        return pipeline.to(device)
    except torch.OutOfMemoryError as error:
        raise ResourceError(f"out of memory on --device {device}; try cpu") from error
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ResourceError(f"--device {device} cannot be used ({reason}); try cpu") from error


def _check_writable(out: Path) -> None:
    if out.is_file():
        raise UsageError(f"--out {out} is a file; give a directory")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ResourceError(f"cannot write to --out {out}: {error.strerror or error}") from error


def _write(
    out: Path,
    pictures: list[Image.Image],
    asked: list[tuple[str, int]],
    facts: dict[str, Any],
    columns: int,
) -> list[Path]:
    """Write pictures and contact sheet, numbered on from those that are there."""
    numbers = [int(m[1]) for f in out.iterdir() if (m := re.match(r"(\d+)-.*\.png$", f.name))]
    first = max(numbers, default=-1) + 1
    paths = []
    for index, (picture, (prompt, seed)) in enumerate(zip(pictures, asked, strict=True), first):
        paths.append(out / f"{index:04d}-seed{seed}.png")
        write_png(paths[-1], picture, {"prompt": prompt, "seed": seed, **facts})
    captions = [f"seed {seed}: {prompt}" for prompt, seed in asked]
    paths.append(out / f"{first:04d}-sheet.png")
    write_png(paths[-1], contact_sheet(pictures, captions, columns), facts)
    return paths
