"""Captions that lie beside pictures: `<stem>.txt`, or `metadata.jsonl` with `file_name`, `text`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

from hwlit.data.files import read_bytes
from hwlit.errors import DataError

METADATA = "metadata.jsonl"  # Source: https://huggingface.co/docs/datasets/image_dataset
MOST_CAPTION, MOST_METADATA = 1 << 20, 16 << 20  # bytes
HALF = re.compile("[\ud800-\udfff]")  # a surrogate without its other half


def read_captions(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the captions of pictures, by the picture's name; one's own file comes first.

    Args:
        folder: Where the pictures lie.
        names: The names of the pictures.

    Raises:
        DataError: A caption is empty, very long or no text, or a line of `metadata.jsonl` is not as
            expected.
    """
    listed = folder / METADATA
    captions = _metadata(listed) if os.path.lexists(listed) else {}
    found = {}
    for name in names:
        beside = (folder / name).with_suffix(".txt")
        text = _text(beside) if os.path.lexists(beside) else captions.get(name)
        if text is None:
            continue
        if not (words := " ".join(text.split())):
            raise DataError(f"the caption of {folder / name} is empty; write it or remove the file")
        found[name] = words
    return found


def _metadata(path: Path) -> dict[str, str]:
    captions = {}
    for number, line in enumerate(_text(path, MOST_METADATA).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, text = row["file_name"], row["text"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise DataError(
                f"line {number} of {path} is no object with file_name and text; correct it"
            ) from error
        if not isinstance(name, str) or not isinstance(text, str):
            raise DataError(f"line {number} of {path}: file_name and text must be texts")
        place = PureWindowsPath(name)  # knows the separators of every system
        if place.anchor or ".." in place.parts:
            raise DataError(
                f"line {number} of {path} names {name[:80]!r}, which is outside of its folder; "
                "name pictures of this folder alone"
            )
        if HALF.search(text):
            raise DataError(f"line {number} of {path} has half a character in text; correct it")
        captions[name] = text
    return captions


def _text(path: Path, limit: int = MOST_CAPTION) -> str:
    content = read_bytes(path, limit, "a file of captions")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8; save it as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path} has a NUL character: it is no text; correct or remove it")
    return text
