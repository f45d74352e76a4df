"""Set the costs of the personalization methods side by side, on a model of SD 1.5's size.

    python tools/bench_personalization.py --accelerator gpu --precision bf16-true --output DIR

Needs no network: the pipeline has SD 1.5's shapes and random weights, for speed, memory and energy
ignore values, and reads prompts by pocket-sd's tokenizer. Each method is one `hwlit fit` with its
config of `configs/sd15`, one picture a step and no class pictures, in a process of its own. What
the pictures show means nothing here. Every row goes into DIR, and a table is printed.

`--shape pocket` takes pocket-sd's shapes, to try the tool out on a laptop.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import diffusers
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from hwlit.networks.pocket import pocket_sd_path
from hwlit.records import Record, read_record

METHODS = ("dreambooth", "dreambooth_lora", "svdiff", "custom_diffusion", "textual_inversion")
WORDS = {"custom_diffusion": "<new1>", "textual_inversion": "<new1>"}
SHOWN = {"step s": "fit/step_time", "peak GiB": "fit/peak_memory", "joules": "fit/energy",
         "learns": "params/trainable", "file MB": "adapter/file_size",
         "picture s": "latency/merged/picture/p50"}  # fmt: skip
SCALES = {"fit/peak_memory": 2**-30, "adapter/file_size": 1e-6}


def save_pipeline(folder: Path, dtype: torch.dtype) -> None:
    """Write a pipeline with the shapes of Stable Diffusion 1.5 and random weights, 2 GB in half.

    The numbers are those of its config.json files that differ from the libraries' defaults.
    """
    pocket = pocket_sd_path()
    tokenizer = CLIPTokenizer.from_pretrained(pocket / "tokenizer", model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=77, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4,
              "up_block_types": ("UpDecoderBlock2D",) * 4}  # fmt: skip
    parts = {
        "unet": diffusers.UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8
        ),
        "vae": diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512, **blocks
        ),
        "text_encoder": CLIPTextModel(text),
    }
    scheduler = diffusers.DDIMScheduler.from_pretrained(pocket / "scheduler")
    diffusers.StableDiffusionPipeline(
        **{name: part.to(dtype) for name, part in parts.items()},
        tokenizer=tokenizer, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def fit(asked: argparse.Namespace, method: str, pipeline: str) -> int:
    """Run one method in a process of its own and return its exit code."""
    word = WORDS.get(method, "sks")
    command = [
        "fit", "--config", f"sd15/{method}", "--output", str(asked.output / method),
        "--model.pretrained", pipeline, "--model.clip", "pocket-clip",
        "--model.sampling_steps", str(asked.sampling_steps),
        "--data.path", "checked-mug", "--data.subject", "null", "--data.class_images", "0",
        "--data.instance_prompt", f"a photo of a {word} mug",
        "--data.class_prompt", "a photo of a mug",
        "--data.test_prompts", f"['a photo of a {word} mug']", "--data.unrelated_prompts", "[]",
        "--data.batch_size", "1", "--data.epoch_steps", str(asked.steps),
        "--trainer.max_epochs", "1", "--trainer.accumulate_grad_batches", "1",
        "--trainer.accelerator", asked.accelerator, "--trainer.precision", asked.precision,
    ]  # fmt: skip
    return subprocess.run([sys.executable, "-P", "-m", "hwlit", *command], check=False).returncode


def table(rows: dict[str, Record]) -> str:
    """Return the rows side by side, with how each figure was obtained."""
    lines = [f"{'method':<18}" + "".join(f"{name:>16}" for name in SHOWN)]
    for method, record in rows.items():
        cells = []
        for name in SHOWN.values():
            reading = record.readings.get(name)
            cells.append(
                "absent" if reading is None
                else f"{reading.value * SCALES.get(name, 1):.4g} {reading.how.tag[:4]}"
            )  # fmt: skip
        lines.append(f"{method:<18}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run all methods, print the table, and return 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="a new directory for the rows")
    parser.add_argument("--shape", choices=("sd15", "pocket"), default="sd15")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--precision", default="bf16-true")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--sampling-steps", type=int, default=20)
    asked = parser.parse_args(arguments)
    rows, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        if asked.shape == "sd15":
            save_pipeline(Path(folder), torch.bfloat16)
        for method in asked.methods:
            if fit(asked, method, folder if asked.shape == "sd15" else "pocket-sd"):
                failed.append(method)
                continue
            rows[method] = read_record(asked.output / method)
    print(table(rows))
    if failed:
        print(f"failed: {', '.join(failed)}; their errors stand above")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
