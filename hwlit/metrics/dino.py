"""DINO: features of pictures that tell one subject from another of its kind.

CLIP was trained to match captions, so two dogs are nearly one to it; DINO learned from pictures
alone to tell each from every other.
Source: Caron et al. 2021, https://arxiv.org/abs/2104.14294; Oquab et al. 2023 (DINOv2),
https://arxiv.org/abs/2304.07193.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor
from transformers import AutoModel

from hwlit.metrics.encoders import Encoder

TYPES = ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")


class Dino(Encoder):
    """A vision transformer trained by DINO, frozen, in fp32.

    Args:
        checkpoint: A folder, or a hub id such as facebook/dino-vits16 (that of the DreamBooth
            paper) or facebook/dinov2-base.
        device: Device of torch.

    Raises:
        UsageError: There is no such checkpoint, it is no vision transformer, or has no safetensors.
        IntegrityError: Its weights are damaged.
    """

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        super().__init__(checkpoint, checkpoint, AutoModel, TYPES, device)

    def images(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return unit features of pictures, (pictures, d): the embedding of the class token."""
        return self.batches(
            pictures, lambda some: self.network(self.pixels(some)).last_hidden_state[:, 0]
        )
