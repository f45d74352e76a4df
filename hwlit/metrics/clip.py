"""CLIP: pictures and texts in one space, so that a picture can be compared with its prompt.

Source: Radford et al. 2021, https://arxiv.org/abs/2103.00020. Of the metrics of torchmetrics only
CLIPScore uses it, which scales, clips at 0 and cannot compare pictures with pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel

from hwlit.metrics.encoders import Encoder
from hwlit.networks.loading import loading
from hwlit.networks.pocket import pocket_clip_path


class Clip(Encoder):
    """Any CLIP checkpoint of transformers, frozen, in fp32.

    Args:
        checkpoint: `pocket-clip` for the offline one, a folder, or a hub id such as
            openai/clip-vit-base-patch32.
        device: Device of torch.

    Raises:
        UsageError: There is no such checkpoint, it is no CLIP, or has no safetensors.
        IntegrityError: Its weights are damaged.
    """

    network: CLIPModel

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        location = str(pocket_clip_path()) if checkpoint == "pocket-clip" else checkpoint
        super().__init__(checkpoint, location, CLIPModel, ("clip",), device)
        with loading(f"the tokenizer of {checkpoint!r}", lambda error: "give another checkpoint"):
            self._tokenizer = AutoTokenizer.from_pretrained(self.location, trust_remote_code=False)
        self._length = self.network.config.get_text_config().max_position_embeddings

    def images(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return unit features of pictures, (pictures, d)."""
        return self.batches(pictures, self._features)

    def features(self, pictures: Iterable[Image.Image]) -> Tensor:
        """Return features of pictures as the network gives them, of any length, (pictures, d).

        A batch of them is taken at a time, so that a thousand need not be in memory at once.
        """
        return self.raw(pictures, self._features)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features of texts, (texts, d); what is longer than CLIP reads is cut."""

        def features(some: Sequence[str]) -> Tensor:
            inputs = self._tokenizer(
                list(some),
                padding=True,
                truncation=True,
                max_length=self._length,
                return_tensors="pt",
            ).to(self._device)
            found: Tensor = self.network.get_text_features(
                inputs.input_ids, inputs.attention_mask
            ).pooler_output
            return found

        return self.batches(texts, features)

    def _features(self, pictures: Sequence[Image.Image]) -> Tensor:
        found: Tensor = self.network.get_image_features(self.pixels(pictures)).pooler_output
        return found

    def too_long(self, texts: Sequence[str]) -> list[str]:
        """Return the texts of which CLIP does not read the end."""
        lengths = [len(ids) for ids in self._tokenizer(list(texts), verbose=False).input_ids]
        return [t for t, length in zip(texts, lengths, strict=True) if length > self._length]
