"""Pictures and prompts, encoded once: the encoders are dropped before training."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPTokenizer

from hwlit.adapters.concept_token import add_tokens
from hwlit.data.framing import framed
from hwlit.data.pictures import Picture
from hwlit.data.tokens import PROGRESS_DELAY_S
from hwlit.networks.diffusion import Encoders, load_encoders, token_ids
from hwlit.networks.tokenizers import load_tokenizers

ENCODED_AT_ONCE = 4
# Precision of the parts that are only read, by the trainer's; else fp32.
DTYPES = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}


@dataclass(frozen=True)
class Encoded:
    """What the task reads in place of prompts and pictures, on the CPU.

    Args:
        said: Of each prompt: `prompt_embeds` (prompts, tokens, width) and for SDXL `pooled`
            (prompts, width); or `input_ids` (prompts, tokens) and for SDXL `input_ids_2`.
        latents: Of each picture, fp32: `latent_mean` and `latent_std` (pictures, channels, height,
            width), and `time_ids` (pictures, 6); None where pictures are encoded at each step.
        remarks: What a reader of the record should know of the latents, a sentence each.
    """

    said: dict[str, Tensor]
    latents: dict[str, Tensor] | None
    remarks: list[str] = field(default_factory=list)


def device_of(trainer: Trainer | None) -> torch.device:
    """Return where the parts that are only read run: beside the network, or on the CPU."""
    return torch.device("cpu") if trainer is None else trainer.strategy.root_device


def dtype_of(trainer: Trainer | None) -> torch.dtype:
    """Return the precision of the parts that are only read."""
    return torch.float32 if trainer is None else DTYPES.get(str(trainer.precision), torch.float32)


def encode_once(
    pretrained: str,
    first: Picture,
    prompts: Sequence[str],
    pictures: Sequence[Picture] | None,
    size: int,
    *,
    drawn: Sequence[str],
    prompts_learn: bool,
    new_tokens: Mapping[str, int],
    dtype: torch.dtype,
    device: torch.device | str,
) -> Encoded:
    """Encode prompts and pictures, and let the encoders go.

    Args:
        pretrained: The pipeline.
        first: A picture that the VAE must be able to encode and to decode.
        prompts: The prompts.
        pictures: The pictures; None leaves them to be encoded at each step.
        size: The side that they are cut to, in pixels.
        drawn: Prompts that are drawn after training: the base is to read them before it.
        prompts_learn: Whether the text encoders learn, so that prompts stay token ids.
        new_tokens: Words that the tokenizers are taught, and how many vectors each has.
        dtype: Precision of the encoders.
        device: Where they run.

    Raises:
        UsageError: An encoder, or the VAE's decoder, gives numbers that are not finite.
    """
    said = tokenised(taught(pretrained, new_tokens), prompts) if prompts_learn else {}
    latents = None
    encoders = load_encoders(pretrained, dtype, device)
    encoders.check_decoder(encoders.encode_images(framed(first.load(), size).pixels[None])[0])
    # "" is what guidance draws away from. New words are read in pieces here.
    encoders.check_prompts(["", *drawn, *(prompts if prompts_learn else ())])
    if not prompts_learn:
        conditioning = encoders.encode_prompts(prompts)
        said = {"prompt_embeds": conditioning.embeds.cpu()}
        if conditioning.pooled is not None:
            said["pooled"] = conditioning.pooled.cpu()
    if pictures is not None:
        latents = _distributions(encoders, pictures, size)
    remarks = encoders.remarks
    del encoders
    gc.collect()  # their modules refer to one another
    torch.cuda.empty_cache()
    return Encoded(said, latents, remarks)


def taught(pretrained: str, new_tokens: Mapping[str, int]) -> tuple[CLIPTokenizer, ...]:
    """Load the tokenizers of a pipeline and teach them new words; see `add_tokens`."""
    tokenizers = load_tokenizers(pretrained)
    for tokenizer in tokenizers:
        add_tokens(tokenizer, new_tokens)
    return tokenizers


def tokenised(tokenizers: Sequence[CLIPTokenizer], prompts: Sequence[str]) -> dict[str, Tensor]:
    """Return the token ids of prompts, by the names that batches have for them."""
    names = ("input_ids", "input_ids_2")
    return {name: token_ids(t, prompts) for name, t in zip(names, tokenizers, strict=False)}


def _distributions(encoders: Encoders, pictures: Sequence[Picture], size: int) -> dict[str, Tensor]:
    """Return the distribution of each picture's latents, cut in the centre, and its sizes."""
    means, deviations, sizes = [], [], []
    with tqdm(
        total=len(pictures), desc="encoding", unit=" pictures", delay=PROGRESS_DELAY_S
    ) as bar:
        for start in range(0, len(pictures), ENCODED_AT_ONCE):
            some = pictures[start : start + ENCODED_AT_ONCE]
            frames = [framed(picture.load(), size) for picture in some]
            mean, deviation = encoders.encode_images(torch.stack([f.pixels for f in frames]))
            means.append(mean.cpu())
            deviations.append(deviation.cpu())
            sizes += [frame.time_ids for frame in frames]
            bar.update(len(some))
    return {
        "latent_mean": torch.cat(means),
        "latent_std": torch.cat(deviations),
        "time_ids": torch.tensor(sizes, dtype=torch.float32),
    }
