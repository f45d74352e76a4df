"""What tests of pictures share: tiny pipelines that draw, parts that learn, a tiny CLIP."""

import diffusers
import torch
from torch import nn
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from tests.pipelines import text_config, tiny_tokenizer


def loaded(folder):
    """Return a pipeline as a stranger loads it."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
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


def drawn(pipeline, prompt="photo of sks dog", seed=0, steps=2, guidance=3.0):
    """Return a picture, (h, w, 3) in 0 to 1, of one prompt."""
    generator = torch.Generator().manual_seed(seed)
    pictures = pipeline(
        prompt, generator=generator, num_inference_steps=steps, guidance_scale=guidance,
        output_type="np",
    )  # fmt: skip
    return pictures.images[0]


def save_tiny_clip(folder):
    """Write a CLIP checkpoint of 16 x 16 pixels; return its folder."""
    tokenizer = tiny_tokenizer(folder)
    text = text_config(tokenizer).to_dict()
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": 16, "patch_size": 4,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder
