"""Folders that look like a model and are none, and packages that a tokenizer needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hwlit.errors import UsageError
from hwlit.networks.plain_files import read_object
from hwlit.networks.vetting import ADAPTER

QUANTIZED = "quantized.safetensors"  # as hwlit's own quantised classifiers are named
BINARY = 10  # first byte of a sentencepiece model; tiktoken's files are text
SENTENCEPIECE = ("sentencepiece", "google.protobuf")


def refuse_no_model(folder: Path, pretrained: str) -> None:
    """Refuse an adapter, a run or an export of integers in place of a model.

    Args:
        folder: The folder, or that of a model from the hub.
        pretrained: What was given.

    Raises:
        UsageError: It is one.
    """
    record = "record.json"
    run = folder if (folder / record).is_file() else folder.parent
    ours = (run / record).is_file()
    merge = f"the folder that `hwlit export {run if ours else 'RUN'} --merged DIR` writes"
    if (folder / ADAPTER).is_file():
        base = read_object(folder / ADAPTER).get("base_model_name_or_path")
        of = f" of {base[:200]}" if isinstance(base, str) and base else ""
        merge = merge if ours else "what merge_and_unload and save_pretrained of PEFT make of it"
        raise UsageError(
            f"--model.pretrained {pretrained} holds an adapter of PEFT{of}, and no whole model; "
            f"give its base to start anew, or, to go on from it, {merge}"
        )
    if (folder / QUANTIZED).is_file():
        raise UsageError(
            f"--model.pretrained {pretrained} holds a classifier that hwlit quantised; give {merge}"
        )
    if run == folder and ours and (folder / "adapter").is_dir():
        raise UsageError(f"--model.pretrained {pretrained} is the directory of a run; give {merge}")


def lacks_sentencepiece(folder: Path) -> str | None:
    """Return what to install for a tokenizer that did not load; None where that is not the reason.

    Args:
        folder: Where its files lie.
    """
    models = [path for path in folder.glob("*.model") if path.is_file()]
    if (folder / "tokenizer.json").is_file() or not any(map(_is_sentencepiece, models)):
        return None
    if all(map(_is_installed, SENTENCEPIECE)):
        return None
    return (
        f"is a sentencepiece model ({models[0].name}), which needs two more packages: "
        'pip install "hwlit[sentencepiece]"; or give a copy of the model with a tokenizer.json'
    )


def _is_sentencepiece(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == bytes([BINARY])


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of what it lies in
        return False
