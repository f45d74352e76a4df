"""Captions that lie beside pictures: `<stem>.txt`, or `metadata.jsonl` with `file_name`, `text`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from hwlit.errors import DataError

METADATA = "metadata.jsonl"  # Source: https://huggingface.co/docs/datasets/image_dataset


def read_captions(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the captions of pictures, by the picture's name; one's own file comes first.

    Args:
        folder: Where the pictures lie.
        names: The names of the pictures.

    Raises:
        DataError: A caption is empty or no text, or a line of `metadata.jsonl` is not as expected.
    """
    captions = _metadata(folder / METADATA) if (folder / METADATA).is_file() else {}
    found = {}
    for name in names:
        beside = (folder / name).with_suffix(".txt")
        text = _text(beside) if beside.is_file() else captions.get(name)
        if text is None:
            continue
        if not (words := " ".join(text.split())):
            raise DataError(f"the caption of {folder / name} is empty; write it or remove the file")
        found[name] = words
    return found


def _metadata(path: Path) -> dict[str, str]:
    captions = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, text = row["file_name"], row["text"]
        except (ValueError, LookupError, TypeError) as error:
            raise DataError(
                f"line {number} of {path} is no object with file_name and text; correct it"
            ) from error
        if not isinstance(name, str) or not isinstance(text, str):
            raise DataError(f"line {number} of {path}: file_name and text must be texts")
        captions[name] = text
    return captions


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8; save it as UTF-8") from error
