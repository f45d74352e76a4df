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
from hwlit.data.random_size import distinct, randomly_sized

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
        prompts: Each picture's prompt.
        encoded: What is read of each distinct prompt and, where it was cached, of each picture;
            else rows have `pixels`.
        size: Side in pixels.
        crop: Where the square is cut: in the centre, or anywhere.
        flip: Whether half of the pictures are mirrored.
        cell: Pixels in a cell of the latents where the concept's pictures have random sizes, so
            that rows say in `valid` (1, cells, cells) which of them count; else None.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        num_instances: int,
        prompts: Sequence[str],
        encoded: Encoded,
        size: int,
        crop: Crop,
        flip: bool,
        cell: int | None = None,
    ) -> None:
        self.pictures, self.num_instances, self.prompts = pictures, num_instances, prompts
        self.encoded, self.size, self.crop, self.flip = encoded, size, crop, flip
        self.cell = cell
        self.numbers = {p: i for i, p in enumerate(distinct(prompts, cell is not None))}

    def __getitem__(self, ask: Ask) -> dict[str, Any]:
        latents, prefix = self.encoded.latents, ""
        row: dict[str, Any] = {"row_id": ask.row_id, "prior": ask.picture >= self.num_instances}
        if ask.level is not None:
            row["level"] = ask.level
        if latents is not None:
            row |= {name: values[ask.picture] for name, values in latents.items()}
        else:
            pixels, prefix = self._pixels(ask)
            row |= pixels
        prompt = self.numbers[prefix + self.prompts[ask.picture]]
        return row | {name: values[prompt] for name, values in self.encoded.said.items()}

    def _pixels(self, ask: Ask) -> tuple[dict[str, Any], str]:
        """Return what a row holds of a picture that was not encoded, and its prompt's prefix."""
        image, (place, flip) = self.pictures[ask.picture].load(), self._variation(ask.seed)
        prefix, valid = "", {}
        if self.cell is None or ask.seed is None or ask.picture >= self.num_instances:
            frame = framed(image, self.size, place, flip)
            if self.cell is not None:
                valid["valid"] = torch.ones(1, *[self.size // self.cell] * 2)
        else:
            sized = randomly_sized(image, self.size, self.cell, ask.seed, flip)
            frame, prefix, valid["valid"] = sized.frame, sized.prefix, sized.valid
        sizes = torch.tensor(frame.time_ids, dtype=torch.float32)
        return {"pixels": frame.pixels, "time_ids": sizes, **valid}, prefix

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
