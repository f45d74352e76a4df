"""Pictures that start other programs, unpack to gigabytes or never end, and their captions."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tools.hostile.case import MARK, Hostile, Stock

FIT = ("fit", "--config", "pocket/dreambooth_lora", "--output", "run", "--data.path")
PNG = b"\x89PNG\r\n\x1a\n"
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
Write = Callable[[Path], object]


def cases() -> list[Hostile]:
    """Return every case."""
    return [*_programs(), *_bombs(), *_no_files(), *_captions(), *_trees(), *_numbers(), *_places()]


def _case(name: str, told: str, file: str, write: Write, kind: str = "answer") -> Hostile:
    """Return the training on a folder with one picture that is whole, and a file."""

    def prepare(here: Path, stock: Stock) -> None:
        (here / "pictures").mkdir()
        Image.new("RGB", (16, 16)).save(here / "pictures" / "a.png")
        write(here / "pictures" / file)

    return Hostile(name, kind, (*FIT, "pictures"), (3,), told, prepare)


def _bytes(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def _link(target: str) -> Write:
    return lambda path: path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(10 << 30)


def _programs() -> list[Hostile]:
    """Return what Pillow reads by other programs, or by code that nobody needs."""

    def prepare(here: Path, stock: Stock) -> None:
        for folder in ("pictures", "programs"):
            (here / folder).mkdir()
        for program in ("gs", "gswin64c", "gswin32c"):
            (here / "programs" / program).write_text(f"#!/bin/sh\ntouch {MARK}\n")
            (here / "programs" / program).chmod(0o755)
        (here / "pictures" / "a.png").write_bytes(POSTSCRIPT)

    def sample(here: Path, stock: Stock) -> None:
        run = stock.copy("finished", here / "finished")
        prepare(here, stock)
        (run / "samples").mkdir(exist_ok=True)
        (run / "samples" / "test-0000.png").write_bytes(POSTSCRIPT)
        (run / "samples" / "test-0002.png").write_bytes(png(13_000, 13_000))

    path = (("PATH", os.pathsep.join(("programs", os.environ.get("PATH", "")))),)
    others = {
        "Postscript with a preview": b"\xc5\xd0\xd3\xc6"
        + struct.pack("<7I", 32, 99, 0, 0, 0, 0, 0),
        "a Windows metafile": b"\xd7\xcd\xc6\x9a\0\0" + bytes(100),
        "PDF": b"%PDF-1.7\n",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "an IFUNC Labs picture": b"Image type: L x L\r\nName: x\r\n" + bytes(500),
        "a GIMP brush": struct.pack(">7I", 28, 2, 9, 9, 1, 0x47494D50, 1) + bytes(81),
        "a portable anymap": b"P6\n9 9\n255\n" + bytes(243),
    }
    return [
        Hostile("Postscript named png", "code", (*FIT, "pictures"), (3,), "known format", prepare,
                environment=path),
        Hostile("Postscript and a bomb among the samples of a run", "code",
                ("report", "finished", "-o", "report.html"), (0,), "", sample, environment=path),
        *(_case(f"{name} named png", "known format", "b.png", _bytes(content), "code")
          for name, content in others.items()),
    ]  # fmt: skip


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(width: int, height: int, more: bytes = b"") -> bytes:
    """Return a PNG of one bit a pixel, all black, with more chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0))
    pixels = zlib.compress(bytes(height * (1 + -(-width // 8))))
    return PNG + header + more + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, more: bytes = b"") -> bytes:
    """Return the head of a JPEG that claims a size, with more segments before it."""
    frame = struct.pack(">BHHB9B", 8, height, width, 3, 1, 17, 0, 2, 17, 0, 3, 17, 0)
    return b"\xff\xd8" + more + segment(0xC0, frame) + segment(0xDA, bytes(10)) + bytes(99)


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def tiff(entries: list[tuple[int, int, int, int]], more: int) -> bytes:
    """Return a TIFF of tags (tag, type, count, value or place) and so many bytes after them."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4 + more)


def _bombs() -> list[Hostile]:
    """Return small files that ask for much memory or time."""
    sizes = [(256, 4, 1, 100_000), (257, 4, 1, 100_000), (262, 3, 1, 1), (273, 4, 1, 8)]
    shared = [(tag, 1, 1 << 20, 0) for tag in range(1000, 21_000)]
    block = tiff([(tag, 7, 20_000, 0) for tag in range(1000, 6000)], 0)
    exif = segment(0xE1, b"Exif\0\0" + block[:60_000]) * 40
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0\xff\x3f\0"
    text = zlib.compress(bytes(200_000_000), 9)
    return [
        _case("169 megapixels in 20 kilobytes", "(13000 x 13000 pixels)", "b.png",
              _bytes(png(13_000, 13_000))),
        _case("a JPEG of 65535 x 65535", "as a decompression bomb", "b.jpg",
              _bytes(jpeg(65535, 65535))),
        _case("a GIF of 65535 x 65535", "as a decompression bomb", "b.gif",
              _bytes(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b","
                     + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08\x01\0\0;")),
        _case("a GIF whose frame is larger than it", "as a decompression bomb", "b.gif",
              _bytes(b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b","
                     + struct.pack("<HHHHB", 60000, 60000, 5000, 5000, 0) + b"\x08\x01\0\0;")),
        _case("a BMP of 2 billion rows", "as a decompression bomb", "b.bmp",
              _bytes(b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 9, 2**31 - 1, 1, 24,
                                         *[0] * 6) + bytes(99))),
        _case("a TIFF of 10 billion pixels", "as a decompression bomb", "b.tif",
              _bytes(tiff(sizes, 99))),
        _case("a TIFF of 20,000 tags that share a megabyte", "cannot be read", "b.tif",
              _bytes(tiff(shared, 1 << 20))),
        _case("a JPEG of 40 blocks of EXIF that share their bytes", "cannot be read", "b.jpg",
              _bytes(jpeg(99, 99, exif))),
        _case("a WebP with a canvas of 268 megapixels", "b.webp", "b.webp",
              _bytes(b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas)),
        _case("a PNG with 200 MB of text", "cannot be read", "b.png",
              _bytes(png(16, 16, chunk(b"zTXt", b"a\0\0" + text)))),
        _case("a PNG with a profile of 200 MB", "cannot be read", "b.png",
              _bytes(png(16, 16, chunk(b"iCCP", b"a\0\0" + text)))),
        _case("a PNG that ends early", "cannot be read", "b.png", _bytes(png(999, 999)[:100])),
        _case("an AVIF of nothing", "cannot be read", "b.png",
              _bytes(struct.pack(">I", 24) + b"ftypavif" + bytes(500))),
        _case("a line of 20 million pixels", "20000000 x 1 pixels", "b.png",
              _bytes(png(20_000_000, 1))),
    ]  # fmt: skip


def _no_files() -> list[Hostile]:
    """Return what is no plain file, or very long; a pipe is left out and counted."""

    def lonely(write: Write) -> Callable[[Path, Stock], None]:
        def prepare(here: Path, stock: Stock) -> None:
            (here / "pictures").mkdir()
            write(here / "pictures" / "a.png")

        return prepare

    alone = {
        "a pipe": os.mkfifo,
        "a folder": os.mkdir,
        "a link to a device without end": _link("/dev/zero"),
        "a link to itself": _link("a.png"),
    }
    return [
        *(Hostile(f"{name} named png", "answer", (*FIT, "pictures"), (3,), "but 1 of no file",
                  lonely(write)) for name, write in alone.items()),
        _case("10 GiB named png", "has 10.0 GiB, and a picture has at most", "b.png", _sparse),
        _case("a picture of no bytes", "cannot be read", "b.png", _bytes(b"")),
        Hostile("a pipe for the folder", "answer", (*FIT, "pictures"), (3,), "is no folder",
                lambda here, stock: os.mkfifo(here / "pictures")),
        Hostile("a pipe for the class pictures", "answer",
                (*FIT, "checked-mug", "--data.class_images_path", "pictures"), (2,), "is no folder",
                lambda here, stock: os.mkfifo(here / "pictures")),
    ]  # fmt: skip


def _captions() -> list[Hostile]:
    """Return captions that are none, never end, or speak of other files."""

    def named(name: str) -> Write:
        return _bytes(json.dumps({"file_name": name, "text": "a sks dog"}).encode())

    deep = b'{"file_name": "a.png", "text": ' + b"[" * 100_000
    half = b'{"file_name": "a.png", "text": "a \\ud800"}'
    listed, outside, table = "metadata.jsonl", "outside of its folder", "metadata.csv"
    wide = b"file_name,text\na.png," + b"a" * 200_000
    return [
        _case("a pipe for a caption", "is a named pipe", "a.txt", os.mkfifo),
        _case("a device for a caption", "is a device", "a.txt", _link("/dev/zero")),
        _case("a caption of 10 GiB", "has 10.0 GiB", "a.txt", _sparse),
        _case("a caption of bytes", "is not UTF-8", "a.txt", _bytes(bytes(range(256)))),
        _case("a caption with NUL", "has a NUL character", "a.txt", _bytes(b"a sks\0dog")),
        _case("a pipe for the list of captions", "is a named pipe", listed, os.mkfifo),
        _case("a list of captions of 10 GiB", "has 10.0 GiB", listed, _sparse),
        _case("a device for a caption by its other name", "is a device", "a.png.CAPTION",
              _link("/dev/zero")),
        _case("a pipe for the table of captions", "is a named pipe", table, os.mkfifo),
        _case("a table of captions of 10 GiB", "has 10.0 GiB", table, _sparse),
        _case("a table of captions with NUL", "has a NUL character", table, _bytes(b"file_name\0")),
        _case("a table with a caption of 200 kB", "field larger than", table, _bytes(wide)),
        _case("a table with a quote that never ends", "correct its quotes", table,
              _bytes(b'file_name,text\na.png,"' + b"a\n" * 1000)),
        _case("a table of 100,000 columns", "has no file name", table,
              _bytes(b"," * 100_000 + b"\n" + b"," * 100_000)),
        _case("a table of a file above", outside, table,
              _bytes(b"file_name,text\n../../private.png,a sks dog"), "files"),
        _case("captions 100,000 deep", "line 1", listed, _bytes(deep)),
        _case("half a character in a caption", "half a character", listed, _bytes(half)),
        _case("a caption of a file above", outside, listed, named("../../private.png"), "files"),
        _case("a caption of a file anywhere", outside, listed, named("/home/you/a.png"), "files"),
        _case("a caption of a file on another drive", outside, listed, named("C:\\a.png"), "files"),
        _case("a caption of a file beside", outside, listed, named("b\\..\\..\\a.png"), "files"),
    ]  # fmt: skip


def _trees() -> list[Hostile]:
    """Return folders whose folders lead in circles, or to pipes and devices by other names."""

    def prepare(here: Path, stock: Stock) -> None:
        for name in ("pictures/a/b", "pictures/c"):
            (here / name).mkdir(parents=True)
        (here / "pictures" / "a" / "b" / "up").symlink_to(here)
        (here / "pictures" / "c" / "x.png").write_bytes(b"")
        (here / "pictures" / "no_ending").symlink_to("/dev/zero")
        os.mkfifo(here / "pictures" / "pipe")

    told = "but 1 folder of pictures (c with 1)"
    return [Hostile("folders in a circle", "answer", (*FIT, "pictures"), (3,), told, prepare)]


def _numbers() -> list[Hostile]:
    """Return settings that would fill the memory or start a thousand processes."""
    return [
        Hostile(f"pictures with {name} {value[:20]}", "answer",
                (*FIT, "checked-mug", f"--data.{name}", value), (2,), told)
        for name, value, told in (
            ("images_per_prompt", "1000000000", "images_per_prompt"),
            ("class_images", "1000000000000", "class_images"),
            ("batch_size", "1000000000", "batch_size"),
            ("epoch_steps", "10000000000", "epoch_steps"),
            ("validation_levels", "1000000000", "validation_levels"),
            ("num_workers", "100000", "num_workers"),
            ("resolution", "1000000", "resolution"),
            ("class_guidance", ".inf", "class_guidance"),
            ("instance_prompt", "sks " * 20_000, "80,000 characters"),
            ("test_prompts", "{a: b}", "test_prompts"),
            ("test_prompts", "[[a]]", "test_prompts"),
            ("new_tokens", "[a]", "new_tokens"),
            ("instance_prompt", "[a, b]", "instance_prompt"),
        )
    ]  # fmt: skip


def _places() -> list[Hostile]:
    """Return addresses: nothing that looks like a path or a scheme is asked of the network."""
    return [
        Hostile(f"pictures at {address}", "code", (*FIT, address), (2, 3), "give")
        for address in (
            "zip::http://127.0.0.1:9/x.zip",
            "s3://bucket/x",
            "memory:/x",
            "https:/x",
            "photos/dog.jpg",
            "../dog",
            "dogs/",
            "~no-such-user/dogs",
        )
    ]
