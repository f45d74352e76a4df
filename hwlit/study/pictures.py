"""The pictures that methods drew, prompt by prompt, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hwlit.run_directory import check_plain, check_plain_file
from hwlit.study.collect import Run
from hwlit.study.methods import Method

SIDE = 256  # pixels; larger pictures are scaled down
PER_CELL = 2  # pictures of one prompt by one method
PROMPTS = 16
MOST_PIXELS = 64_000_000  # no pipeline draws more; told from the header, before it is unpacked


@dataclass(frozen=True)
class Picture:
    """One picture as a page embeds it: data URI, and what a reader without eyes is told."""

    uri: str
    alt: str


@dataclass(frozen=True)
class PictureGrid:
    """Prompts by methods.

    Args:
        columns: Labels, the untuned model first.
        rows: A prompt and its pictures by column.
    """

    columns: list[str]
    rows: list[tuple[str, list[list[Picture]]]]


def picture_grid(methods: Sequence[Method]) -> PictureGrid | None:
    """Return the pictures of each method's first run; None where no method drew.

    Raises:
        IntegrityError: A run's samples are, or hold, a link.
    """
    columns: dict[str, dict[str, list[Picture]]] = {}
    for method in methods:
        run = method.runs[0]
        own = _by_prompt(run, "test")
        if own:
            columns.setdefault("untuned model", {}).update(_by_prompt(run, "base"))
            columns[method.label] = own
    if not columns:
        return None
    if not columns["untuned model"]:
        del columns["untuned model"]
    prompts = list(dict.fromkeys(prompt for column in columns.values() for prompt in column))
    rows = [
        (prompt, [column.get(prompt, []) for column in columns.values()])
        for prompt in prompts[:PROMPTS]
    ]
    return PictureGrid(list(columns), rows)


def _by_prompt(run: Run, stem: str) -> dict[str, list[Picture]]:
    """Return the pictures of a run by prompt, with the run's own word for the concept left out."""
    found: dict[str, list[Picture]] = {}
    identifier = run.record.data.identifier
    for path in _files(run, stem):
        try:
            with Image.open(path, formats=("PNG",)) as picture:  # no other is written
                if picture.width * picture.height > MOST_PIXELS:
                    continue
                prompt = str(picture.info.get("prompt", path.stem))
                common = prompt.replace(identifier, "[concept]") if identifier else prompt
                if len(found.setdefault(common, [])) < PER_CELL:
                    alt = f"{prompt}, seed {picture.info.get('seed', '?')}"
                    found[common].append(Picture(_embedded(picture), alt))
        except Exception:  # of decoders, with no common base
            continue  # damaged, or no picture: the cell stays empty
    return {prompt: pictures for prompt, pictures in found.items() if pictures}


def _files(run: Run, stem: str) -> Iterator[Path]:
    """Yield the pictures that a run drew; never another's that it links to."""
    if run.folder is not None:
        check_plain_file(run.folder / "samples")
        check_plain(run.folder / "samples")
        yield from sorted((run.folder / "samples").glob(f"{stem}-[0-9]*.png"))


def _embedded(picture: Image.Image) -> str:
    """Return a data URI: PNG as it is where it is small, else scaled down to JPEG."""
    small = picture.convert("RGB")
    kind = "PNG" if max(small.size) <= SIDE else "JPEG"
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
