import numpy as np
import pytest
import torch

from hwlit.errors import DivergedError, UsageError
from hwlit.networks.diffusion import load_encoders, load_pipeline
from hwlit.networks.picture_flaws import is_blank
from hwlit.networks.sampling import decoded_in_fp32, draw
from tests.pipelines import KINDS, SIDE

PROMPTS = ["photo of dog", "red circle", "blue square", "red circle", "the beach"]
SEEDS = [5, 6, 7, 8, 9]


def arrays(pictures):
    return [np.asarray(picture).astype(int) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_picture_in_any_batch(kind, tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
    given = {"steps": 2, "guidance": 3.0}
    alone = arrays(draw(pipeline, PROMPTS, SEEDS, batch_size=1, **given))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for size in (2, 5):
        together = arrays(draw(pipeline, PROMPTS, SEEDS, batch_size=size, **given))
        # A product over more rows may round otherwise: by one level of 255 at most.
        assert max(abs(a - b).max() for a, b in zip(alone, together, strict=True)) <= 1
    assert torch.equal(torch.get_rng_state(), before)
    assert abs(alone[1] - alone[3]).max() > 1  # another seed
    assert {picture.shape for picture in alone} == {(SIDE, SIDE, 3)}


def test_pictures_have_the_asked_size(tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines["sd"], torch.float32, "cpu")
    picture = draw(pipeline, ["red circle"], [0], steps=1, guidance=1.0, size=2 * SIDE)[0]
    assert picture.size == (2 * SIDE, 2 * SIDE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_pipeline_draws_what_stock_diffusers_draws(kind, tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
    ours = draw(pipeline, PROMPTS[:2], SEEDS[:2], steps=2, guidance=3.0)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS[:2]]
    stock = pipeline(
        PROMPTS[:2], generator=generators, num_inference_steps=2, guidance_scale=3.0
    ).images
    assert [one.tobytes() for one in ours] == [one.tobytes() for one in stock]
    assert not any(map(decoded_in_fp32, ours))


@pytest.fixture
def pipeline(tiny_pipelines):
    return load_pipeline(tiny_pipelines["sd"], torch.float32, "cpu")


def spoil(layer, factor=float("nan")):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(factor)


@pytest.mark.parametrize(("learned", "error"), [(True, DivergedError), (False, UsageError)])
@pytest.mark.parametrize(
    ("part", "told"), [("unet", "latents that the denoiser"), ("vae", "VAE decodes")]
)
def test_what_is_not_finite_is_no_picture(part, told, learned, error, pipeline):
    spoil({"unet": pipeline.unet.conv_out, "vae": pipeline.vae.decoder.conv_in}[part])
    with pytest.raises(error, match=rf"{told}.* for 'red circle' and seed 7 are not finite") as e:
        draw(pipeline, ["red circle"], [7], steps=1, guidance=1.0, learned=learned)
    assert "32-true" not in str(e.value)  # it is already


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_a_text_encoder_that_is_not_finite_is_named(kind, guidance, tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
    spoil(pipeline.text_encoder.get_input_embeddings())
    told = r"^the features that the text encoder gives \(in float32\) for 'red circle' and seed 7 "
    with pytest.raises(UsageError, match=told):
        draw(pipeline, ["red circle"], [7], steps=1, guidance=guidance, learned=False)


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_weights_that_half_precision_cannot_hold_are_told(part, tiny_pipelines, tmp_path):
    pipeline = load_pipeline(tiny_pipelines["sd"], torch.float32, "cpu")
    with torch.no_grad():
        next(pipeline.components[part].parameters()).fill_(1e5)
    pipeline.save_pretrained(tmp_path)
    told = rf"the {part} of .* has weights in .* that float16 cannot hold .*--trainer\.precision 32"
    for load in (load_pipeline, load_encoders):
        load(str(tmp_path), torch.bfloat16, "cpu")
        with pytest.raises(UsageError, match=told):
            load(str(tmp_path), torch.float16, "cpu")


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_a_decoder_that_overflows_in_half_precision_decodes_in_fp32(kind, mode, tiny_pipelines):
    with mode():
        whole = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
        half = load_pipeline(tiny_pipelines[kind], torch.float16, "cpu")
        # The norms after it take the factor out again, where there is room for it.
        for pipeline in (whole, half):
            spoil(pipeline.vae.decoder.conv_in, 1e5)
        half.vae.register_to_config(force_upcast=False)
        given = {"steps": 1, "guidance": 1.0}
        wanted = arrays(draw(whole, PROMPTS[:2], SEEDS[:2], **given))
        found = draw(half, PROMPTS[:2], SEEDS[:2], **given)
    assert all(map(decoded_in_fp32, found))
    assert half.vae.dtype == torch.float16
    for one, other in zip(arrays(found), wanted, strict=True):
        assert one.std() > 1
        assert abs(one - other).mean() < 4


def test_autocast_that_overflows_is_left_out(pipeline):
    spoil(pipeline.vae.decoder.conv_in, 1e6)
    with torch.autocast("cpu", torch.float16):
        (found,) = draw(pipeline, ["red circle"], [7], steps=1, guidance=1.0)
    assert decoded_in_fp32(found)
    assert not is_blank(found)
