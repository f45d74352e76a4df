"""The class token of vision transformers made from configs."""

import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTImageProcessorPil, ViTModel

from hwlit.errors import UsageError
from hwlit.metrics.dino import Dino
from tests.drawing import save_tiny_clip

SHAPE = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "image_size": 16, "patch_size": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: ViTModel(ViTConfig(**SHAPE), add_pooling_layer=False),  # as DINO's checkpoints
        lambda: Dinov2Model(Dinov2Config(**SHAPE)),
    ],
    ids=["dino", "dinov2"],
)
def test_features_are_the_class_token(make, tmp_path):
    model = make().eval()
    model.save_pretrained(tmp_path)
    prepare = ViTImageProcessorPil(size={"height": 16, "width": 16})
    prepare.save_pretrained(tmp_path)
    pictures = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    with torch.no_grad():
        stock = model(**prepare(pictures, return_tensors="pt")).last_hidden_state[:, 0]
    found = Dino(str(tmp_path)).images(pictures)
    assert torch.allclose(found, normalize(stock, dim=-1), atol=1e-6)


def test_clip_is_no_dino(tmp_path):
    with pytest.raises(UsageError, match="is a 'clip' network, and not one of vit, dinov2"):
        Dino(str(save_tiny_clip(tmp_path)))
