"""A judge of pocket-sd: does a classifier of drawn scenes read back what the prompt asked for?

The classifier (object and colour) is trained on drawn scenes alone. It then reads one picture of
each of the 200 held-out prompts, and as many drawn pictures of them for comparison.

    python -m tools.pocket.judge --out build/pocket --pipeline hwlit/assets/pocket-sd
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from random import Random

import diffusers
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from tools.pocket.clip import soften
from tools.pocket.pictures import load, to_pixels
from tools.pocket.scenes import COLOURS, HELD_OUT, OBJECTS, Scene, contact_sheet, draw, prompt
from tools.pocket.training import Settings, train

BATCH = 64
NAMES = list(COLOURS)


class Judge(nn.Module):
    """A small convolutional classifier of object and colour."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, 96), (96, 128)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(128, 128, 3, 1, 1), nn.SiLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(128 * 16, len(OBJECTS) + len(COLOURS)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of objects and of colours for pixels (n, 3, 64, 64) in [-1, 1]."""
        things, colours = self.head(self.body(pixels)).split([len(OBJECTS), len(COLOURS)], dim=1)
        return things, colours


def examples(out: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Return pictures (n, 64, 64, 3), object and colour indices of all plain known objects."""
    pictures, things, colours = [], [], []
    for kind in ("known", "any"):
        drawn, scenes = load(kind, out)
        plain = [i for i, s in enumerate(scenes) if s.thing in OBJECTS and s.pattern == "plain"]
        pictures.append(drawn[plain])
        things += [OBJECTS.index(scenes[i].thing) for i in plain]
        colours += [NAMES.index(scenes[i].colour) for i in plain]
    return torch.cat(pictures), torch.tensor(things), torch.tensor(colours)


def trained(out: Path, steps: int) -> Judge:
    """Return the trained classifier; trains it first where that has not been done."""
    pictures, things, colours = examples(out)
    torch.manual_seed(0)
    judge = Judge()
    mean = copy.deepcopy(judge).requires_grad_(False)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(0, len(pictures), BATCH))
        seen = judge(soften(to_pixels(pictures[rows])))
        off = [
            functional.cross_entropy(a, b[rows])
            for a, b in zip(seen, (things, colours), strict=True)
        ]
        return off[0] + off[1]

    train(judge, mean, loss, Settings(out / "judge", steps, 1e-3, ema=0.99, save_every=500))
    mean.load_state_dict(torch.load(out / "judge" / "checkpoint.pt", weights_only=True)["mean"])
    return mean.eval()


@torch.no_grad()
def read(judge: Judge, images: list[Image.Image]) -> list[tuple[bool, bool]]:
    """Return for each picture of `HELD_OUT`, in order, whether object and colour are right."""
    pixels = to_pixels(torch.stack([torch.from_numpy(np.array(image)) for image in images]))
    seen = [logits.argmax(1).tolist() for logits in judge(pixels)]
    return [
        (OBJECTS[o] == thing, NAMES[c] == colour)
        for o, c, (thing, colour, _) in zip(*seen, HELD_OUT, strict=True)
    ]


def generated(folder: Path, steps: int, guidance: float) -> list[Image.Image]:
    """Return one picture of each held-out prompt, drawn with seed 0, 1, 2 and so on."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    images: list[Image.Image] = []
    for first in tqdm(range(0, len(HELD_OUT), 20)):
        asked = [prompt(*triple) for triple in HELD_OUT[first : first + 20]]
        noise = [torch.Generator().manual_seed(first + i) for i in range(len(asked))]
        images += pipe(
            asked, num_inference_steps=steps, guidance_scale=guidance, generator=noise
        ).images
    return images


def report(name: str, verdicts: list[tuple[bool, bool]]) -> None:
    """Print the shares of right objects and right colours, and the objects that went wrong."""
    things, colours = (sum(v[i] for v in verdicts) / len(verdicts) for i in (0, 1))
    both = sum(a and b for a, b in verdicts) / len(verdicts)
    print(f"{name}: object {things:.1%}  colour {colours:.1%}  both {both:.1%}  n={len(verdicts)}")
    wrong = [triple for triple, verdict in zip(HELD_OUT, verdicts, strict=True) if not all(verdict)]
    print("  wrong:", "; ".join(" ".join(triple) for triple in wrong) or "none")


def main() -> None:
    """Train the judge where needed, read drawn and generated pictures, write the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pipeline", type=Path, help="default: OUT/pocket-sd")
    parser.add_argument("--steps", type=int, default=1200, help="of the judge's own training")
    parser.add_argument("--denoising-steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=4.0)
    given = parser.parse_args()
    judge = trained(given.out, given.steps)
    rng = Random("judge")
    report("drawn", read(judge, [draw(Scene(*triple), rng) for triple in HELD_OUT]))
    folder = given.pipeline or given.out / "pocket-sd"
    images = generated(folder, given.denoising_steps, given.guidance)
    report("pocket-sd", read(judge, images))
    contact_sheet(images, 20).save(given.out / "judge" / "sheet.png")


if __name__ == "__main__":
    main()
