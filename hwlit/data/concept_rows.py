"""The rows of a concept's pictures: which picture, how it is cropped, what the task reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from hwlit.data.encoding import Encoded
from hwlit.data.framing import CENTER, framed
from hwlit.data.pictures import Picture

Crop = Literal["center", "random"]


@dataclass(frozen=True)
class Ask:
    """A row to be made.

    Args:
        picture: The picture's number.
        row_id: The row's number among those of its part.
        seed: Decides crop and flip where these are random; None takes the centre, unflipped.
        level: For validation: the noise level as a share of all, from 0 to below 1.
    """

    picture: int
    row_id: int
    seed: int | None = None
    level: float | None = None


class ConceptRows(Dataset[dict[str, Any]]):
    """Rows as the task reads them, made on demand.

    Args:
        pictures: The concept's pictures, then those of the class.
        num_instances: How many of them show the concept.
        prompts: The number of each picture's prompt.
        encoded: What is read of each prompt and, where it was cached, of each picture; else rows
            have `pixels`.
        size: Side in pixels.
        crop: Where the square is cut: in the centre, or anywhere.
        flip: Whether half of the pictures are mirrored.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        num_instances: int,
        prompts: Sequence[int],
        encoded: Encoded,
        size: int,
        crop: Crop,
        flip: bool,
    ) -> None:
        self.pictures, self.num_instances, self.prompts = pictures, num_instances, prompts
        self.encoded, self.size, self.crop, self.flip = encoded, size, crop, flip

    def __getitem__(self, ask: Ask) -> dict[str, Any]:
        prompt, latents = self.prompts[ask.picture], self.encoded.latents
        row: dict[str, Any] = {name: values[prompt] for name, values in self.encoded.said.items()}
        row |= {"row_id": ask.row_id, "prior": ask.picture >= self.num_instances}
        if ask.level is not None:
            row["level"] = ask.level
        if latents is not None:
            return row | {name: values[ask.picture] for name, values in latents.items()}
        frame = framed(self.pictures[ask.picture].load(), self.size, *self._variation(ask.seed))
        time_ids = torch.tensor(frame.time_ids, dtype=torch.float32)
        return row | {"pixels": frame.pixels, "time_ids": time_ids}

    def _variation(self, seed: int | None) -> tuple[tuple[float, float], bool]:
        if seed is None:
            return CENTER, False
        drawn = np.random.default_rng(seed).random(3).tolist()
        place = (drawn[0], drawn[1]) if self.crop == "random" else CENTER
        return place, self.flip and drawn[2] < 0.5


def validation_rows(pictures: int, levels: int) -> list[Ask]:
    """Return each picture at each noise level, in the middles of equal parts of all levels."""
    return [
        Ask(picture, picture * levels + k, level=(k + 0.5) / levels)
        for picture in range(pictures)
        for k in range(levels)
    ]


def test_rows(
    concept: Sequence[str], unrelated: Sequence[str], images_per_prompt: int
) -> list[dict[str, Any]]:
    """Return row_id, prompt, seed and kind of every picture to draw; see `ConceptImages`."""
    prompts = [(prompt, "concept") for prompt in concept]
    prompts += [(prompt, "unrelated") for prompt in unrelated]
    each = [pair for pair in prompts for _ in range(images_per_prompt)]
    return [
        {"row_id": row, "prompt": prompt, "seed": row, "kind": kind}
        for row, (prompt, kind) in enumerate(each)
    ]
