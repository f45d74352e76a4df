"""Time hwlit's training against diffusers' own DreamBooth scripts, paired, on the same pictures.

    git clone --depth 1 --branch v0.42.1 https://github.com/huggingface/diffusers
    python tools/bench_diffusion.py --diffusers diffusers

`train_dreambooth_lora.py` and `train_dreambooth.py` run unchanged beside hwlit's LoRA and full
fine-tuning of pocket-sd, on the CPU. Three contenders for each method:

* ``hwlit``: what ``hwlit fit`` does by default, its loggers and monitors included: latents and
  prompts are encoded once; with ``--compile`` as by ``--model.compile true``;
* ``script``: the script with its defaults, which encodes both in every step;
* ``script_embeds``: the same with ``--pre_compute_text_embeddings``, the one cache that it has.

Equal on all sides: pipeline, concept pictures, class pictures (drawn beforehand), resolution, rows
per batch, trainable parameters, AdamW with its rate, decay and clipping, fp32, threads. Each side's
own default: the order of rows, what is logged, AdamW's implementation, LoRA's first values.

The clock runs from the end of the warm-up to the end of the last step, waiting for data included.
Rounds go A B C A B C, each measurement in a fresh process, so that drift hits all alike. Smallest
and largest of n paired ratios hold the median with probability 1 - 2^(1 - n), whatever the noise.
Beside it stands the ratio of processor time, which other processes on the machine disturb less.

First the losses are compared: the script runs a few steps at learning rate 0, and hwlit's own
training step computes each anew from the same pixels, prompts and state of torch's generator, with
and without caching. A difference above 1e-5 of the loss ends the benchmark.
"""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import LambdaCallback
from torch import Tensor
from transformers.utils import logging as transformers_logging

from hwlit import quiet
from hwlit.adapters.base import Adapter
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.callbacks.loggers import MetricsFile, TensorBoard
from hwlit.callbacks.phases import Phases
from hwlit.callbacks.recorder import environment
from hwlit.callbacks.steps import Steps
from hwlit.cli import TRAINER_DEFAULTS
from hwlit.data.concept_images import ConceptImages
from hwlit.data.concepts import read_concept
from hwlit.data.framing import framed
from hwlit.devices.cpu import Cpu
from hwlit.errors import HwlitError, IntegrityError
from hwlit.networks.diffusion import load_pipeline, token_ids
from hwlit.networks.pipelines import picture_sizes
from hwlit.runs.base import WARMUP_STEPS
from hwlit.storage import write_text
from hwlit.tasks.personalization import Personalization
from tools.diffusers_script import Draw, Seen, find_script, run_script, script_version

SCRIPTS = {"lora": "train_dreambooth_lora.py", "full": "train_dreambooth.py"}
ATTENTION = ("unet.*.to_[qkv]", "unet.*.to_out.0")  # what the script wraps
ADAPTERS: dict[str, Adapter] = {
    "lora": Lora(learning_rate=2e-3, rank=8, alpha=8, targets=ATTENTION),
    "full": Full(learning_rate=2e-4),
}
CONTENDERS = ("hwlit", "script", "script_embeds")
PROMPTS = {"instance_prompt": "a photo of a sks mug", "class_prompt": "a photo of a mug"}
CLASS_IMAGES, CLASS_STEPS = 16, 4  # few and rough: speed ignores what they show
TOLERANCE = 1e-5  # of the loss
COMPARED_STEPS = 3
Losses = list[float]


class Observed(Personalization):
    """Keeps to itself what it logs, and so needs no trainer."""

    def log(self, *arguments: Any, **named: Any) -> None:
        """Log nothing."""


def concept_images(asked: Namespace, folder: Path, seed: int, steps: int = 1) -> ConceptImages:
    """Return the pictures of the concept and of its class, drawn where they are missing."""
    classes = folder / "class"
    return ConceptImages(
        path=str(folder / "instance"), pretrained=str(folder / "pipeline"), **PROMPTS,
        class_images=CLASS_IMAGES, class_steps=CLASS_STEPS,
        class_images_path=str(classes) if classes.is_dir() else None,
        batch_size=asked.batch_size, epoch_steps=steps, shuffle_seed=seed,
    )  # fmt: skip


def prepare(asked: Namespace, folder: Path) -> None:
    """Write pipeline (fp32), concept pictures and class pictures that both sides read."""
    load_pipeline(asked.pretrained, torch.float32, "cpu").save_pretrained(folder / "pipeline")
    (folder / "instance").mkdir()
    for number, picture in enumerate(read_concept(asked.concept, None, "error").pictures):
        picture.load().save(folder / "instance" / f"{number}.png")
    data = concept_images(asked, folder, seed=0)
    data.prepare_class_images()
    (folder / "class").mkdir()
    for number, picture in enumerate(data.class_pictures or ()):
        picture.load().save(folder / "class" / f"{number}.png")


def script_settings(asked: Namespace, method: str, folder: Path, steps: int) -> dict[str, Any]:
    """Return the script's options, as far as they are not its defaults."""
    shared: dict[str, Any] = {
        "pretrained_model_name_or_path": folder / "pipeline",
        "instance_data_dir": folder / "instance", "class_data_dir": folder / "class", **PROMPTS,
        "with_prior_preservation": True, "num_class_images": CLASS_IMAGES,
        "resolution": picture_sizes(str(folder / "pipeline"))[0], "max_train_steps": steps,
        "train_batch_size": asked.batch_size, "learning_rate": ADAPTERS[method].learning_rate,
        "lr_warmup_steps": 0,
    }  # fmt: skip
    return shared | ({"rank": 8} if method == "lora" else {})


def measure(
    asked: Namespace, method: str, contender: str, folder: Path, seed: int
) -> dict[str, Any]:
    """Train one contender and return its figures; runs in a process of its own."""
    quiet.silence()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as scratch:
        if contender == "hwlit":
            seen = train_hwlit(asked, method, folder, Path(scratch), seed)
        else:
            embeds = contender == "script_embeds"
            settings = script_settings(asked, method, folder, asked.steps)
            settings |= {"output_dir": scratch, "seed": seed, "pre_compute_text_embeddings": embeds}
            seen = run_script(find_script(asked.diffusers, SCRIPTS[method]), settings)
    return figures(seen) | {"threads": torch.get_num_threads()}


def figures(seen: Seen) -> dict[str, Any]:
    """Return speed and mean loss of the steps after the warm-up."""
    times = [b - a for a, b in zip(seen.ends, seen.ends[1:], strict=False)][WARMUP_STEPS - 1 :]
    losses = seen.losses[WARMUP_STEPS:]
    error = statistics.stdev(losses) / len(losses) ** 0.5
    processor = seen.processor[-1] - seen.processor[WARMUP_STEPS - 1]
    return {
        "steps": len(seen.ends), "timed_s": sum(times), "steps_per_second": len(times) / sum(times),
        "step_s_median": statistics.median(times), "processor_s_per_step": processor / len(times),
        "loss": statistics.fmean(losses),
        "loss_standard_error": error, "trainable_parameters": seen.trainable_parameters,
    }  # fmt: skip


def train_hwlit(asked: Namespace, method: str, folder: Path, scratch: Path, seed: int) -> Seen:
    """Train as `hwlit fit` does, without evaluation and saving."""
    seed_everything(seed, verbose=False)
    data = concept_images(asked, folder, seed, asked.steps)
    losses: list[Tensor] = []
    seen = Seen()

    def step_ended(trainer: Trainer, task: Any, outputs: Any, *others: Any) -> None:
        losses.append(outputs["loss"])
        seen.step_ended()

    settings = {
        "max_epochs": 1, "limit_val_batches": 0, "accelerator": "cpu", "default_root_dir": scratch,
        "enable_checkpointing": False, "enable_progress_bar": False,
        "logger": [TensorBoard(scratch), MetricsFile(scratch / "metrics.csv")],
    }  # fmt: skip
    trainer, device = Trainer(**(TRAINER_DEFAULTS | settings)), Cpu()
    trainer.callbacks += [Phases(device, WARMUP_STEPS), Steps(device, WARMUP_STEPS)]
    trainer.callbacks += [LambdaCallback(on_train_batch_end=step_ended)]
    pipeline = str(folder / "pipeline")
    task = Personalization(ADAPTERS[method], pipeline, seed=seed, compile=asked.compile)
    trainer.fit(task, datamodule=data)
    seen.losses = [float(loss) for loss in losses]
    learned = (p.numel() for p in task.network.parameters() if p.requires_grad)
    seen.trainable_parameters = sum(learned)
    return seen


def compare_losses(asked: Namespace, method: str, folder: Path) -> dict[str, Any]:
    """Return the losses of the script's first steps, and those of hwlit's own training step.

    At learning rate 0 every step sees the pretrained network, for LoRA adds nothing at first.

    Raises:
        IntegrityError: Pictures or losses differ.
    """
    quiet.silence()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as scratch:
        settings = script_settings(asked, method, folder, COMPARED_STEPS)
        settings |= {"output_dir": scratch, "seed": 0, "learning_rate": 0.0}
        script = find_script(asked.diffusers, SCRIPTS[method])
        seen = run_script(script, settings, keep_draws=True)
    task = Observed(ADAPTERS[method], str(folder / "pipeline"), compile=asked.compile)
    task.configure_model()
    found: dict[str, Losses] = {"script": seen.losses}
    for name, cached in (("hwlit", True), ("hwlit_uncached", False)):
        found[name] = [replayed(task, draw, cached) for draw in seen.draws]
        worst = max(abs(a - b) / b for a, b in zip(found[name], seen.losses, strict=True))
        if worst > TOLERANCE:
            raise IntegrityError(f"the losses of {name} and {SCRIPTS[method]} differ: {found}")
        found[f"{name}_difference"] = [worst]
    found["pixel_difference"] = [pixel_difference(seen.draws, folder)]
    if found["pixel_difference"][0] > TOLERANCE:
        raise IntegrityError(f"{SCRIPTS[method]} and hwlit do not see the same pictures: {found}")
    return found


def replayed(task: Personalization, draw: Draw, cached: bool) -> float:
    """Return the loss of a step of the script as the task computes it from the same draws."""
    rows = len(draw.pixels)
    prior = torch.arange(rows) >= rows // 2
    prompts = [PROMPTS["class_prompt" if late else "instance_prompt"] for late in prior]
    batch: dict[str, Tensor] = {"prior": prior}
    if cached:
        mean, deviation = task.encoders.encode_images(draw.pixels)
        embeds = task.encoders.encode_prompts(prompts).embeds
        batch |= {"latent_mean": mean, "latent_std": deviation, "prompt_embeds": embeds}
    else:
        ids = token_ids(task.encoders.tokenizers[0], prompts)
        batch |= {"pixels": draw.pixels, "input_ids": ids}
    torch.set_rng_state(draw.random_state)
    return task.training_step(batch, 0).item()


def pixel_difference(draws: Sequence[Draw], folder: Path) -> float:
    """Return how far any row that the script saw is from the nearest of hwlit's."""
    files = read_concept(str(folder / "instance"), None, "error").pictures
    files += read_concept(str(folder / "class"), None, "error").pictures
    side = draws[0].pixels.shape[-1]
    ours = torch.stack([framed(picture.load(), side).pixels for picture in files])
    rows = torch.cat([draw.pixels for draw in draws])
    return max(float((ours - row).abs().amax(dim=(1, 2, 3)).min()) for row in rows)


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a fresh process."""
    # A fork server imports the libraries once for all; that is safe on Linux only.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(["hwlit.cli", "tools.diffusers_script", "diffusers.loaders"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def compare(asked: Namespace, method: str, folder: Path) -> dict[str, Any]:
    """Compare losses and speed of one method, print them, and return them."""
    losses = apart(compare_losses, asked, method, folder)
    differences = ", ".join(
        f"{name} {losses[f'{name}_difference'][0]:.1e}" for name in ("hwlit", "hwlit_uncached")
    )
    print(f"{method}: {COMPARED_STEPS} losses of {SCRIPTS[method]}, difference to {differences}")
    rounds = []
    for seed in range(asked.rounds):
        found = {name: apart(measure, asked, method, name, folder, seed) for name in CONTENDERS}
        for name in ("trainable_parameters", "steps", "threads"):
            if len({values[name] for values in found.values()}) != 1:
                raise RuntimeError(f"the contenders differ in {name}: {found}")
        rounds.append(found | {"load_average": os.getloadavg()[0]})
        speeds = "  ".join(f"{name} {found[name]['steps_per_second']:.2f}" for name in CONTENDERS)
        print(f"  round {seed + 1} of {asked.rounds}: steps/s  {speeds}", flush=True)
    return {"losses": losses, "rounds": rounds, "ratios": ratios(rounds)}


def ratios(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return hwlit's steps per second over the scripts', and print them."""
    found: dict[str, Any] = {}
    for other in CONTENDERS[1:]:
        values = [
            one["hwlit"]["steps_per_second"] / one[other]["steps_per_second"] for one in rounds
        ]
        key, coverage = "processor_s_per_step", 1 - 2.0 ** (1 - len(values))
        processor = [one[other][key] / one["hwlit"][key] for one in rounds]
        spread = {"min": min(values), "median": statistics.median(values), "max": max(values)}
        words = " ".join(f"{name} {value:.2f}" for name, value in spread.items())
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"  hwlit / {other}: {words} of {each} (min to max: {coverage:.0%})")
        print(f"    by processor time: median {statistics.median(processor):.2f}", flush=True)
        lists = {"rounds": values, "processor": processor}
        found[f"hwlit / {other}"] = spread | lists | {"coverage": coverage}
    return found


def run(asked: Namespace) -> dict[str, Any]:
    """Compare what was asked for and return the report."""
    methods = tuple(SCRIPTS) if asked.method == "both" else (asked.method,)
    scripts = {method: find_script(asked.diffusers, SCRIPTS[method]) for method in methods}
    torch.set_num_threads(asked.threads)
    facts = environment(Cpu().describe())
    for name in ("accelerate", "diffusers"):
        facts["versions"][name] = importlib.metadata.version(name)
    facts["scripts"] = {path.name: script_version(path) for path in scripts.values()}
    form = "compiled" if asked.compile else "not compiled"
    print(f"{facts['device']['name']}, {asked.threads} threads, batch {asked.batch_size} and prior")
    print(f"hwlit's training step is {form}; the compiling falls into the warm-up")
    print(", ".join(" ".join(pair) for pair in facts["versions"].items()))
    print("scripts for diffusers", ", ".join(sorted(set(facts["scripts"].values()))), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        prepare(asked, Path(folder))
        results = {method: compare(asked, method, Path(folder)) for method in methods}
    setting = vars(asked) | {"warmup_steps": WARMUP_STEPS, "class_images": CLASS_IMAGES}
    return {"setting": setting, "environment": facts, "methods": results}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, compare the contenders and return the exit code."""
    quiet.silence()
    transformers_logging.disable_progress_bar()
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--diffusers", required=True, help="a checkout of diffusers")
    parser.add_argument("--method", choices=(*SCRIPTS, "both"), default="both")
    parser.add_argument("--pretrained", default="pocket-sd", help="pocket-sd, a folder or a hub id")
    parser.add_argument("--concept", default="checked-mug", help="pictures, as of --data.path")
    parser.add_argument("--batch-size", type=int, default=4, help="class pictures come on top")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=25, help=f"{WARMUP_STEPS} of them warm-up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="hwlit with --model.compile true")
    parser.add_argument("--output", help="JSON file for all figures")
    asked = parser.parse_args(arguments)
    if asked.steps < WARMUP_STEPS + 2 or min(asked.rounds, asked.threads, asked.batch_size) < 1:
        parser.error(f"give --steps from {WARMUP_STEPS + 2}, and the other numbers from 1")
    try:
        report = run(asked)
        if asked.output is not None:
            write_text(Path(asked.output), json.dumps(report, indent=1) + "\n")
    except HwlitError as error:
        print(f"bench_diffusion: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
