"""Train the autoencoder: 64 x 64 pictures to 16 x 16 latents of 4 channels and back.

L1 on the pixels and on their differences (for sharp edges) with a small KL term; no adversary.
It learns on all scenes, also the patterned ones which the UNet never sees.

    python -m tools.pocket.autoencoder --out build/pocket
    python -m tools.pocket.autoencoder --out build/pocket --decoder   # then, or beside the UNet

The second stage leaves the encoder, and so the latents, as they are.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import diffusers
import numpy as np
import torch
from torch import Tensor, nn

from tools.pocket.pictures import load, to_images, to_pixels
from tools.pocket.scenes import contact_sheet
from tools.pocket.training import Settings, train

BATCH = 8
STEPS = 2500
DECODER_STEPS = 1000
RATE = 1e-3
KL = 5e-7
EDGES = 0.25
LATENT_SIZE, LATENT_CHANNELS = 16, 4


def new_autoencoder() -> diffusers.AutoencoderKL:
    """Return the untrained autoencoder."""
    vae = diffusers.AutoencoderKL(
        sample_size=64,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(16, 48, 96),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        mid_block_add_attention=False,
    )
    # Latents with little noise from the start: with the usual noise of 1, colours come late.
    with torch.no_grad():
        vae.quant_conv.bias[LATENT_CHANNELS:] = -5.0
    return vae


def loss_of(vae: nn.Module, pixels: Tensor) -> Tensor:
    """Return L1 + squared error + L1 of neighbours' differences + KL for pixels (n, 3, h, w).

    The squared error makes it learn the colours early, the differences make edges sharp.
    """
    latent = vae.encode(pixels).latent_dist
    off = vae.decode(latent.sample()).sample.float() - pixels
    rows, columns = off[..., 1:] - off[..., :-1], off[..., 1:, :] - off[..., :-1, :]
    edges = rows.abs().mean() + columns.abs().mean()
    return off.abs().mean() + 2 * off.square().mean() + EDGES * edges + KL * latent.kl().mean()


def pictures(folder: Path) -> Tensor:
    """Return all drawn pictures, (n, 64, 64, 3), uint8."""
    return torch.cat([load(kind, folder)[0] for kind in ("known", "any")])


def trained(out: Path) -> diffusers.AutoencoderKL:
    """Return the autoencoder with the running mean of its weights, frozen."""
    vae = new_autoencoder()
    stages = [out / stage / "checkpoint.pt" for stage in ("decoder", "vae")]
    newest = next(path for path in stages if path.is_file())
    vae.load_state_dict(torch.load(newest, weights_only=True)["mean"])
    return vae.eval().requires_grad_(False)


def main(out: Path, steps: int, rate: float = RATE, decoder_only: bool = False) -> None:
    """Train, and leave reconstructions in `look.png` at every checkpoint.

    Args:
        out: Where the stage's folder is, `vae` or `decoder`.
        steps: Optimizer steps of the stage.
        rate: Its learning rate.
        decoder_only: Go on from the finished first stage with a frozen encoder.
    """
    torch.manual_seed(0)
    vae = trained(out).train() if decoder_only else new_autoencoder()
    mean = copy.deepcopy(vae).requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv) if decoder_only else (vae,):
        part.requires_grad_(True)
    folder = out / ("decoder" if decoder_only else "vae")
    drawn = pictures(out)
    seen = to_pixels(drawn[:: len(drawn) // 16][:16])

    def loss(rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(0, len(drawn), BATCH))
        return loss_of(vae, to_pixels(drawn[rows]))

    @torch.no_grad()
    def look(step: int) -> None:
        again = mean.decode(mean.encode(seen).latent_dist.mean).sample
        contact_sheet(to_images(torch.cat([seen, again])), 16).save(folder / "look.png")

    train(vae, mean, loss, Settings(folder, steps, rate, ema=0.995), look)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--decoder", action="store_true", help="the second stage")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rate", type=float, default=RATE)
    given = parser.parse_args()
    steps = given.steps or (DECODER_STEPS if given.decoder else STEPS)
    main(given.out, steps, given.rate, given.decoder)
