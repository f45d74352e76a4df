"""Class pictures: what the frozen base draws for the class, so that learning keeps the class.

Source: the prior preservation of DreamBooth, Ruiz et al. 2022, https://arxiv.org/abs/2208.12242,
section 3.3. Each picture is named by its number and the SHA-1 of its content, and drawn with its
number as the seed. A batch rounds otherwise than a picture alone does, so that a picture is always
drawn with the same neighbours: a set that is not whole is completed to what it would have been, on
the machine that began it.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import re
from collections import Counter
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
from hwlit.data.picture_folder import list_folder
from hwlit.data.pictures import MOST_BYTES, Corrupt, Picture, Pictures, decode, read_folder
from hwlit.data.tokens import PROGRESS_DELAY_S
from hwlit.errors import IntegrityError, Interrupted, UsageError
from hwlit.networks.diffusion import load_pipeline
from hwlit.networks.picture_flaws import flaw_of, is_blank
from hwlit.networks.pipelines import pipeline_folder, weights_sha256
from hwlit.networks.sampling import draw
from hwlit.plain_text import say
from hwlit.storage import cache_directory, replacing, sha256

SCHEMA = 1
FLAG = "--data.class_images_path"
SAID = ("prompt", "steps", "guidance")  # in the text chunks of a picture
OURS = re.compile(r"(\d+)-([0-9a-f]{40})\.(?:png|jpg)")
# Pictures of numbers 0 to 3, 4 to 7 and so on, whichever of them are missing. By several one sees
# that a broken pipeline draws the same whatever the seed.
DRAWN_AT_ONCE = 4
BLANK_BYTES = 1 << 18, 1  # that a picture of one colour takes at most: at all, and a pixel


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
        given: A folder of the user's, whose pictures come first. It is only read: what is missing
            is drawn into the cache.
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
        """Where those lie that were drawn: in the cache, by all that decides what is drawn."""
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

        Pictures of one colour or that are all equal are neither kept nor used: they are what a
        pipeline that is broken draws. Those that an earlier version kept are drawn anew, and so
        are copies of others.

        Raises:
            DataError: A picture or caption of the user's cannot be read.
            UsageError: The pipeline draws pictures of one colour or equal ones, or numbers that
                are not finite.
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
        given = Pictures(()) if self.given is None else self._theirs(self.given)
        if not (numbers := self._numbers(given.found)):
            return replace(given, found=given.found[: self.count])
        drawn = {
            _number(picture.name): picture
            for picture in read_folder(self.folder, "error", FLAG).found
        }
        return replace(given, found=(*given.found, *(drawn[number] for number in numbers)))

    def _numbers(self, theirs: Sequence[Picture]) -> list[int]:
        """Return the numbers of those beside the user's, among which older ones of ours may be."""
        taken = {_number(picture.name) for picture in theirs}
        wanted = max(self.count - len(theirs), 0)
        return [number for number in range(self.count) if number not in taken][:wanted]

    def _theirs(self, folder: Path) -> Pictures:
        """Return the pictures of the user's folder, by name; none where it holds none.

        Raises:
            DataError: It cannot be read, or only folders in it hold pictures.
        """
        listing = list_folder(folder, FLAG)
        if not (listing.pictures or listing.below):
            return Pictures((), listing=listing)
        return read_folder(folder, self.corrupt, FLAG)

    def prompts(self, pictures: Sequence[Picture]) -> list[str]:
        """Return what is said of each picture: a caption of the user's, or else the prompt."""
        names = [picture.name for picture in pictures]
        theirs = [name for name in names if not OURS.fullmatch(name)]
        captions = {} if self.given is None else read_captions(self.given, theirs)
        return [captions.get(name, self.prompt) for name in names]

    def facts(self, pictures: Sequence[Picture], drawn: int) -> dict[str, Any]:
        """Return what the record says of the set, plain data.

        Args:
            pictures: The set.
            drawn: How many of them were drawn in this run.
        """
        drawn_ever = sum(self._is_drawn(picture) for picture in pictures)
        return {
            "pictures": self.count,
            "drawn_in_this_run": drawn,
            "given": len(pictures) - drawn_ever,
            "folder": str(self.given or self.folder),
            "steps": self.steps if drawn_ever else None,
            "guidance": self.guidance if drawn_ever else None,
        }

    def remarks(self, left_out: Mapping[str, str]) -> list[str]:
        """Return what a user should know of the set, a sentence each.

        Args:
            left_out: Why pictures of the folder are not in it, by name.
        """
        return [f"left out of the class pictures: {why}" for why in left_out.values()]

    def _is_drawn(self, picture: Picture) -> bool:
        return isinstance(picture.content, Path) and picture.content.parent == self.folder

    @property
    def _how(self) -> dict[str, str]:
        """What a picture says of how it was drawn."""
        said = self.prompt, self.steps, float(self.guidance)
        return dict(zip(SAID, map(str, said), strict=True))

    def _missing(self) -> list[int]:
        """Return the numbers to draw."""
        theirs: tuple[Picture, ...] = ()
        if self.given is not None:
            theirs = self._theirs(self.given).found
            read_captions(self.given, [picture.name for picture in theirs])
        numbers = self._numbers(theirs)
        if not numbers or not self.folder.is_dir():
            return numbers
        kept: dict[Path, str] = {}
        for file in list_folder(self.folder, FLAG).pictures:
            if match := OURS.fullmatch(file.name):
                content = read_bytes(file, MOST_BYTES, "a picture")
                kept[file] = hashlib.sha1(content, usedforsecurity=False).hexdigest()
                if kept[file] != match[2]:
                    raise IntegrityError(
                        f"the class picture {file} is damaged; remove it, and it is drawn again"
                    )
        broken = self._broken(kept)
        if broken:
            say(
                f"hwlit: {len(broken)} class pictures in {self.folder} were of one colour or equal "
                "to others, as a broken pipeline draws them; they are drawn anew",
                error=True,
            )
            for file in broken:
                file.unlink()
        present = {_number(file.name) for file in kept if file not in broken}
        return [number for number in numbers if number not in present]

    def _broken(self, kept: Mapping[Path, str]) -> list[Path]:
        """Return which files that were kept no sound pipeline drew.

        Args:
            kept: The files, and the digest of each.
        """
        often = Counter(kept.values())  # a copy may stand for another number, whose seed it is not
        broken = [
            file for file, digest in kept.items() if often[digest] > 1 or self._is_blank(file)
        ]
        rest = [file for file in kept if file not in broken]
        return [*broken, *rest] if flaw_of(map(_decoded, rest)) else broken

    def _is_blank(self, file: Path) -> bool:
        """Return whether a picture is of one colour; what is large is none, and not decoded."""
        at_all, a_pixel = BLANK_BYTES
        if file.stat().st_size > max(at_all, a_pixel * self.size**2):
            return False
        return is_blank(_decoded(file))

    def _draw(self, numbers: list[int], device: torch.device | str) -> None:
        pipeline = load_pipeline(self.pretrained, self.dtype, device)
        with tqdm(
            total=len(numbers), desc="class pictures", unit=" pictures", delay=PROGRESS_DELAY_S
        ) as bar:
            for first in sorted({n - n % DRAWN_AT_ONCE for n in numbers}):
                seeds = range(first, first + DRAWN_AT_ONCE)
                drawn = draw(
                    pipeline,
                    [self.prompt] * len(seeds),
                    seeds,
                    steps=self.steps,
                    guidance=self.guidance,
                    size=self.size,
                    learned=False,
                )
                self._refuse_broken(drawn)
                missing = [
                    (n, picture) for n, picture in zip(seeds, drawn, strict=True) if n in numbers
                ]
                for number, picture in missing:
                    self._save(number, picture)
                bar.update(len(missing))
        del pipeline
        gc.collect()  # its modules refer to one another
        torch.cuda.empty_cache()

    def _refuse_broken(self, drawn: Sequence[Image.Image]) -> None:
        flaw = "are of one colour" if any(map(is_blank, drawn)) else flaw_of(drawn)
        if flaw:
            raise UsageError(
                f"of the class pictures that {self.pretrained} draws for {self.prompt!r} some "
                f"{flaw}, which would be trained on; give another pipeline by --model.pretrained, "
                f"or pictures of the class by {FLAG}"
            )

    def _save(self, number: int, picture: Image.Image) -> None:
        content, chunks = io.BytesIO(), PngInfo()
        for key, value in {**self._how, "seed": str(number)}.items():
            chunks.add_itxt(key, value)
        picture.save(content, "png", pnginfo=chunks)
        name = f"{number}-{hashlib.sha1(content.getvalue(), usedforsecurity=False).hexdigest()}.png"
        with replacing(self.folder / name) as file:
            file.write(content.getvalue())


def _decoded(file: Path) -> Image.Image:
    return decode(read_bytes(file, MOST_BYTES, "a picture"), file.name)


def _number(name: str) -> int | None:
    """Return the number of a picture that hwlit drew; None of another."""
    ours = OURS.fullmatch(name)
    return int(ours[1]) if ours else None
