"""Pictures from files: whatever the camera or the web made of them, upright RGB of 8 bits."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hwlit.data.files import read_bytes
from hwlit.data.picture_folder import Listing, list_folder
from hwlit.data.picture_looks import Looks, is_moving, looks_of
from hwlit.errors import DataError

# What may lie in a file, whatever its name ends in. Pillow knows many more, and starts Ghostscript
# for one of them; those of cameras and of the web are enough. JPEG includes the MPO of phones.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # brands of the container
# Medium format cameras have 102 million; each takes up to 20 bytes of memory while it is converted.
MOST_PIXELS = 128_000_000
MOST_BYTES = 1 << 30  # of a file: more than MOST_PIXELS of three channels, 16 bits, uncompressed
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
        looks: What it shows, roughly.
    """

    name: str
    content: Path | bytes
    width: int
    height: int
    sha256: str
    looks: Looks = field(default_factory=Looks)

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
        listing: What else lies there, where the place is a folder.
    """

    found: tuple[Picture, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    listing: Listing = field(default_factory=Listing)


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
    return _decoded(content, name)[0]


def _decoded(content: bytes, name: str) -> tuple[Image.Image, bool, bool]:
    """Return a picture, whether all of it was transparent, and whether it has more frames."""
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
                # Asked last, for the answer may lie in a second frame that is broken.
                return *_rgb(image), is_moving(image)
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} has more than {MOST_PIXELS:,} pixels ({str(error).partition(' exceeds')[0]}), "
            "as a decompression bomb has; make it smaller or remove it"
        ) from error
    except Exception as error:  # of many decoders, with no common base
        reason = str(error).partition("\n")[0] or type(error).__name__
        remedy = "replace or remove it"
        if isinstance(error, UnidentifiedImageError):
            reason = f"no picture of a known format ({', '.join(FORMATS)})"
            if (content[4:8], content[8:12] in HEIC) == (b"ftyp", True):
                reason, remedy = "HEIC, as iPhones take it", "convert it to jpg or png"
        raise DataError(f"{name} cannot be read ({reason}); {remedy}") from error


def read_folder(folder: Path, corrupt: Corrupt, flag: str = "--data.path") -> Pictures:
    """Read the pictures that lie in a folder, not those in folders below.

    Args:
        folder: The folder.
        corrupt: Whether a picture that cannot be read is left out or ends the run.
        flag: What the folder was given by.

    Raises:
        DataError: The folder cannot be read or holds no picture, or one of them cannot be read.
    """
    listing = list_folder(folder, flag)
    if not listing.pictures:
        raise DataError(f"{folder} {listing.why_empty()}")
    contents = [(file.name, file) for file in listing.pictures]
    return Pictures(*read_all(contents, corrupt, str(folder)), listing)


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
            image, *told = _decoded(data, name)
            size, looks = _fit(image.size, name), looks_of(image, *told)
        except DataError as error:
            if corrupt == "error":
                raise DataError(
                    f"{source}: {error}, or set --data.corrupt skip to go on without it"
                ) from error
            skipped[name] = str(error)
            continue
        found.append(Picture(name, content, *size, hashlib.sha256(data).hexdigest(), looks))
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


def _rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return a picture in mode RGB, and whether all of it was transparent."""
    if image.mode in DEEP:
        levels = np.asarray(image)
        if not 0 <= levels.min() <= levels.max() < 1 << 16:
            raise ValueError("more than 16 bits a pixel; save it as 8 or 16 bits")
        return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB"), False
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, WHITE)
        opaque = picture.getchannel("A").getbbox() is not None
        return Image.alpha_composite(white, picture).convert("RGB"), not opaque
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed scale; save it as 8 or 16 bits")
    return image.convert("RGB"), False
