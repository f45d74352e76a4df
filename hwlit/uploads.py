"""The folder of a finished run that can be uploaded: it tells strangers how to load the model.

It tells them nothing of the machine: what RUN/adapter says by paths is said by public names here,
or left out. Nothing is loaded, and nothing but the files that an export writes is copied.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from safetensors import SafetensorError, safe_open

from hwlit.errors import IntegrityError, UsageError
from hwlit.exports import stock_pipeline
from hwlit.exports.model_card import image_model_card, text_model_card
from hwlit.exports.public_files import Base, check_nothing_private, write_public
from hwlit.exports.stock_classifier import ADAPTER, CLASSIFIER
from hwlit.paths import is_local, last_name, without_folders
from hwlit.records import Record, need, read_run
from hwlit.storage import replacing_folder, write_text
from hwlit.yaml_files import read_config

CARD, CONFIG = "README.md", "config.json"
ENDINGS = (".json", ".safetensors", ".txt", ".model", ".jinja", ".bin")  # of what exports write
WITHOUT_BASE = (
    "the base is a folder of this machine and has no public name: {} leave it out; --base-id "
    "ORG/NAME gives it one"
)
LEFT_OUT = "no export writes these, so they are left out: {}"


def export_for_hub(run: Path, folder: Path, base_id: str | None) -> list[str]:
    """Write the folder of a finished run that can be uploaded.

    Args:
        run: The run's directory.
        folder: Where to write, new or empty.
        base_id: The hub id of the pretrained model; None takes the run's own, where it has one.

    Returns:
        What is to be known of it, a sentence each.

    Raises:
        UsageError: The folder holds something, the id is none, or a file would tell of a machine.
        IntegrityError: The run holds no exported model, a link, or a damaged file.
        ResourceError: The folder cannot be written.
    """
    if base_id is not None:
        _check_id(base_id)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--for-hub {folder} holds something already; give a new folder")
    record, source = read_run(run), run / "adapter"
    if record.status != "ok" or not source.is_dir():
        raise IntegrityError(f"{run} holds no exported model: its status is {record.status}")
    need(run, record, "task", "adapter.name", "model.pretrained", "model.hub_id", "data.source")
    if record.model.labels is not None:
        need(run, record, "data.majority_class_accuracy")
    files, others = _files(source)
    try:
        base = _base(record, base_id)
        card = _card(run, record, base, files)
        with replacing_folder(folder.absolute()) as staged:
            for name in files:
                # Runs of 0.1 have it beside the adapter: see `peft_folder`.
                old = name == CONFIG and ADAPTER in files
                write_public(source / name, staged / (CLASSIFIER if old else "") / name, base)
            write_text(staged / CARD, card)
            check_nothing_private(staged, _private(run, record))
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise IntegrityError(f"{run} was not written by hwlit, or is damaged ({why})") from error
    except (OSError, SafetensorError) as error:
        raise IntegrityError(f"{source} cannot be read ({error}); bring the files back") from error
    named = f"{CARD} and {ADAPTER}" if ADAPTER in files else f"{CARD} and the configs"
    told = [] if base.name is not None else [WITHOUT_BASE.format(named)]
    return [*told, *([LEFT_OUT.format(", ".join(map(repr, others)))] if others else [])]


def _check_id(base_id: str) -> None:
    """Refuse what is no hub id.

    Raises:
        UsageError: It is not.
    """
    try:
        validate_repo_id(base_id)
    except HFValidationError as error:
        raise UsageError(f"--base-id {base_id!r} is no id of the hub; give ORG/NAME") from error
    if "/" not in base_id:
        raise UsageError(
            f"--base-id {base_id!r} lacks its owner; give ORG/NAME, such as "
            "google-bert/bert-base-uncased"
        )


def _base(record: Record, base_id: str | None) -> Base:
    """Return what the pretrained model is called: by the user, else at the hub."""
    model = record.model
    private, pretrained = str(model.hub_id), str(model.pretrained)
    try:
        validate_repo_id(private)
        # A folder has an absolute path, also where it was given as one like ORG/NAME.
        own = None if is_local(private) or is_local(pretrained) else private
    except HFValidationError:
        own = None
    if base_id is not None and base_id != own:
        return Base(base_id, None, private)
    return Base(own, None if own is None else model.rest.get("revision"), private)


def _files(source: Path) -> tuple[list[str], list[str]]:
    """Return the files of an export by their names in it, and those that no export writes.

    Raises:
        IntegrityError: There is a link, or something that is neither file nor folder.
    """
    found: list[str] = []
    others: list[str] = []
    for path in (source, *sorted(source.rglob("*"))):
        name = path.relative_to(source).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            what = "a link" if path.is_symlink() else "no plain file"
            raise IntegrityError(f"{path} is {what}, which no run of hwlit holds; remove it")
        if path.is_dir() or name == CARD:
            continue
        known = path.suffix in ENDINGS and not path.name.startswith(".")
        (found if known else others).append(name)
    return found, others


def _card(run: Path, record: Record, base: Base, files: Collection[str]) -> str:
    """Return the model card, as the run's own but for names of this machine."""
    sources = [_public_source(source) for source in _sources(record)]
    told = dataclasses.replace(
        record,
        model=dataclasses.replace(record.model, hub_id=base.name, pretrained=base.name),
        data=dataclasses.replace(record.data, source=sources),
        adapter=_without_folders(record.adapter),
        encoders={
            name: {**facts, "checkpoint": last_name(facts["checkpoint"])}
            for name, facts in record.encoders.items()
        },
    )
    if record.model.labels is not None:
        return text_model_card(told, files)
    model = read_config(run / "config.yaml")["model"]["init_args"]
    own = {name: _tensors(run / "adapter" / name) for name in files if _is_own(name)}
    lora = stock_pipeline.LORA in files
    steps, guidance = int(model["sampling_steps"]), float(model["guidance"])
    return image_model_card(told, lora, steps, guidance, own)


def _sources(record: Record) -> list[str]:
    """Return the files, folders or data sets that a run read."""
    source = record.data.source
    return [str(one) for one in (source if isinstance(source, list) else [source])]


def _public_source(source: str) -> str:
    """Return a data set's id of the hub as it is, and of a file or folder its own name."""
    path = PurePosixPath(source)
    is_path = bool(path.suffix) or len(path.parts) > 2  # an id is OWNER/NAME
    return path.name if is_path else last_name(source)


def _is_own(name: str) -> bool:
    """Return whether a file beside a pipeline is of the method alone."""
    others = (stock_pipeline.LORA, "learned.safetensors")
    return "/" not in name and name.endswith((".safetensors", ".bin")) and name not in others


def _tensors(path: Path) -> list[str]:
    if path.suffix == ".bin":
        return []
    with safe_open(path, "pt") as file:
        return list(file.keys())


def _without_folders(value: Any) -> Any:
    """Return facts in which each absolute path is only its last part."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return dataclasses.replace(value, **_without_folders(parts))
    if isinstance(value, Mapping):
        return {key: _without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    return without_folders(value) if isinstance(value, str) else value


def _private(run: Path, record: Record) -> list[str]:
    """Return the paths that this machine, and the one that trained, are known by."""
    given = [str(record.model.pretrained), *_sources(record)]
    known = [os.path.expanduser("~"), str(run.absolute()), *given]
    return [
        name.rstrip("/\\") for name in known if is_local(name) and last_name(name) != "a folder"
    ]
