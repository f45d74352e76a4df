"""LoRA files in kohya's naming: what diffusers draws after reading them."""

import numpy as np
import pytest
from safetensors.torch import load_file

from hwlit.__main__ import main
from hwlit.adapters.lora import Lora
from hwlit.exports.diffusers_lora import write_diffusers_lora
from tests.drawing import drawn, learnable, loaded, moved

ATTENTION = ("unet.*.to_[qkv]", "unet.*.to_out.0", "text_encoder*.out_proj", "text_encoder*.fc1")


def written(pretrained, adapter, run):
    """Write what a run of LoRA leaves; return the picture of its network."""
    pipeline = loaded(pretrained)
    parts = ("unet", "text_encoder", "text_encoder_2")
    network = learnable(pipeline, *(part for part in parts if part in pipeline.components))
    adapter.attach(network)
    moved(network.eval())
    state = adapter.peft_state(network)
    write_diffusers_lora(run / "adapter", adapter.peft_config(network), state)
    return drawn(pipeline)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@pytest.mark.parametrize("rslora", [False, True])
def test_diffusers_draws_the_same_from_a_kohya_file(kind, rslora, tiny_pipelines, tmp_path):
    adapter = Lora(rank=4, alpha=6, rslora=rslora, targets=ATTENTION)
    live = written(tiny_pipelines[kind], adapter, tmp_path)
    path = tmp_path / "own" / "kohya.safetensors"
    assert main(["export", str(tmp_path), "--kohya", str(path)]) == 0
    pipeline = loaded(tiny_pipelines[kind])
    base = drawn(pipeline)
    pipeline.load_lora_weights(path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4
    assert np.abs(base - live).max() > 1e-2
    tensors = load_file(path)
    te = "lora_te1_" if kind == "sdxl" else "lora_te_"
    alpha = tensors[f"{te}text_model_encoder_layers_0_mlp_fc1.alpha"]
    assert float(alpha) == pytest.approx(12 if rslora else 6)


def test_what_cannot_be_written_is_refused(tiny_pipelines, tmp_path, capsys):
    path = tmp_path / "own.safetensors"
    assert main(["export", str(tmp_path), "--kohya", str(path)]) == 2
    assert "holds no readable pytorch_lora_weights.safetensors" in capsys.readouterr().err
    written(tiny_pipelines["sd"], Lora(rank=2, dora=True, targets=ATTENTION[:1]), tmp_path)
    assert main(["export", str(tmp_path), "--kohya", str(path)]) == 2
    assert "train without dora" in capsys.readouterr().err
    path.touch()
    assert main(["export", str(tmp_path), "--kohya", str(path)]) == 2
    assert "must be a new file" in capsys.readouterr().err
