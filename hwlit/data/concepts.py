"""The pictures of a concept with their captions, from a folder or from the hub."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hwlit.data.arguments import folder_of
from hwlit.data.captions import Captions, find_captions, known_captions
from hwlit.data.hub import NAME, read_images
from hwlit.data.picture_folder import ENDINGS
from hwlit.data.picture_remarks import remarks_on_pictures
from hwlit.data.pictures import Corrupt, Picture, Pictures, read_all, read_folder
from hwlit.errors import DataError
from hwlit.networks.pocket import concepts

FILE_ENDINGS = (*ENDINGS, ".csv", ".json", ".jsonl", ".parquet", ".tar", ".txt", ".zip")


@dataclass(frozen=True)
class Concept:
    """What was read of a concept.

    Args:
        found: The pictures, and what was left out.
        said: The captions.
        revision: The commit of a set from the hub, as far as it is known.
    """

    found: Pictures
    said: Captions = field(default_factory=Captions)
    revision: str | None = None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures, by name."""
        return self.found.found

    @property
    def captions(self) -> dict[str, str]:
        """Captions by the picture's name, where a picture has one."""
        return self.said.texts

    def prompts(self, usual: str) -> list[str]:
        """Return each picture's caption, or else the usual prompt."""
        return [self.captions.get(picture.name, usual) for picture in self.pictures]

    def remarks(self, size: int) -> list[str]:
        """Return what a user should know of the pictures, a sentence each.

        Args:
            size: The side that they are scaled to, in pixels.
        """
        return remarks_on(self.found, self.said, size)


def read_concept(path: str, subject: str | None, corrupt: Corrupt) -> Concept:
    """Read a concept's pictures and captions.

    Args:
        path: A folder, a concept that comes with hwlit, or a hub data set, "owner/name".
        subject: The configuration of a hub data set; None where it has one alone.
        corrupt: Whether a picture that cannot be read is left out or ends the run.

    Raises:
        DataError: There is no picture, or one cannot be read, or a caption is not as it should be.
        UsageError: The path names a user that is not there.
    """
    folder = folder_of(path, "--data.path")
    if not folder.exists():
        folder = concepts().get(path, folder)
    if folder.is_dir():
        found = read_folder(folder, corrupt)
        return Concept(found, find_captions(folder, [picture.name for picture in found.found]))
    # Nothing that looks like a path here is asked of the hub.
    here = os.path.lexists(folder) or folder.suffix.lower() in FILE_ENDINGS
    if here or folder.parent.is_dir() or not NAME.fullmatch(path):
        raise DataError(
            f"{path} is no folder; give that of the concept's pictures, a hub set such as "
            f"google/dreambooth, or one of {', '.join(concepts())}, by --data.path"
        )
    images = read_images(path, subject)
    found = Pictures(*read_all(images.contents, corrupt, path))
    names = [picture.name for picture in found.found]
    return Concept(found, known_captions(images.captions, names), images.revision)


def remarks_on(found: Pictures, said: Captions, size: int) -> list[str]:
    """Return what a user should know of pictures and their captions, a sentence each.

    Args:
        found: The pictures, and what else lies beside them.
        said: Their captions.
        size: The side that they are scaled to, in pixels.
    """
    return [
        *(f"left out: {why}" for why in found.skipped.values()),
        *found.listing.remarks(said.files),
        *said.remarks,
        *remarks_on_pictures(found.found, size),
    ]


def summarise_concept(
    concept: Concept, classes: Sequence[Picture], prompts: Sequence[str], size: int
) -> dict[str, Any]:
    """Return what was read, as plain JSON.

    Args:
        concept: The concept.
        classes: The class pictures.
        prompts: What training says of the pictures.
        size: The side that they are scaled to, in pixels.
    """
    of_classes = [picture.sha256 for picture in classes]
    of_concept = [picture.sha256 for picture in concept.pictures]
    return {
        "revision": concept.revision,
        "fingerprint": _digest([*of_concept, *of_classes, *prompts, str(size)]),
        "pictures": {
            p.name: {"width": p.width, "height": p.height, "sha256": p.sha256}
            for p in concept.pictures
        },
        "skipped": concept.found.skipped,
        "other_files": concept.found.listing.others,
        "captions": concept.captions,
        "resolution": size,
        "class_pictures_sha256": _digest(of_classes) if classes else None,
    }


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
