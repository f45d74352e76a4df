"""The one durable write, the manifest beside each checkpoint, and the run directory.

Everything that lands on disk goes through here. A file is written beside its target, flushed to the
disk and renamed, so that a target is either the old file or the whole new one, whatever happens in
between; the temporary file never lies on another file system.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hwlit.errors import IntegrityError, ResourceError, UsageError

TEMPORARY_PREFIX = ".tmp-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` when the block ends without an exception.

    Raises:
        ResourceError: The file cannot be written (no space, no permission).
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        _sync_directory(path.parent)
    except OSError as error:
        raise ResourceError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, durably."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_with_manifest(
    path: Path, write: Callable[[BinaryIO], None], facts: dict[str, Any]
) -> None:
    """Write a file durably, then its manifest: a file without a valid manifest does not exist.

    Args:
        path: The file to write.
        write: Writes the content to the open file.
        facts: What the manifest says beside size and hash (step, epoch), plain data.
    """
    with replacing(path) as file:
        write(file)
    manifest = {"file": path.name, "size": path.stat().st_size, "sha256": sha256(path), **facts}
    write_text(manifest_path(path), json.dumps(manifest) + "\n")


def manifest_path(path: Path) -> Path:
    """Return where the manifest of `path` lies."""
    return path.with_name(path.name + ".manifest.json")


def verify(path: Path) -> dict[str, Any]:
    """Compare a file with its manifest and return the manifest.

    Raises:
        IntegrityError: The manifest is missing or damaged, or the file differs from it.
    """
    try:
        manifest: dict[str, Any] = json.loads(manifest_path(path).read_text(encoding="utf-8"))
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"{path} has no readable manifest ({error}); use another checkpoint"
        ) from error
    if size != manifest.get("size") or sha256(path) != manifest.get("sha256"):
        raise IntegrityError(
            f"{path} differs from its manifest: it is damaged; use another checkpoint"
        )
    return manifest


def remove_with_manifest(path: Path) -> None:
    """Remove a file and its manifest, the manifest first, so that it never names what is gone."""
    manifest_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def claim_directory(path: Path) -> Path:
    """Make a directory for one run and return its absolute path.

    Raises:
        UsageError: The path is a file, or a directory that holds anything already.
        ResourceError: The directory cannot be made or written.
    """
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise UsageError(f"--output {path} is a file; give a directory that is new or empty")
    if path.is_dir() and any(path.iterdir()):
        what = "a finished run" if _status(path) == "ok" else "an earlier run or other files"
        raise UsageError(
            f"--output {path} holds {what}; a run never overwrites: give another directory"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Made exclusively, so that of two runs that start at once only one gets the directory.
        os.close(os.open(path / ".claim", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise UsageError(
            f"--output {path} was just taken by another run; give another one"
        ) from None
    except OSError as error:
        raise ResourceError(
            f"cannot write to {path}: {error.strerror}; choose another --output"
        ) from error
    return path


def _status(run: Path) -> str | None:
    try:
        return str(json.loads((run / "record.json").read_text(encoding="utf-8"))["status"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # some network file systems cannot sync a directory
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
