"""Parts of a pipeline that do not fit one another are named before any weight is read."""

import json
import shutil

import pytest

from hwlit.errors import UsageError
from hwlit.networks.pipelines import find_pipeline, load_noise_schedule


@pytest.fixture
def change(tiny_pipelines, tmp_path):
    """Return what copies a pipeline and sets values of a config."""

    def changed(kind, part, **values):
        folder = tmp_path / kind
        shutil.copytree(tiny_pipelines[kind], folder)
        (path,) = [
            p for p in (folder / part).glob("*config.json") if p.name != "tokenizer_config.json"
        ]
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        for file in folder.glob("*/*.safetensors"):
            file.write_bytes(b"")  # that is not read
        return str(folder)

    return changed


@pytest.mark.parametrize(
    ("kind", "part", "values", "told"),
    [
        ("sd", "unet", {"in_channels": 9}, "in_channels: 9, but the VAE's latents have 4"),
        ("sd", "unet", {"in_channels": 8}, "in_channels: 8"),
        ("sd", "unet", {"in_channels": None}, "in_channels: None, which is no whole number"),
        ("sd", "unet", {"in_channels": True}, "in_channels: True, which is no whole number"),
        ("sd", "unet", {"out_channels": 8}, "out_channels: 8, but the VAE's latents have 4"),
        ("sd", "vae", {"latent_channels": 16}, "in_channels: 4, but the VAE's latents have 16"),
        ("sd", "vae", {"in_channels": 4}, "in_channels: 4, and pictures have 3"),
        ("sd", "vae", {"latents_mean": [0.0] * 4}, "latents_mean or latents_std"),
        ("sd", "unet", {"cross_attention_dim": 768}, "cross_attention_dim: 768, .* of width 32;"),
        ("sd", "unet", {"cross_attention_dim": [32, 64]}, r"cross_attention_dim: \[32, 64\]"),
        ("sd", "unet", {"encoder_hid_dim": 4096}, "encoder_hid_dim: 4096"),
        ("sd", "unet", {"num_class_embeds": 7}, "num_class_embeds: 7, so that it asks for more"),
        ("sd", "unet", {"addition_embed_type": "text_time"}, "1 text encoder wants None"),
        ("sd", "text_encoder", {"hidden_size": 64}, "of width 64;"),
        ("sdxl", "text_encoder_2", {"hidden_size": 64}, r"of width 32 \+ 64;"),
        ("sdxl", "text_encoder_2", {"projection_dim": 64}, "features of 64 and sizes of 48"),
        ("sdxl", "unet", {"addition_embed_type": None}, "2 text encoders wants text_time"),
    ],
)
def test_what_does_not_fit_is_named(kind, part, values, told, change):
    with pytest.raises(UsageError, match=told) as error:
        find_pipeline(change(kind, part, **values))
    assert "\n" not in str(error.value)


def test_a_list_of_equal_widths_fits(change):
    find_pipeline(change("sd", "unet", cross_attention_dim=[32, 32]))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "whose noise is of another kind"),
        ({"_class_name": "EDMEulerScheduler"}, "whose noise is of another kind"),
        ({"beta_end": float("nan")}, "are not finite numbers"),
    ],
)
def test_noise_that_is_not_ddpm_s_is_refused(values, told, change):
    with pytest.raises(UsageError, match=told):
        load_noise_schedule(change("sd", "scheduler", **values))
