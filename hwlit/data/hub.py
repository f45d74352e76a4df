"""Data sets from the Hugging Face hub: the one file that imports `datasets`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, Image, load_dataset
from datasets import config as datasets_config
from huggingface_hub import hf_hub_download
from huggingface_hub.constants import HF_HUB_CACHE

from hwlit.data.caption_lists import TEXTS
from hwlit.data.files import read_bytes
from hwlit.data.pictures import MOST_BYTES
from hwlit.data.reading import Rows
from hwlit.errors import DataError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"@([0-9a-f]{40})/")


def read_part(name: str, part: str, classes: int) -> Rows:
    """Read one part of a hub data set with the columns `text` and `label`.

    Args:
        name: The data set, "owner/name".
        part: Its part, "train" or "test".
        classes: Number of classes; labels are 0 to `classes` - 1.

    Returns:
        The rows, in the order of the part.

    Raises:
        DataError: The data set cannot be loaded, or is not as expected.
    """
    _check_name(name)
    try:
        dataset = load_dataset(name, split=part)
    except Exception as error:  # of three libraries, with no common base
        raise _unavailable(name, error) from error
    if not isinstance(dataset, Dataset) or not {"text", "label"} <= set(dataset.column_names):
        raise DataError(f"{name} has no columns text and label; give a file with --data.path")
    columns = dataset.select_columns(["text", "label"])[:]
    for row, (text, label) in enumerate(zip(columns["text"], columns["label"], strict=True)):
        if not isinstance(text, str) or label not in range(classes):
            raise DataError(
                f"{name}: row {row} of {part} has the label {label!r} and the text "
                f"{str(text)[:40]!r}; a text and a label from 0 to {classes - 1} are needed"
            )
    return Rows(columns["text"], columns["label"], name, _revision(dataset))


@dataclass(frozen=True)
class HubImages:
    """The pictures of a hub data set.

    Args:
        contents: Name and bytes of each; a name comes once.
        captions: Captions by the picture's name, where the set has a column of them.
        revision: The commit that they are of, as far as it is known.
    """

    contents: list[tuple[str, bytes]]
    captions: dict[str, str]
    revision: str | None


def read_images(name: str, subject: str | None) -> HubImages:
    """Read the pictures of a hub data set, undecoded, and their captions.

    Args:
        name: The data set, "owner/name", such as google/dreambooth or diffusers/dog-example.
        subject: Its configuration, such as dog6; None where it has one alone.

    Raises:
        DataError: The data set cannot be loaded, has no column `image`, or is of several subjects.
    """
    _check_name(name)
    try:
        dataset = load_dataset(name, subject, split="train")
        columns = dataset.column_names
        labels = set(dataset["label"]) if "label" in columns else set()
        said = next((column for column in TEXTS if column in columns), None)
        if "image" in columns:
            read = ["image", said] if said else ["image"]
            dataset = dataset.select_columns(read).cast_column("image", Image(decode=False))
    except Exception as error:  # of three libraries, with no common base
        raise _unavailable(name, error) from error
    if "image" not in columns:
        raise DataError(f"{name} has the columns {columns} and none is image; give a folder")
    if subject is None and len(labels) > 1:
        raise DataError(
            f"{name} holds pictures of {len(labels)} subjects; choose one by --data.subject"
        )
    found: dict[str, bytes] = {}
    captions: dict[str, str] = {}
    for row, cells in enumerate(dataset):
        path = Path(cells["image"]["path"] or f"{row:02d}")
        own = f"{row:02d}-{path.name}" if path.name in found else path.name
        content = cells["image"]["bytes"]
        found[own] = content if content is not None else _downloaded(name, path)
        text = cells[said] if said else None
        if isinstance(text, str) and text.strip():
            captions[own] = " ".join(text.split())
    return HubImages(list(found.items()), captions, _revision(dataset))


def download(name: str, file: str) -> tuple[Path, str]:
    """Fetch one file of a hub data set, unchanged.

    Args:
        name: The data set, "owner/name".
        file: The file's path in it.

    Returns:
        Where the file lies, and the commit that it is of.

    Raises:
        DataError: The file cannot be fetched.
    """
    try:
        path = Path(hf_hub_download(name, file, repo_type="dataset"))
    except Exception as error:  # of three libraries, with no common base
        raise _unavailable(name, error) from error
    return path, path.parent.name


def _check_name(name: str) -> None:
    """Refuse what is no name of a hub data set, or would be read from a folder of that name.

    `load_dataset` takes paths, addresses and its own loaders as well.
    """
    if not NAME.fullmatch(name) or Path(name).exists():
        what = "a path here" if Path(name).exists() else "no owner/name"
        raise DataError(
            f"{name} is {what}, where the name of a data set on the hub is needed; work in another "
            "folder or give a file with --data.path"
        )


def _downloaded(name: str, path: Path) -> bytes:
    """Return the bytes of a picture that lies beside its table, and was downloaded with it."""
    caches = datasets_config.HF_DATASETS_CACHE, datasets_config.DOWNLOADED_DATASETS_PATH
    folders = [Path(folder).resolve() for folder in (*caches, HF_HUB_CACHE)]
    if not any(path.resolve().is_relative_to(folder) for folder in folders):
        raise DataError(
            f"{name} names {str(path)[-80:]}, a file of this machine, as one of its pictures; do "
            "not use this data set"
        )
    return read_bytes(path, MOST_BYTES, "a picture")


def _unavailable(name: str, error: Exception) -> DataError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return DataError(
        f"cannot load {name} from the hub ({reason}); give a local file with --data.path"
    )


def _revision(dataset: Dataset) -> str | None:
    for address in dataset.info.download_checksums or {}:
        if found := _COMMIT.search(address):
            return found.group(1)
    return None
