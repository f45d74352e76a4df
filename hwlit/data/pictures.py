"""Pictures from files: whatever the camera or the web made of them, upright RGB of 8 bits."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hwlit.data.files import read_bytes
from hwlit.errors import DataError

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Pictures too, which few decoders read.
CONVERTED_FIRST = (
    ".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".orf", ".raf",
    ".raw", ".rw2",
)  # fmt: skip
# What may lie in a file, whatever its name ends in. Pillow knows many more, and starts Ghostscript
# for one of them; those of cameras and of the web are enough. JPEG includes the MPO of phones.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# Medium format cameras have 102 million; each takes up to 20 bytes of memory while it is converted.
MOST_PIXELS = 128_000_000
MOST_BYTES = 1 << 30  # of a file: more than MOST_PIXELS of three channels, 16 bits, uncompressed
MOST_PICTURES = 10_000  # of a folder; each is read whole to see that it can be
WHITE = (255, 255, 255, 255)
# Of anything smaller or longer next to nothing is left in a square.
SMALLEST_SIDE, LONGEST_ASPECT = 8, 20
# Modes of one channel with more than 8 bits, as Pillow names them.
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")

Corrupt = Literal["skip", "error"]


@dataclass(frozen=True)
class Picture:
    """A picture that was read whole once.

    Args:
        name: What to call it: the file's name.
        content: Where it lies, or its bytes where it is no file.
        width: Pixels, upright.
        height: Pixels, upright.
        sha256: Of its bytes.
    """

    name: str
    content: Path | bytes
    width: int
    height: int
    sha256: str

    def load(self) -> Image.Image:
        """Return it in mode RGB, upright.

        Raises:
            DataError: It cannot be read any more.
        """
        return decode(_bytes(self.content, self.name), self.name)


@dataclass(frozen=True)
class Pictures:
    """What was found at a place.

    Args:
        found: The pictures, by name.
        skipped: Why a picture was left out, by name.
        others: How many files are no pictures, by their ending.
    """

    found: tuple[Picture, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    def remarks(self) -> list[str]:
        """Return which pictures were left out, a sentence each."""
        told = [f"left out: {why}" for why in self.skipped.values()]
        if unread := {kind: n for kind, n in self.others.items() if kind in CONVERTED_FIRST}:
            listed = ", ".join(f"{count} of {kind}" for kind, count in unread.items())
            told.append(
                f"left out: {listed}, which hwlit does not read; convert them to png or jpg"
            )
        return told


def decode(content: bytes, name: str) -> Image.Image:
    """Return a picture in mode RGB with 8 bits, upright; of an animation the first frame.

    What is transparent becomes white; deeper grey keeps its upper 8 bits; CMYK is converted as
    Pillow does, without a colour profile.

    Args:
        content: The file's bytes.
        name: What to call it in an error.

    Raises:
        DataError: It cannot be decoded, is of another format than `FORMATS`, or has more pixels
            than `MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            # Ours is the lower limit, and is told below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module=r"PIL\b.*", category=UserWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                # Told from the header, before anything is unpacked.
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                ImageOps.exif_transpose(image, in_place=True)
                return _rgb(image)
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} has more than {MOST_PIXELS:,} pixels ({str(error).partition(' exceeds')[0]}), "
            "as a decompression bomb has; make it smaller or remove it"
        ) from error
    except Exception as error:  # of many decoders, with no common base
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"no picture of a known format ({', '.join(FORMATS)})"
        raise DataError(f"{name} cannot be read ({reason}); replace or remove it") from error


def read_folder(folder: Path, corrupt: Corrupt, flag: str = "--data.path") -> Pictures:
    """Read the pictures that lie in a folder, not those in folders below.

    Args:
        folder: The folder.
        corrupt: Whether a picture that cannot be read is left out or ends the run.
        flag: What the folder was given by.

    Raises:
        DataError: The folder cannot be read or holds no picture, or one of them cannot be read.
    """
    wanted, others = list_folder(folder, flag)
    if not wanted:
        known = ", ".join(f"{count} of {ending}" for ending, count in others.items())
        held = (
            f"holds no picture ({', '.join(ENDINGS)}), but {known[:500]}" if known else "is empty"
        )
        raise DataError(f"{folder} {held}; give the folder that the pictures lie in by {flag}")
    return Pictures(
        *read_all([(file.name, file) for file in wanted], corrupt, str(folder)),
        others,
    )


def list_folder(folder: Path, flag: str) -> tuple[list[Path], dict[str, int]]:
    """Return the files of a folder that are pictures by their endings, by name; count the others.

    Args:
        folder: The folder.
        flag: What it was given by.

    Raises:
        DataError: It cannot be listed, or holds more pictures than are read.
    """
    wanted: list[Path] = []
    others: Counter[str] = Counter()
    try:
        for entry in folder.iterdir():
            if not entry.is_file():  # a loop of links is none either, nor is a pipe
                others["no file"] += 1
            elif entry.suffix.lower() in ENDINGS:
                wanted.append(entry)
            else:
                others[entry.suffix.lower() or "no ending"] += 1
    except OSError as error:
        raise DataError(
            f"the pictures in {folder} cannot be listed ({error.strerror}); give another folder "
            f"by {flag}"
        ) from error
    if len(wanted) > MOST_PICTURES:
        raise DataError(
            f"{folder} holds {len(wanted):,} pictures, and at most {MOST_PICTURES:,} are read; "
            f"give a folder of fewer by {flag}"
        )
    return sorted(wanted, key=lambda file: file.name), dict(sorted(others.items()))


def read_all(
    contents: Sequence[tuple[str, Path | bytes]], corrupt: Corrupt, source: str
) -> tuple[tuple[Picture, ...], dict[str, str]]:
    """Read pictures whole, one at least; see `read_each`.

    Raises:
        DataError: One cannot be read and ends the run, or none can.
    """
    found, skipped = read_each(contents, corrupt, source)
    if not found:
        raise DataError(
            f"none of the {len(skipped)} pictures of {source} can be read; the first: "
            f"{next(iter(skipped.values()), 'there is none')}"
        )
    return found, skipped


def read_each(
    contents: Sequence[tuple[str, Path | bytes]], corrupt: Corrupt, source: str
) -> tuple[tuple[Picture, ...], dict[str, str]]:
    """Read pictures whole; return them, and why others were left out, by name.

    Args:
        contents: Name, and file or bytes, of each.
        corrupt: Whether a picture that cannot be read is left out or ends the run.
        source: Where they come from.

    Raises:
        DataError: One cannot be read and ends the run.
    """
    found, skipped = [], {}
    for name, content in contents:
        try:
            data = _bytes(content, name)
            size = _fit(decode(data, name).size, name)
        except DataError as error:
            if corrupt == "error":
                raise DataError(
                    f"{source}: {error}, or set --data.corrupt skip to go on without it"
                ) from error
            skipped[name] = str(error)
            continue
        found.append(Picture(name, content, *size, hashlib.sha256(data).hexdigest()))
    return tuple(found), skipped


def _bytes(content: Path | bytes, name: str) -> bytes:
    if isinstance(content, bytes):
        return content
    return read_bytes(content, MOST_BYTES, "a picture")


def _fit(size: tuple[int, int], name: str) -> tuple[int, int]:
    if min(size) < SMALLEST_SIDE or max(size) > LONGEST_ASPECT * min(size):
        raise DataError(
            f"{name} has {size[0]} x {size[1]} pixels, and pictures are to have {SMALLEST_SIDE} "
            f"or more a side and one side at most {LONGEST_ASPECT} times the other; replace or "
            "remove it"
        )
    return size


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in DEEP:
        levels = np.asarray(image)
        if not 0 <= levels.min() <= levels.max() < 1 << 16:
            raise ValueError("more than 16 bits a pixel; save it as 8 or 16 bits")
        return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed scale; save it as 8 or 16 bits")
    return image.convert("RGB")
