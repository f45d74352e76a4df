"""Image encoders from a hub id or a local folder: how the metrics load them, and what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedModel

from hwlit.errors import UsageError
from hwlit.networks.hub import vetted, why_not
from hwlit.networks.loading import check_size, loading
from hwlit.networks.picture_preparation import check_preparation

BATCH = 32  # pictures or texts per call


class Encoder:
    """A frozen network in fp32 that turns pictures into unit features.

    Args:
        checkpoint: Its public name: what was asked for.
        location: A folder or a hub id.
        model: The class that loads it.
        types: The `model_type` of configs that may be loaded.
        device: Device of torch.

    Raises:
        UsageError: There is no such checkpoint, it is no such network, or has no safetensors.
        IntegrityError: Its weights are damaged.
    """

    def __init__(
        self, checkpoint: str, location: str, model: Any, types: tuple[str, ...], device: str
    ) -> None:
        self.checkpoint = checkpoint
        self.location = location
        self._device = device
        otherwise = "give a folder that holds model.safetensors, or a hub id that lies in the cache"
        folder, what = vetted(location, otherwise), f"the checkpoint {checkpoint!r}"
        with loading(what, lambda error: why_not(error, otherwise)):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if config.model_type not in types:
                raise UsageError(
                    f"{checkpoint!r} is a {config.model_type!r} network, and not one of "
                    f"{', '.join(types)}; give another checkpoint"
                )
            check_preparation(folder)
            empty: Any = AutoModel
            check_size(lambda: empty.from_config(config), folder, what)
            self.network: PreTrainedModel
            self.network, info = model.from_pretrained(
                location,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            # Not torchvision's, so that the same pixels arrive on every machine.
            self._prepare = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                location, backend="pil", trust_remote_code=False
            )
            self.pixels([Image.new("RGB", (40, 30))])  # some settings fail only here
        # A pooler is not used, and DINO's checkpoints have none.
        if missing := [k for k in sorted(info["missing_keys"]) if not k.startswith("pooler.")]:
            raise UsageError(
                f"the weights of {checkpoint!r} lack {len(missing)} tensors, such as {missing[0]}; "
                "give another checkpoint"
            )
        self.sha256 = weights_sha256(self.network)
        self.network.to(device).requires_grad_(False).train(False)  # type: ignore[arg-type]

    def facts(self) -> dict[str, Any]:
        """Return what the record says about the encoder."""
        kind = type(self.network).__name__
        return {"checkpoint": self.checkpoint, "sha256": self.sha256, "architecture": kind}

    def batches(self, items: Sequence[Any], features: Callable[[Sequence[Any]], Tensor]) -> Tensor:
        """Return unit features of all items; see `raw`."""
        return normalize(self.raw(items, features), dim=-1)

    def raw(self, items: Iterable[Any], features: Callable[[Sequence[Any]], Tensor]) -> Tensor:
        """Return features of all items, (items, d) on the CPU, computed batch by batch.

        Args:
            items: Pictures or texts, at least one; taken a batch at a time.
            features: Returns the features of a batch, (batch, d).

        Raises:
            UsageError: They are not finite.
        """
        found = []
        with torch.inference_mode():
            pending = iter(items)
            while some := list(islice(pending, BATCH)):
                found.append(features(some).float().cpu())
        joined = torch.cat(found).clone()
        if not bool(torch.isfinite(joined).all()):
            raise UsageError(
                f"the checkpoint {self.checkpoint!r} gives features that are not finite, so that "
                "nothing can be compared by it; give another"
            )
        return joined

    def pixels(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return pictures as the network takes them, (pictures, 3, h, w)."""
        images = [picture.convert("RGB") for picture in pictures]
        pixels: Tensor = self._prepare(images=images, return_tensors="pt").pixel_values
        return pixels.to(self._device)


def weights_sha256(network: nn.Module) -> str:
    """Return a hash over the names and values of a network's tensors, in the order of the names.

    Not over a file: of some models the hub converts the file to safetensors on the way.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
