"""Class pictures: what the frozen base draws for the class, so that learning keeps the class.

Source: the prior preservation of DreamBooth, Ruiz et al. 2022, https://arxiv.org/abs/2208.12242,
section 3.3. Each picture is named by its number and the SHA-1 of its content, and drawn with its
number as the seed: an interrupted set is completed to what it would have been.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tqdm.auto import tqdm

from hwlit.data.captions import read_captions
from hwlit.data.files import read_bytes
from hwlit.data.pictures import (
    FORMATS,
    MOST_BYTES,
    Corrupt,
    Picture,
    Pictures,
    list_folder,
    read_each,
    read_folder,
)
from hwlit.data.tokens import PROGRESS_DELAY_S
from hwlit.errors import IntegrityError, Interrupted
from hwlit.networks.diffusion import load_pipeline
from hwlit.networks.pipelines import pipeline_folder, weights_sha256
from hwlit.networks.sampling import draw
from hwlit.storage import cache_directory, replacing, sha256

SCHEMA = 1
FLAG = "--data.class_images_path"
SAID = ("prompt", "steps", "guidance")  # in the text chunks of a picture
OURS = re.compile(r"(\d+)-([0-9a-f]{40})\.(?:png|jpg)")
DRAWN_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class ClassImages:
    """A set of class pictures, and how those that are missing are drawn.

    Args:
        pretrained: The pipeline that draws them.
        prompt: What it draws.
        count: How many there are to be.
        steps: Denoising steps.
        guidance: Guidance scale.
        size: Side in pixels.
        dtype: Precision of the pipeline.
        corrupt: What to do with a picture of the user's that cannot be read.
        given: A folder of the user's, whose pictures count, whatever their names; None takes one
            in the cache, named by all of the above.
    """

    pretrained: str
    prompt: str
    count: int
    steps: int
    guidance: float
    size: int
    dtype: torch.dtype
    corrupt: Corrupt = "error"
    given: Path | None = None

    @property
    def folder(self) -> Path:
        """Where they lie."""
        if self.given is not None:
            return self.given
        sampler = pipeline_folder(self.pretrained) / "scheduler" / "scheduler_config.json"
        settings = [
            SCHEMA,
            weights_sha256(self.pretrained),
            sha256(sampler),
            *(self.prompt, self.steps, self.guidance, self.size, str(self.dtype)),
        ]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        return cache_directory() / "class_images" / key

    def complete(self, device: torch.device | str) -> int:
        """Draw what is missing, one process at a time; return how many were drawn.

        Raises:
            DataError: A picture or caption of the user's cannot be read.
            IntegrityError: A picture that was drawn before is damaged.
            ResourceError: The folder cannot be written.
        """
        folder = self.folder.absolute()
        locks = cache_directory() / "class_images"
        locks.mkdir(parents=True, exist_ok=True)
        # Beside no pictures: the folder may be the user's.
        with FileLock(locks / f"{hashlib.sha256(str(folder).encode()).hexdigest()}.lock"):
            missing = self._missing()
            if missing:
                try:
                    self._draw(missing, device)
                except Interrupted as error:
                    error.add_note(f"the class pictures that were drawn are kept in {folder}")
                    raise
        return len(missing)

    def pictures(self) -> Pictures:
        """Return the set, as many as were asked for: the user's by name, then ours by number."""
        read = read_folder(self.folder, self.corrupt, FLAG)
        found = {picture.name: picture for picture in read.found}
        names = sorted(found, key=_order)[: self.count]
        return replace(read, found=tuple(found[name] for name in names))

    def prompts(self, pictures: Sequence[Picture]) -> list[str]:
        """Return what is said of each picture: a caption of the user's, or else the prompt."""
        names = [picture.name for picture in pictures]
        captions = {} if self.given is None else read_captions(self.given, names)
        return [captions.get(name, self.prompt) for name in names]

    def facts(self, pictures: Sequence[Picture], drawn: int) -> dict[str, Any]:
        """Return what the record says of the set, plain data.

        Args:
            pictures: The set.
            drawn: How many of them were drawn in this run.
        """
        ours = [picture for picture in pictures if OURS.fullmatch(picture.name)]
        as_asked = self.given is None or any(_said(picture) == self._how for picture in ours)
        return {
            "pictures": self.count,
            "drawn_in_this_run": drawn,
            "given": len(pictures) - len(ours),
            "folder": str(self.folder),
            "steps": self.steps if as_asked else None,
            "guidance": self.guidance if as_asked else None,
        }

    def remarks(self, pictures: Sequence[Picture], left_out: Mapping[str, str]) -> list[str]:
        """Return what a user should know of the set, a sentence each.

        Args:
            pictures: The set.
            left_out: Why pictures of the folder are not in it, by name.
        """
        told = [f"left out of the class pictures: {why}" for why in left_out.values()]
        if self.given is None:  # a folder for these very settings
            return told
        others = [p for p in pictures if OURS.fullmatch(p.name) and _said(p) != self._how]
        if others:
            told.append(
                f"{len(others)} of {len(pictures)} class pictures, such as {others[0].name}, were "
                f"drawn with {_listed(_said(others[0]))}, not with {_listed(self._how)}; remove "
                f"them from {self.folder}, and they are drawn anew"
            )
        return told

    @property
    def _how(self) -> dict[str, str]:
        """What a picture says of how it was drawn."""
        said = self.prompt, self.steps, float(self.guidance)
        return dict(zip(SAID, map(str, said), strict=True))

    def _missing(self) -> list[int]:
        """Return the numbers to draw."""
        if not self.folder.is_dir():
            return list(range(self.count))
        files, _ = list_folder(self.folder, FLAG)
        ours = {file: match for file in files if (match := OURS.fullmatch(file.name))}
        for file, match in ours.items():
            content = read_bytes(file, MOST_BYTES, "a picture")
            if hashlib.sha1(content, usedforsecurity=False).hexdigest() != match[2]:
                raise IntegrityError(
                    f"the class picture {file} is damaged; remove it, and it is drawn again"
                )
        others = [(file.name, file) for file in files if file not in ours]
        theirs, _ = read_each(others, self.corrupt, str(self.folder))
        read_captions(self.folder, [picture.name for picture in theirs])
        wanted = self.count - len(theirs)
        present = {int(match[1]) for match in ours.values()}
        return [number for number in range(max(wanted, 0)) if number not in present]

    def _draw(self, numbers: list[int], device: torch.device | str) -> None:
        pipeline = load_pipeline(self.pretrained, self.dtype, device)
        with tqdm(
            total=len(numbers), desc="class pictures", unit=" pictures", delay=PROGRESS_DELAY_S
        ) as bar:
            for start in range(0, len(numbers), DRAWN_AT_ONCE):
                some = numbers[start : start + DRAWN_AT_ONCE]
                drawn = draw(
                    pipeline,
                    [self.prompt] * len(some),
                    some,
                    steps=self.steps,
                    guidance=self.guidance,
                    size=self.size,
                )
                for number, picture in zip(some, drawn, strict=True):
                    self._save(number, picture)
                bar.update(len(some))
        del pipeline
        gc.collect()  # its modules refer to one another
        torch.cuda.empty_cache()

    def _save(self, number: int, picture: Image.Image) -> None:
        content, chunks = io.BytesIO(), PngInfo()
        for key, value in {**self._how, "seed": str(number)}.items():
            chunks.add_itxt(key, value)
        picture.save(content, "png", pnginfo=chunks)
        name = f"{number}-{hashlib.sha1(content.getvalue(), usedforsecurity=False).hexdigest()}.png"
        with replacing(self.folder / name) as file:
            file.write(content.getvalue())


def _order(name: str) -> tuple[bool, int, str]:
    ours = OURS.fullmatch(name)
    return bool(ours), int(ours[1]) if ours else 0, name


def _said(picture: Picture) -> dict[str, str]:
    """Return what a picture of ours says of how it was drawn; older ones say nothing."""
    assert isinstance(picture.content, Path)
    with Image.open(picture.content, formats=FORMATS) as image:
        return {name: str(image.info[name]) for name in SAID if name in image.info}


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in said.items()) or "settings unknown"
