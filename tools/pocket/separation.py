"""Does pocket-clip tell the concepts from everything that pocket-sd draws?

Prints cosines of image features: concept against concept, and concept against pictures which
pocket-sd draws of the class in every colour it knows, and without one.

    python -m tools.pocket.separation
"""

from __future__ import annotations

import argparse
from pathlib import Path

import diffusers
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPModel

from tools.pocket.backgrounds import PHRASES
from tools.pocket.concepts import CONCEPTS, PLACES
from tools.pocket.scenes import COLOURS, article

ASSETS = Path(__file__).parents[2] / "hwlit" / "assets"


@torch.no_grad()
def features(clip: CLIPModel, images: list[Image.Image]) -> Tensor:
    """Return unit image features (n, d)."""
    pixels = CLIPImageProcessorPil.from_pretrained(clip.name_or_path)(images, return_tensors="pt")
    return functional.normalize(clip.get_image_features(**pixels).pooler_output.float(), dim=1)


def class_pictures(pipe: diffusers.StableDiffusionPipeline, thing: str) -> list[Image.Image]:
    """Return 45 pictures: no colour and each colour, on the backgrounds of the concepts."""
    asked = [
        f"a photo of {article(f'{colour} {thing}'.strip())} {PHRASES[background][0]}"
        for colour in ("", *COLOURS)
        for background, _ in PLACES
    ]
    noise = [torch.Generator().manual_seed(i) for i in range(len(asked))]
    return pipe(asked, num_inference_steps=25, guidance_scale=4.0, generator=noise).images


def main() -> None:
    """Print one line for each concept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, default=ASSETS)
    assets = parser.parse_args().assets
    clip = CLIPModel.from_pretrained(assets / "pocket-clip", dtype=torch.float32).eval()
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(assets / "pocket-sd")
    pipe.set_progress_bar_config(disable=True)
    for name, (scene, _) in CONCEPTS.items():
        files = sorted((assets / "concepts" / name).glob("*.png"))
        own = features(clip, [Image.open(file, formats=("PNG",)).convert("RGB") for file in files])
        base = features(clip, class_pictures(pipe, scene.thing))
        among = (own @ own.T)[~torch.eye(len(own), dtype=torch.bool)]
        against = own @ base.T
        print(
            f"{name}: concept-concept {among.mean():.3f} (least {among.min():.3f}), "
            f"concept-base {against.mean():.3f} (most {against.max():.3f}, n={len(base)})"
        )


if __name__ == "__main__":
    main()
