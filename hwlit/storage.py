"""The one durable write, the manifest beside each checkpoint, and the run directory.

Everything that lands on disk goes through here. A file is written beside its target, flushed to the
disk and renamed, so that a target is either the old file or the whole new one, whatever happens in
between; the temporary file never lies on another file system.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from hwlit.errors import IntegrityError, ResourceError, UsageError

TEMPORARY_PREFIX = ".tmp-"
MANIFEST = ".manifest.json"
LOCK, OWNER = ".lock", ".owner.json"


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


def cache_directory() -> Path:
    """Return where hwlit keeps what it can compute again: $HWLIT_CACHE, or the user's cache."""
    users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("HWLIT_CACHE") or Path(users, "hwlit"))


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
    manifest = facts | {"file": path.name, "size": path.stat().st_size, "sha256": sha256(path)}
    write_text(manifest_path(path), json.dumps(manifest) + "\n")


def manifest_path(path: Path) -> Path:
    """Return where the manifest of `path` lies."""
    return path.with_name(path.name + MANIFEST)


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


def manifests(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the files of a folder that have a readable manifest, with it, ascending by step.

    By the step in the manifest, never by the file's time, which copying and clocks change. The
    files are not compared with their hashes; see `verify`.
    """
    found = []
    for path in folder.glob("*" + MANIFEST):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            order = (int(facts["step"]), int(facts["epoch"]))
            found.append((order, path.with_name(path.name.removesuffix(MANIFEST)), facts))
    return [(path, facts) for _, path, facts in sorted(found, key=lambda item: item[:2])]


def remove_with_manifest(path: Path) -> None:
    """Remove a file and its manifest, the manifest first, so that it never names what is gone."""
    manifest_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def take_directory(path: Path, name: str, resumes: bool) -> FileLock:
    """Take the directory of a new run, or of one that goes on, and hold it; see the two below."""
    if not resumes:
        if "\0" in str(path):
            raise UsageError("--output holds a NUL character; give another directory")
        missing = missing_directories(path)
        try:
            return claim_directory(path, name)
        except ResourceError:
            if missing:
                release_directory(path, missing)
            raise
        except OSError as error:  # no such name can be
            raise ResourceError(f"cannot write to --output: {error.strerror}") from error
    lock = hold_directory(path)
    remove_leftovers(path)
    return lock


def claim_directory(path: Path, name: str) -> FileLock:
    """Make a directory for one new run, and hold it while the process lives.

    Args:
        path: The directory, new or empty.
        name: What the run is called.

    Returns:
        The lock; it opens when the process ends, however it ends.

    Raises:
        UsageError: The path is a file, or a directory that holds anything already.
        ResourceError: The directory cannot be made or written.
    """
    if path.is_file():
        raise UsageError(f"--output {path} is a file; give a directory that is new or empty")
    if path.is_dir() and not all(_is_ours(entry) for entry in path.iterdir()):
        if (path / OWNER).is_file():
            hold_directory(path).release()  # says so where it is in use
        what = "a finished run" if run_status(path) == "ok" else "an earlier run or other files"
        raise UsageError(
            f"--output {path} holds {what}; a run never overwrites: give another directory"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"cannot write to {path}: {error.strerror}; choose another --output"
        ) from error
    return hold_directory(path, name)


def missing_directories(path: Path) -> list[Path]:
    """Return the directories that must be made for `path`, the deepest first."""
    missing = []
    for directory in (path, *path.parents):
        with contextlib.suppress(OSError):
            if directory.exists():
                break
        missing.append(directory)
    return missing


def release_directory(path: Path, made: list[Path]) -> None:
    """Leave the file system as it was before a directory was claimed.

    Args:
        path: A directory that was new or empty when it was claimed, and is still held.
        made: What `missing_directories` returned before.
    """
    with contextlib.suppress(OSError):  # not there, or another run has written beside this one
        for inside in sorted(path.iterdir(), key=lambda inside: inside.name == LOCK):
            if inside.is_dir() and not inside.is_symlink():
                shutil.rmtree(inside, ignore_errors=True)
            else:
                inside.unlink(missing_ok=True)
        for directory in made:
            directory.rmdir()


def _is_ours(entry: Path) -> bool:
    """Return whether a file is all that a run leaves that was killed before it had a config."""
    return entry.name in (LOCK, OWNER) or entry.name.startswith(TEMPORARY_PREFIX)


def hold_directory(path: Path, name: str | None = None) -> FileLock:
    """Hold a run's directory while the process lives; a name says for those who find it held, what.

    Raises:
        UsageError: Another run holds it.
        ResourceError: The directory cannot be written.
    """
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = read_owner(path)
        raise UsageError(
            f"{path} is in use by another run (process {owner.get('pid', '?')} on "
            f"{owner.get('host', '?')} since {owner.get('since', '?')}); wait for it or give "
            "another directory"
        ) from None
    except OSError as error:
        raise ResourceError(
            f"cannot write to {path}: {error.strerror}; choose another --output"
        ) from error
    if name is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        owner = {"name": name, "pid": os.getpid(), "host": platform.node(), "since": now}
        write_text(path / OWNER, json.dumps(owner) + "\n")
    return lock


def read_owner(path: Path) -> dict[str, Any]:
    """Return what is known of the run that a directory was made for: name, pid, host, since."""
    try:
        return dict(json.loads((path / OWNER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def remove_leftovers(path: Path) -> None:
    """Remove what a process that was killed had not finished writing in a run's directory."""
    shutil.rmtree(path / "adapter", ignore_errors=True)
    for file in path.rglob(TEMPORARY_PREFIX + "*"):
        file.unlink(missing_ok=True)
    for checkpoint in path.glob("checkpoints/*.ckpt"):
        if not manifest_path(checkpoint).is_file():
            checkpoint.unlink(missing_ok=True)


def copy_with_manifest(path: Path, folder: Path) -> Path:
    """Copy a file and its manifest into a folder, durably, and return the copy."""
    facts, copy = verify(path), folder / path.name
    with path.open("rb") as source:
        write_with_manifest(copy, lambda file: shutil.copyfileobj(source, file), facts)
    return copy


def run_status(run: Path) -> str | None:
    """Return the status in a run's record; None where there is no readable one."""
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
