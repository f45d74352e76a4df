"""Tiny untrained pipelines of each kind, made from configs: a second to load and draw."""

from __future__ import annotations

import json
from pathlib import Path

import diffusers
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

KINDS = ("sd", "sd_v", "sdxl")
SIDE = 32  # pixels; the VAE halves it twice
WORDS = (
    "photo", "of", "dog", "red", "blue", "circle", "square", "on", "the", "beach",
    "mug", "ktn", "sks",
)  # fmt: skip


def save_tiny_pipeline(kind: str, folder: Path) -> str:
    """Write a pipeline into a folder: `sd`, `sd_v` (v-prediction) or `sdxl`."""
    tokenizer = tiny_tokenizer(folder / "vocabulary")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {"unet": tiny_unet(kind), "vae": tiny_vae(), "tokenizer": tokenizer}
        parts["text_encoder"] = CLIPTextModel(text_config(tokenizer))
        if kind == "sdxl":
            parts["tokenizer_2"] = tokenizer
            parts["text_encoder_2"] = CLIPTextModelWithProjection(text_config(tokenizer))
    prediction = "v_prediction" if kind == "sd_v" else "epsilon"
    parts["scheduler"] = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        clip_sample=False, set_alpha_to_one=False, prediction_type=prediction,
    )  # fmt: skip
    if kind == "sdxl":
        pipeline = diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
    else:
        pipeline = diffusers.StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.save_pretrained(folder)
    return str(folder)


def tiny_tokenizer(folder: Path, words: tuple[str, ...] = WORDS) -> CLIPTokenizer:
    """A CLIP tokenizer of single letters and a few whole words, the commonest first."""
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges: list[str] = []
    for word in words:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            if (merge := f"{pieces[0]} {pieces[1]}") not in merges:
                merges.append(merge)
                vocabulary.append(pieces[0] + pieces[1])
            pieces[:2] = [pieces[0] + pieces[1]]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=37, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=77, projection_dim=32,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def tiny_unet(kind: str) -> diffusers.UNet2DConditionModel:
    xl = {
        "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 8 * 6 + 32,
    }  # fmt: skip
    return diffusers.UNet2DConditionModel(
        sample_size=SIDE // 4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64 if kind == "sdxl" else 32, norm_num_groups=8, attention_head_dim=8,
        **(xl if kind == "sdxl" else {}),
    )  # fmt: skip


def tiny_vae() -> diffusers.AutoencoderKL:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 16), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=4, norm_num_groups=4,
        layers_per_block=1, sample_size=SIDE,
    )  # fmt: skip
