"""Train pocket-sd's text encoder and UNet together, on the cached latents of the drawn scenes.

The noise schedule is Stable Diffusion's (scaled linear, epsilon, 1,000 steps); one caption in ten
is dropped, for classifier-free guidance; the loss has Min-SNR weights (Hang et al. 2023, gamma 5),
which only speed the training up.

    python -m tools.pocket.diffusion --out build/pocket
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from random import Random

import diffusers
import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from hwlit.exports.pipeline_folder import write_for_older_loaders
from hwlit.storage import replacing
from tools.pocket import autoencoder, tokenizer
from tools.pocket.pictures import load, to_pixels
from tools.pocket.scenes import HELD_OUT, Scene, caption, contact_sheet, prompt
from tools.pocket.training import Settings, load_in_float32, rank_zero_first, train

BATCH = 32
STEPS = 3200
RATE = 7e-4
DROPPED = 0.1
GAMMA = 5.0
WIDTH = 128


def new_scheduler() -> diffusers.DDIMScheduler:
    """Return Stable Diffusion's noise schedule."""
    return diffusers.DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class Denoiser(nn.Module):
    """The two parts that learn: the text encoder and the UNet."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        text = CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.CONTEXT,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
            attn_implementation="eager",
        )
        self.text_encoder = CLIPTextModel(text)
        self.unet = diffusers.UNet2DConditionModel(
            sample_size=autoencoder.LATENT_SIZE,
            in_channels=autoencoder.LATENT_CHANNELS,
            out_channels=autoencoder.LATENT_CHANNELS,
            block_out_channels=(64, 96, 128),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,  # the number of heads, as in Stable Diffusion 1
            norm_num_groups=16,
        )
        # As the eager attention above: the fused one's backward pass is slow on a CPU.
        self.unet.set_attn_processor(AttnProcessor())

    def forward(self, noisy: Tensor, times: Tensor, ids: Tensor) -> Tensor:
        """Return the predicted noise for latents (n, c, h, w), times (n,), token ids (n, t)."""
        states = self.text_encoder(ids).last_hidden_state
        return self.unet(noisy, times, states).sample


@torch.no_grad()
def latents(out: Path) -> tuple[Tensor, Tensor, float, list[Scene]]:
    """Return mean and standard deviation of each picture's latent, the scaling factor, the scenes.

    The factor makes the latents' standard deviation 1, as in Rombach et al. (2022).
    """
    drawn, scenes = load("known", out)
    cache = out / "latents.pt"
    if not cache.is_file():
        vae = autoencoder.trained(out)
        parts = [vae.encode(to_pixels(part)).latent_dist for part in drawn.split(200)]
        mean, std = torch.cat([p.mean for p in parts]), torch.cat([p.std for p in parts])
        sampled = mean + std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
        state = {"mean": mean.half(), "std": std.half(), "factor": 1 / sampled.std().item()}
        with replacing(cache) as file:
            torch.save(state, file)
    state = torch.load(cache, weights_only=True)
    return state["mean"], state["std"], state["factor"], scenes


def pipeline(out: Path, denoiser: Denoiser, factor: float) -> diffusers.StableDiffusionPipeline:
    """Return the stock pipeline of the trained parts."""
    vae = autoencoder.trained(out)
    vae.register_to_config(scaling_factor=round(factor, 5))
    return diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser.text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(out / "tokenizer"),
        unet=denoiser.unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export(pipe: diffusers.StableDiffusionPipeline, folder: Path) -> None:
    """Write the pipeline's folder: float16, safetensors, without a name of this machine in it."""
    saved = copy.deepcopy(pipe)
    saved.to(torch.float16)
    for part in (saved.unet, saved.vae, saved.text_encoder):
        part.config._name_or_path = ""
    saved.save_pretrained(folder, safe_serialization=True)
    write_for_older_loaders(folder, saved)
    tokenizer.make(folder / "tokenizer")
    load_in_float32(folder / "text_encoder" / "config.json")


def weights(times: Tensor, alphas: Tensor) -> Tensor:
    """Return the Min-SNR weights of epsilon-prediction, min(SNR, gamma) / SNR, for times (n,)."""
    ratio = alphas[times] / (1 - alphas[times])
    return ratio.clamp(max=GAMMA) / ratio


def main(out: Path, steps: int, rate: float = RATE) -> None:
    """Train; after every checkpoint, export the pipeline to `out`/pocket-sd."""
    with rank_zero_first():
        words = tokenizer.make(out / "tokenizer")
        mean, std, factor, scenes = latents(out)
    torch.manual_seed(0)
    denoiser = Denoiser(len(words))
    average = copy.deepcopy(denoiser).requires_grad_(False)
    alphas = new_scheduler().alphas_cumprod
    asked = [prompt(*triple) for triple in Random(0).sample(HELD_OUT, 16)]

    def ids(texts: list[str]) -> Tensor:
        return words(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(0, len(scenes), BATCH)
        source = Random(int(rng.integers(2**32)))
        texts = ["" if source.random() < DROPPED else caption(scenes[i], source) for i in rows]
        picked = torch.from_numpy(rows)
        shape = (BATCH, *mean.shape[1:])
        clean = (mean[picked].float() + std[picked].float() * torch.randn(shape)) * factor
        noise, times = torch.randn(shape), torch.randint(0, 1000, (BATCH,))
        level = alphas[times].view(-1, 1, 1, 1)
        noisy = level.sqrt() * clean + (1 - level).sqrt() * noise
        off = denoiser(noisy, times, ids(texts)).float() - noise
        return (off.square().mean((1, 2, 3)) * weights(times, alphas)).mean()

    @torch.no_grad()
    def look(step: int) -> None:
        pipe = pipeline(out, average, factor)
        export(pipe, out / "pocket-sd")
        if step % 800 == 0 or step == steps:
            pipe.set_progress_bar_config(disable=True)
            noise = torch.Generator().manual_seed(0)
            images = pipe(asked, num_inference_steps=20, guidance_scale=4.0, generator=noise).images
            contact_sheet(images, 8).save(out / "diffusion" / f"look-{step}.png")

    train(denoiser, average, loss, Settings(out / "diffusion", steps, rate, save_every=200), look)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    arguments = parser.parse_args()
    main(arguments.out, arguments.steps, arguments.rate)
