"""Train pocket-clip: a small CLIP (Radford et al. 2021) on the superset of scenes.

It is separate from pocket-sd: a text encoder of its own, sixteen objects instead of ten, patterns,
second colours and accessories, so that it sees what pocket-sd cannot draw.

First both towers learn from captions that name every part of the object; pictures with the same
caption count as positives of one another. "A mug" is then a plain one, and a mug with a pattern
scores badly. So the text tower goes on alone (locked-image tuning, Zhai et al. 2022,
https://arxiv.org/abs/2111.07991) with captions that leave things out, as people's do: every picture
that a caption is true of is a positive.

    python -m tools.pocket.clip --out build/pocket
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from tools.pocket import tokenizer
from tools.pocket.backgrounds import PHRASES
from tools.pocket.pictures import SIZE, load, to_pixels
from tools.pocket.scenes import OPENINGS, Scene, caption, described
from tools.pocket.training import Settings, load_in_float32, train

BATCH = 64
STEPS = 1400
TEXT_STEPS = 600
RATE = 1e-3


def new_clip(vocabulary: int) -> CLIPModel:
    """Return the untrained model; attention is the eager one, the quickest to train on a CPU."""
    common = {"num_attention_heads": 4, "hidden_size": 128, "intermediate_size": 512}
    special = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
    text = {"vocab_size": vocabulary, "max_position_embeddings": tokenizer.CONTEXT}
    vision = {"image_size": SIZE, "patch_size": 8, "num_hidden_layers": 4}
    config = CLIPConfig(
        text_config={
            **common,
            **special,
            **text,
            "num_hidden_layers": 2,
            "pad_token_id": vocabulary - 1,
        },
        vision_config={**common, **vision},
        projection_dim=128,
        attn_implementation="eager",
    )
    return CLIPModel(config)


def soften(pixels: Tensor) -> Tensor:
    """Blur some pictures a little and add noise: so drawn and generated ones look alike."""
    blurred = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = torch.rand(len(pixels), 1, 1, 1).mul(1.6).sub(0.6).clamp(min=0)
    mixed = pixels.lerp(blurred, share)
    return mixed + 0.06 * torch.rand(len(pixels), 1, 1, 1) * torch.randn_like(mixed)


def told(scene: Scene, rng: Random) -> tuple[str, dict[str, str]]:
    """Return a caption that leaves out some of what is to be seen, and the facts that it names."""
    seen = replace(
        scene,
        pattern=scene.pattern if rng.random() < 0.5 else "plain",
        accessory=scene.accessory if rng.random() < 0.5 else "",
    )
    colour, size, background = rng.random() < 0.6, rng.random() < 0.3, rng.random() < 0.6
    words = [rng.choice(OPENINGS), described(seen, colour, size)]
    named = {"thing": scene.thing}
    if colour:
        named["colour"] = scene.colour
    if seen.pattern != "plain":
        named |= {"second": scene.second} if colour else {}
        named |= {"pattern": scene.pattern} if scene.pattern != "half" else {}
    if seen.accessory:
        named["accessory"] = scene.accessory
    if size and scene.size:
        named["size"] = scene.size
    if background:
        words.append(rng.choice(PHRASES[scene.background]))
        named["background"] = scene.background
    return " ".join(word for word in words if word), named


def truths(scenes: Sequence[Scene], named: Sequence[dict[str, str]]) -> Tensor:
    """Return which captions are true of which scenes, 0 or 1, (scenes, captions)."""
    rows = [[float(said.items() <= vars(scene).items()) for said in named] for scene in scenes]
    return torch.tensor(rows)


def contrastive(logits: Tensor, true: Tensor) -> Tensor:
    """Return the symmetric cross-entropy of logits (n, n); what is true shares the target."""
    logits = logits.float()
    rows, columns = (
        functional.cross_entropy(each, right / right.sum(1, keepdim=True))
        for each, right in ((logits, true), (logits.T, true.T))
    )
    return (rows + columns) / 2


def trained(out: Path) -> CLIPModel:
    """Return the model of the first stage with the running mean of its weights."""
    model = new_clip(len(CLIPTokenizer.from_pretrained(out / "tokenizer")))
    model.load_state_dict(torch.load(out / "clip" / "checkpoint.pt", weights_only=True)["mean"])
    return model.eval()


def export(model: nn.Module, out: Path) -> None:
    """Write model (float16), tokenizer and image processor to `out`/pocket-clip."""
    folder = out / "pocket-clip"
    copy.deepcopy(model).half().save_pretrained(folder)
    load_in_float32(folder / "config.json")
    tokenizer.make(folder)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor.save_pretrained(folder)


def both_towers(out: Path, words: CLIPTokenizer, steps: int, rate: float) -> None:
    """Train image and text tower together."""
    drawn, scenes = load("any", out)
    torch.manual_seed(0)
    model = new_clip(len(words))
    mean = copy.deepcopy(model).requires_grad_(False)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(0, len(scenes), BATCH)
        source = Random(int(rng.integers(2**32)))
        texts = [caption(scenes[i], source) for i in rows]
        tokens = words(texts, padding=True, return_tensors="pt")
        pixels = soften(to_pixels(drawn[torch.from_numpy(rows)]))
        logits = model(pixel_values=pixels, **tokens).logits_per_image
        return contrastive(logits, torch.tensor([[float(a == b) for b in texts] for a in texts]))

    train(model, mean, loss, Settings(out / "clip", steps, rate, ema=0.995))


def text_tower(out: Path, words: CLIPTokenizer, steps: int, rate: float) -> None:
    """Go on with the text tower, the image tower locked; export the model at every checkpoint."""
    drawn, scenes = load("any", out)
    model = trained(out).train()
    mean = copy.deepcopy(model).requires_grad_(False)
    for part in (model.vision_model, model.visual_projection):
        part.requires_grad_(False)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(0, len(scenes), BATCH)
        source = Random(int(rng.integers(2**32)))
        shown = [scenes[i] for i in rows]
        texts, named = zip(*(told(scene, source) for scene in shown), strict=True)
        tokens = words(list(texts), padding=True, return_tensors="pt")
        pixels = soften(to_pixels(drawn[torch.from_numpy(rows)]))
        logits = model(pixel_values=pixels, **tokens).logits_per_image
        return contrastive(logits, truths(shown, named))

    settings = Settings(out / "clip-text", steps, rate, ema=0.99)
    train(model, mean, loss, settings, lambda step: export(mean, out))


def main(out: Path, steps: int, rate: float = RATE) -> None:
    """Train both towers, then the text tower; what is trained already is not trained again."""
    words = tokenizer.make(out / "tokenizer")
    both_towers(out, words, steps, rate)
    text_tower(out, words, TEXT_STEPS, rate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    arguments = parser.parse_args()
    main(arguments.out, arguments.steps, arguments.rate)
