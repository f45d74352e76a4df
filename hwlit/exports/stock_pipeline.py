"""Draw from an exported diffusion model with nothing but diffusers, as a user would.

Run as a script in a fresh interpreter: it must not import hwlit, so that it proves what a stranger
gets. Reads a job (JSON) from standard input, writes a PNG per picture, and prints which versions
drew them as the last line of its output.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch


def load(folder: str, base: str, dtype: str, device: str) -> Any:
    """Return the exported pipeline.

    Args:
        folder: The exported folder: a whole pipeline, or LoRA weights.
        base: Location of the pretrained pipeline, for a folder that holds only LoRA weights.
        dtype: Precision that its weights are loaded in, as torch calls it.
        device: Device of torch.
    """
    whole = (Path(folder) / "model_index.json").is_file()
    source = folder if whole else base
    index = diffusers.DiffusionPipeline.load_config(source)
    from_pretrained: Any = diffusers.DiffusionPipeline.from_pretrained  # it has no types
    pipeline = from_pretrained(
        source,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        **({"safety_checker": None} if "safety_checker" in index else {}),
    )
    if not whole:
        pipeline.load_lora_weights(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def draw(
    folder: str,
    base: str,
    dtype: str,
    device: str,
    out: str,
    prompts: list[str],
    seeds: list[int],
    settings: dict[str, Any],
) -> dict[str, str]:
    """Write the pictures of the prompts as PNG: `0.png` and so on; return the versions.

    Args:
        folder: The exported folder.
        base: Location of the pretrained pipeline.
        dtype: Precision.
        device: Device of torch.
        out: Where to write.
        prompts: What to draw, one at a time.
        seeds: The seed of each.
        settings: What the pipeline is called with beside these, such as `num_inference_steps`.
    """
    pipeline = load(folder, base, dtype, device)
    for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        picture = pipeline(prompt, generator=generator, **settings).images[0]
        picture.save(Path(out) / f"{index}.png")
    names = ("diffusers", "transformers", "peft", "torch")
    return {name: importlib.metadata.version(name) for name in names}


if __name__ == "__main__":
    found = draw(**json.load(sys.stdin))
    if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
        sys.exit("hwlit was imported: this check proves nothing")
    print(json.dumps(found))
