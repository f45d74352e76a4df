"""Stable Diffusion and CLIP made from configs: untrained, and quick to draw 32 x 32 pixels."""

import diffusers
import torch
from tokenizers import pre_tokenizers
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

SIZE = 32  # pixels
LENGTH = 24  # tokens of a prompt, which are its letters
TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": LENGTH, "vocab_size": 514, "bos_token_id": 512,
    "eos_token_id": 513, "pad_token_id": 513,
}  # fmt: skip


def tiny_tokenizer():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>"]
    vocabulary = {token: index for index, token in enumerate([*tokens, "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=LENGTH)


def tiny_vae():
    return diffusers.AutoencoderKL(
        block_out_channels=[16, 32],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
    )


def tiny_unet(**settings):
    return diffusers.UNet2DConditionModel(
        sample_size=SIZE // 2,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=8,
        **{"cross_attention_dim": 32} | settings,
    )


def tiny_scheduler():
    return diffusers.DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False)


def tiny_sd():
    """Return a Stable Diffusion pipeline with one text encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pipeline = diffusers.StableDiffusionPipeline(
            vae=tiny_vae(),
            text_encoder=CLIPTextModel(CLIPTextConfig(**TEXT)),
            tokenizer=tiny_tokenizer(),
            unet=tiny_unet(),
            scheduler=tiny_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_sdxl():
    """Return a pipeline with two text encoders."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        text = CLIPTextConfig(**TEXT, projection_dim=32)
        unet = tiny_unet(
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        )
        pipeline = diffusers.StableDiffusionXLPipeline(
            vae=tiny_vae(),
            text_encoder=CLIPTextModel(text),
            text_encoder_2=CLIPTextModelWithProjection(text),
            tokenizer=tiny_tokenizer(),
            tokenizer_2=tiny_tokenizer(),
            unet=unet,
            scheduler=tiny_scheduler(),
            add_watermarker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def learnable(pipeline, *names):
    """Return the named parts of a pipeline as one network."""
    network = nn.Module()
    for name in names:
        network.add_module(name, pipeline.components[name])
    return network


def moved(network, by=0.1):
    """Change what learns of a network."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * by)


def drawn(pipeline, prompt="a dog", seed=0, steps=2, guidance=3.0):
    """Return a picture, (h, w, 3) in 0 to 1, of one prompt."""
    generator = torch.Generator().manual_seed(seed)
    pictures = pipeline(
        prompt, generator=generator, num_inference_steps=steps, guidance_scale=guidance,
        output_type="np",
    )  # fmt: skip
    return pictures.images[0]


def save_tiny_clip(folder):
    """Write a CLIP checkpoint of 16 x 16 pixels; return its folder."""
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": 16, "patch_size": 4,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=vision, projection_dim=24))
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder
