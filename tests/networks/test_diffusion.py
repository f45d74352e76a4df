import shutil

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.errors import IntegrityError, UsageError
from hwlit.networks.diffusion import (
    DiffusionNetwork,
    load_diffusion,
    load_encoders,
    load_part,
    load_pipeline,
)
from hwlit.networks.sampling import draw
from tests.pipelines import KINDS, SIDE

ATTENTION = ("unet.*.to_[qkv]", "unet.*.to_out.0")
SD_BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
}
# The unet/config.json of the public repositories, as far as the shapes follow from it.
UNETS = {
    "sd15": {**SD_BLOCKS, "sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sd21": {
        **SD_BLOCKS,
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "sdxl": {
        "sample_size": 128,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
COUNTS = {
    "sd15": (859_520_964, 797_184, 3_188_736),
    "sd21": (865_910_724, 829_952, 3_319_808),
    "sdxl": (2_567_463_684, 5_806_080, 23_224_320),
}
PROMPTS = ["photo of dog", "red circle on the beach"]


def learning(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", UNETS)
def test_counts_of_the_public_networks(name):
    every, rank_4, rank_16 = COUNTS[name]
    with torch.device("meta"):
        networks = [
            DiffusionNetwork(diffusers.UNet2DConditionModel(**UNETS[name])) for _ in range(3)
        ]
        Full().attach(networks[0])
        Lora(rank=4, alpha=4, targets=ATTENTION).attach(networks[1])
        Lora(rank=16, alpha=16, targets=ATTENTION).attach(networks[2])
    assert tuple(map(learning, networks)) == (every, rank_4, rank_16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_loaded_in_the_asked_precision(kind, dtype, tiny_pipelines):
    network = load_diffusion(tiny_pipelines[kind], dtype, train_text_encoder=True)
    names = ["unet", "text_encoder", "text_encoder_2"][: 3 if kind == "sdxl" else 2]
    assert [name for name, _ in network.named_children()] == names
    assert {parameter.dtype for parameter in network.parameters()} == {dtype}
    assert all(module.training for module in network.modules())
    alone = load_diffusion(tiny_pipelines[kind], dtype)
    assert [name for name, _ in alone.named_children()] == ["unet"]


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_encoded_as_the_stock_pipeline_does(kind, tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
    encoders = load_encoders(tiny_pipelines[kind], torch.float32, "cpu")
    stock = pipeline.encode_prompt(
        PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    said = encoders.encode_prompts(PROMPTS)
    assert torch.equal(said.embeds, stock[0])
    assert said.embeds.requires_grad is False
    if kind == "sdxl":
        assert torch.equal(said.pooled, stock[2])
    else:
        assert said.pooled is None


def test_pictures_are_encoded_as_scaled_distributions(tiny_pipelines):
    encoders = load_encoders(tiny_pipelines["sd"], torch.float32, "cpu")
    pixels = torch.rand(5, 3, SIDE, SIDE) * 2 - 1
    mean, deviation = encoders.encode_images(pixels)
    with torch.no_grad():
        found = encoders.vae.encode(pixels).latent_dist
    scale = encoders.vae.config.scaling_factor
    torch.testing.assert_close(mean, found.mean * scale)
    torch.testing.assert_close(deviation, found.std * scale)
    assert float(deviation.min()) > 0
    assert not encoders.vae.training
    assert not any(encoder.training for encoder in encoders.text_encoders)


def test_a_vae_that_overflows_in_fp16_stays_in_fp32(tiny_pipelines):
    encoders = load_encoders(tiny_pipelines["sd"], torch.float16, "cpu")
    assert encoders.vae.config.force_upcast
    assert (encoders.vae.dtype, encoders.text_encoders[0].dtype) == (torch.float32, torch.float16)


@pytest.mark.filterwarnings("ignore:`upcast_vae` is deprecated:FutureWarning")  # its own
@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_pipeline_draws_in_half_precision(kind, dtype, tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines[kind], dtype, "cpu")
    whole = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
    found, wanted = (
        torch.from_numpy(np.asarray(draw(one, PROMPTS[:1], [3], steps=2, guidance=2.0)[0]).copy())
        for one in (pipeline, whole)
    )
    assert (found.float() - wanted.float()).abs().mean() < 10  # of 255


@pytest.mark.parametrize("kind", KINDS)
def test_the_pipeline_is_the_stock_one_around_the_network(kind, tiny_pipelines):
    stock = diffusers.DiffusionPipeline.from_pretrained(tiny_pipelines[kind])
    stock.set_progress_bar_config(disable=True)
    given = {"steps": 2, "guidance": 4.0}
    wanted = draw(stock, PROMPTS, [3, 4], **given)
    network = load_diffusion(tiny_pipelines[kind], torch.float32, kind == "sdxl").eval()
    pipeline = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu", network)
    assert type(pipeline) is type(stock)
    assert pipeline.unet is network.unet
    assert list(map(bytes_of, draw(pipeline, PROMPTS, [3, 4], **given))) == list(
        map(bytes_of, wanted)
    )
    with torch.no_grad():
        network.unet.conv_out.weight.add_(0.5)
    assert bytes_of(draw(pipeline, PROMPTS, [3, 4], **given)[0]) != bytes_of(wanted[0])


def bytes_of(picture):
    return picture.tobytes()


@pytest.fixture
def own(tiny_pipelines, tmp_path):
    shutil.copytree(tiny_pipelines["sd"], tmp_path / "own")
    return tmp_path / "own"


def test_weights_that_lack_a_tensor_are_refused(own):
    path = own / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["conv_in.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(
        UsageError, match=r"the unet of .* lacks 1 tensors.*such as conv_in\.weight"
    ):
        load_diffusion(str(own), torch.float32)


def test_weights_of_another_shape_are_refused(own):
    config = own / "unet" / "config.json"
    config.write_text(config.read_text().replace('"layers_per_block": 1', '"layers_per_block": 2'))
    with pytest.raises(UsageError, match="files belong together"):
        load_diffusion(str(own), torch.float32)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_damaged_weights_are_told(own, part):
    path = next((own / part).glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match=f"{part}/.* is damaged"):
        load_part(str(own), part, torch.float32)


def test_lora_without_targets_says_what_to_give(tiny_pipelines):
    network = load_diffusion(tiny_pipelines["sd"], torch.float32)
    with pytest.raises(UsageError, match=r"no usual targets are known for DiffusionNetwork"):
        Lora().attach(network)


def spoil(layer, factor=float("nan")):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(factor)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_encoder_that_overflows_in_half_precision_encodes_in_fp32(mode, tiny_pipelines):
    pixels = torch.rand(3, 3, SIDE, SIDE) * 2 - 1
    pixels[1] = 0  # on which it does not
    with mode():
        whole = load_encoders(tiny_pipelines["sd"], torch.float32, "cpu")
        spoil(whole.vae.encoder.conv_in, 1e6)
        wanted = whole.encode_images(pixels)
        assert whole.remarks == []
        with torch.autocast("cpu", torch.float16):
            found = whole.encode_images(pixels)
    assert all(torch.isfinite(one).all() for one in found)
    assert torch.equal(found[0][0], wanted[0][0])
    assert torch.equal(found[1][2], wanted[1][2])
    (told,) = whole.remarks
    assert "encoded again in float32: " in told


def test_a_vae_that_is_damaged_is_told_before_training(tiny_pipelines):
    pixels = torch.rand(1, 3, SIDE, SIDE)
    encoders = load_encoders(tiny_pipelines["sd"], torch.float32, "cpu")
    encoders.check_decoder(encoders.encode_images(pixels)[0])
    spoil(encoders.vae.decoder.conv_in)
    with pytest.raises(UsageError, match="decoder gives pixels that are not finite"):
        encoders.check_decoder(encoders.encode_images(pixels)[0])
    spoil(encoders.vae.encoder.conv_in)
    with pytest.raises(UsageError, match="encoder gives latents that are not finite"):
        encoders.encode_images(pixels)


def test_a_text_encoder_that_gives_nan_is_told(tiny_pipelines):
    encoders = load_encoders(tiny_pipelines["sd"], torch.float32, "cpu")
    spoil(encoders.text_encoders[0])
    with pytest.raises(UsageError, match="not finite for 'red circle' in float32"):
        encoders.encode_prompts(["red circle", "photo of dog"])
