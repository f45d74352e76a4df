"""Which files of a run hwlit wrote, so that what another put in their place is kept.

`.written.json` has their hashes. It is written before the files are, so that a process that is
killed in between leaves none that it does not know.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path

from hwlit.bounded_files import read_json
from hwlit.errors import ResourceError
from hwlit.plain_text import say
from hwlit.run_directory import WRITTEN, run_status
from hwlit.storage import sha256, write_text

LARGEST = 1 << 20  # bytes
KEPT = 4  # hashes by file: of it, and of what it replaces
# By what a loader knows that `adapter/` holds a model, and what it reads then.
EXPORTED = (
    "config.json", "classifier/config.json", "adapter_config.json", "model_index.json",
    "adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json",
    "quantized.safetensors", "quantized.safetensors.manifest.json",
    "pytorch_lora_weights.safetensors", "learned.safetensors", "quantization_config.json",
    "README.md",
)  # fmt: skip


def replace_text(run: Path, name: str, text: str) -> None:
    """Write a text into a run's directory; a file there that was not written here is kept."""
    _make_way(run, {name: hashlib.sha256(text.encode("utf-8")).hexdigest()})
    write_text(run / name, text)


def make_way(run: Path, staged: Path, name: str) -> None:
    """Keep the files of a run's folder that were not written here and are about to be replaced.

    Args:
        run: The run's directory.
        staged: The files that are to lie in the folder.
        name: The folder's.

    Raises:
        ResourceError: A file cannot be moved aside, or the list not be written.
    """
    files = [path for path in sorted(staged.rglob("*")) if path.is_file()]
    _make_way(
        run, {f"{name}/{path.relative_to(staged).as_posix()}": sha256(path) for path in files}
    )


def remove_export(run: Path) -> None:
    """Remove from a run that goes on what makes its `adapter/` a model: that is written anew.

    Until then nobody takes an earlier state for the run's result. What else lies there stays, and
    what was not written here is kept by another name.

    Raises:
        ResourceError: Something cannot be removed.
    """
    known = _known(run)
    try:
        for name in EXPORTED:
            path = run / "adapter" / name
            if _is_known(path, known.get(f"adapter/{name}", [])):
                path.unlink()
            elif path.exists():
                _set_aside(path)
    except OSError as error:
        raise ResourceError(f"cannot remove {error.filename}: {error.strerror}") from error


def keep_other_record(run: Path) -> None:
    """Move aside a record.json that is none, from a run that goes on and will write its own."""
    if (run / "record.json").exists() and run_status(run) is None:
        _set_aside(run / "record.json")


def _make_way(run: Path, files: Mapping[str, str]) -> None:
    known = _known(run)
    try:
        for name in files:
            path = run / name
            if path.exists() and not path.is_dir() and not _is_known(path, known.get(name, [])):
                _set_aside(path)
    except OSError as error:
        raise ResourceError(f"cannot move {error.filename}: {error.strerror}") from error
    for name, digest in files.items():
        known[name] = [digest, *(old for old in known.get(name, []) if old != digest)][:KEPT]
    write_text(run / WRITTEN, json.dumps(known, indent=1) + "\n")


def _known(run: Path) -> dict[str, list[str]]:
    """Return the hashes of what was written here; a damaged list knows of nothing."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        found = read_json(run / WRITTEN, LARGEST)
        return {str(name): [str(digest) for digest in digests] for name, digests in found.items()}
    return {}


def _is_known(path: Path, digests: list[str]) -> bool:
    return bool(digests) and path.is_file() and sha256(path) in digests


def _set_aside(path: Path) -> None:
    names = itertools.chain(
        [f"{path.name}.kept"], (f"{path.name}.kept-{n}" for n in itertools.count(2))
    )
    new = next(new for name in names if not os.path.lexists(new := path.with_name(name)))
    path.rename(new)
    say(f"hwlit: {path} was not written by this run, and is kept as {new.name}", error=True)
