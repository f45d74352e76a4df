"""What is said of a file that was given where a pipeline's folder is wanted."""

import pytest
import torch
from safetensors.torch import save_file

from hwlit.errors import IntegrityError, UsageError
from hwlit.networks.pipelines import find_pipeline
from hwlit.networks.single_file import FIRST_LAYER, what_to_do

UNET = {FIRST_LAYER: (8, 4, 3, 3), "model.diffusion_model.out.2.weight": (4, 8, 3, 3)}
SD1 = UNET | {"cond_stage_model.transformer.text_model.final_layer_norm.weight": (8,)}
SD2 = UNET | {"cond_stage_model.model.ln_final.weight": (8,)}
SDXL = UNET | {
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (8,),
    "conditioner.embedders.1.model.ln_final.weight": (8,),
}
REFINER = UNET | {"conditioner.embedders.0.model.ln_final.weight": (8,)}


def written(path, shapes):
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        (SD1, "StableDiffusionPipeline"),
        (SD2, "StableDiffusionPipeline"),
        (SDXL, "StableDiffusionXLPipeline"),
    ],
)
def test_a_whole_pipeline_is_told_how_to_convert_it(shapes, kind, tmp_path):
    path = written(tmp_path / "my model_v1.5.safetensors", shapes)
    with pytest.raises(UsageError) as told:
        find_pipeline(str(path))
    folder = str(tmp_path / "my model_v1.5")
    assert f"python -c 'from diffusers import {kind}; {kind}.from_single_file(" in str(told.value)
    assert f'"{path}").save_pretrained("{folder}")' in str(told.value)
    assert str(told.value).endswith(f"--model.pretrained '{folder}'")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ({"lora_unet_down_blocks_0_attn1_to_q.lora_down.weight": (4, 8)}, "is a LoRA, which needs"),
        ({"unet.down_blocks.0.attn1.to_q.lora_A.weight": (4, 8)}, "is a LoRA, which needs"),
        ({"unet.attn.processor.to_q_lora.down.weight": (4, 8)}, "is a LoRA, which needs"),
        ({"lora_unet_x.hada_w1_a": (4, 8)}, "is a LoRA, which needs"),
        (SD1 | {FIRST_LAYER: (8, 9, 3, 3)}, "a UNet of 9 input channels"),
        (SDXL | {"edm_mean": (4,)}, "is an EDM model"),
        (REFINER, "is an SDXL refiner"),
        ({"double_blocks.0.img_attn.qkv.weight": (8, 8)}, "is a FLUX model"),
        ({"model.diffusion_model.joint_blocks.0.x": (8, 8)}, "is an SD3 model"),
        ({"emb_params": (1, 8)}, "is a textual inversion"),
        (UNET, "is a UNet alone"),
        ({"decoder.conv_in.weight": (8, 4, 3, 3)}, "is a VAE alone"),
        ({"something": (1,)}, "of no kind that is known"),
    ],
)
def test_other_files_are_told_by_what_they_hold(shapes, told, tmp_path):
    assert told in what_to_do(written(tmp_path / "x.safetensors", shapes))


def test_a_pickle_is_not_looked_into(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"cos\nsystem\n")
    told = what_to_do(tmp_path / "x.ckpt")
    assert "can hold code and is not read" in told
    assert "StableDiffusionXLPipeline if it is one of SDXL" in told


def test_a_damaged_file_is_one_sentence(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(IntegrityError, match="is damaged"):
        find_pipeline(str(tmp_path / "x.safetensors"))


def test_a_folder_that_holds_one_file_is_told_by_it(tmp_path):
    written(tmp_path / "pytorch_lora_weights.safetensors", {"unet.x.lora_A.weight": (4, 8)})
    with pytest.raises(UsageError, match="is a LoRA, which needs the pipeline"):
        find_pipeline(str(tmp_path))
