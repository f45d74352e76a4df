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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from PIL import Image
from tqdm.auto import tqdm

from hwlit.data.captions import read_captions
from hwlit.data.pictures import ENDINGS, Picture, read_folder
from hwlit.data.tokens import PROGRESS_DELAY_S
from hwlit.errors import IntegrityError
from hwlit.networks.diffusion import load_pipeline
from hwlit.networks.pipelines import pipeline_facts, pipeline_folder
from hwlit.networks.sampling import draw
from hwlit.storage import cache_directory, replacing, sha256

SCHEMA = 1
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
    given: Path | None = None

    @property
    def folder(self) -> Path:
        """Where they lie."""
        if self.given is not None:
            return self.given
        sampler = pipeline_folder(self.pretrained) / "scheduler" / "scheduler_config.json"
        settings = [
            SCHEMA,
            pipeline_facts(self.pretrained)["sha256"],
            sha256(sampler),
            *(self.prompt, self.steps, self.guidance, self.size, str(self.dtype)),
        ]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        return cache_directory() / "class_images" / key

    def complete(self, device: torch.device | str) -> int:
        """Draw what is missing, one process at a time; return how many were drawn.

        Raises:
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
                self._draw(missing, device)
        return len(missing)

    def pictures(self) -> tuple[Picture, ...]:
        """Return the set, as many as were asked for: the user's by name, then ours by number."""
        found = {picture.name: picture for picture in read_folder(self.folder, "error").found}
        return tuple(found[name] for name in sorted(found, key=_order)[: self.count])

    def prompts(self) -> list[str]:
        """Return what is said of each picture: a caption of the user's, or else the prompt."""
        names = [picture.name for picture in self.pictures()]
        captions = {} if self.given is None else read_captions(self.given, names)
        return [captions.get(name, self.prompt) for name in names]

    def facts(self, drawn: int) -> dict[str, Any]:
        """Return what the record says of the set, plain data.

        Args:
            drawn: How many of them were drawn in this run.
        """
        return {
            "pictures": self.count,
            "drawn_in_this_run": drawn,
            "folder": str(self.folder),
            "steps": self.steps,
            "guidance": self.guidance,
        }

    def _missing(self) -> list[int]:
        """Return the numbers to draw."""
        if not self.folder.is_dir():
            return list(range(self.count))
        files = [f for f in self.folder.iterdir() if f.suffix.lower() in ENDINGS and f.is_file()]
        ours = {file: match for file in files if (match := OURS.fullmatch(file.name))}
        for file, match in ours.items():
            with file.open("rb") as content:
                if hashlib.file_digest(content, "sha1").hexdigest() != match[2]:
                    raise IntegrityError(
                        f"the class picture {file} is damaged; remove it, and it is drawn again"
                    )
        wanted = self.count - (len(files) - len(ours))
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
        content = io.BytesIO()
        picture.save(content, "png")
        name = f"{number}-{hashlib.sha1(content.getvalue(), usedforsecurity=False).hexdigest()}.png"
        with replacing(self.folder / name) as file:
            file.write(content.getvalue())


def _order(name: str) -> tuple[bool, int, str]:
    ours = OURS.fullmatch(name)
    return bool(ours), int(ours[1]) if ours else 0, name
