"""A run's directory: a tree of plain files, held by one process at a time.

What lies in it may have come from elsewhere. So nothing in it is read, written or removed through a
link, only what hwlit writes is ever removed, and what is not hwlit's stays.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwlit.bounded_files import read_json
from hwlit.errors import IntegrityError, ResourceError, UsageError
from hwlit.storage import manifest_path, write_text
from hwlit.temporaries import is_temporary, remove_temporaries

LOCK, OWNER, WRITTEN = ".lock", ".owner.json", ".written.json"
LARGEST_OWNER = 1 << 16  # bytes
FILES = (
    "config.yaml", "record.json", "metrics.csv", "predictions.csv", "test_rows.csv", WRITTEN, LOCK,
    OWNER,
)  # fmt: skip
FOLDERS = ("checkpoints", "adapter", "samples", "tensorboard")
# Written by other programs, some of which link there: nothing here reads it.
FOREIGN = ("wandb",)
# What a run has written before anything was trained or tested.
EARLY = ("tensorboard", "wandb", "lightning_logs")


def check_plain(run: Path) -> None:
    """Refuse a directory that holds a link, or what is neither file nor folder, at any depth.

    The directory itself may be reached by a link, which the user has named.

    Raises:
        IntegrityError: It holds one, which is named, or cannot be read.
    """
    folders = [run]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # whoever reads it says so
        except OSError as error:
            raise IntegrityError(f"{folder} cannot be read: {error.strerror}") from error
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.is_symlink():
                raise IntegrityError(
                    f"{entry.path} is a link, and a run is a tree of plain files; put the file "
                    "itself there, or remove the link"
                )
            if not is_folder and not entry.is_file(follow_symlinks=False):
                raise IntegrityError(f"{entry.path} is neither a file nor a folder; remove it")
            if folder == run and entry.name in (FILES if is_folder else FOLDERS):
                kind, due = ("folder", "file") if is_folder else ("file", "folder")
                raise IntegrityError(f"{entry.path} is a {kind} and should be a {due}; remove it")
            if is_folder and entry.name not in FOREIGN:
                folders.append(Path(entry.path))


def check_plain_file(path: Path) -> None:
    """Refuse a link, or what is neither file nor folder, in place of a file that may be missing.

    Raises:
        IntegrityError: It is one.
    """
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            what = "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
            raise IntegrityError(f"{path} is {what}; put the file itself there, or remove it")


@dataclass(frozen=True)
class Held:
    """A run's directory, held while the process lives.

    Args:
        path: The directory.
        lock: What holds it.
        made: Which directories were made for it, the deepest first.
        fresh: Whether it was new or empty.
    """

    path: Path
    lock: FileLock
    made: tuple[Path, ...] = ()
    fresh: bool = True

    def release(self) -> None:
        """Let others have it."""
        self.lock.release()

    def undo(self) -> None:
        """Leave the file system as it was before, where nothing was trained or tested yet.

        What is not ours stays, and with it the directory.
        """
        if not self.fresh:
            return
        with contextlib.suppress(OSError):  # not there, or another has written beside this run
            remove_temporaries(self.path)
            for name in EARLY:
                shutil.rmtree(self.path / name, ignore_errors=True)  # follows no link
            for name in FILES:  # the lock is among the last
                (self.path / name).unlink(missing_ok=True)
            for directory in self.made:
                directory.rmdir()


def take_directory(path: Path, name: str, resumes: bool) -> Held:
    """Take the directory of a new run, or of one that goes on, and hold it; see the two below."""
    if not resumes:
        if "\0" in str(path):
            raise UsageError("--output holds a NUL character; give another directory")
        try:
            return claim_directory(path, name)
        except OSError as error:  # no such name can be
            raise ResourceError(f"cannot write to --output: {error.strerror}") from error
    check_plain(path)
    lock = hold_directory(path)
    remove_temporaries(path)
    return Held(path, lock, fresh=False)


def claim_directory(path: Path, name: str) -> Held:
    """Make a directory for one new run, and hold it while the process lives.

    Args:
        path: The directory, new or empty.
        name: What the run is called.

    Returns:
        The directory; others may have it when the process ends, however it ends.

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
    made = _missing(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        held = Held(path, hold_directory(path, name), made)
        remove_temporaries(path)
    except (OSError, ResourceError) as error:
        with contextlib.suppress(OSError):
            for directory in made:
                directory.rmdir()
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(
            f"cannot write to {path}: {error.strerror}; choose another --output"
        ) from error
    return held


def _missing(path: Path) -> tuple[Path, ...]:
    """Return the directories that must be made for a path, the deepest first."""
    missing = []
    for directory in (path, *path.parents):
        with contextlib.suppress(OSError):
            if directory.exists():
                break
        missing.append(directory)
    return tuple(missing)


def _is_ours(entry: Path) -> bool:
    """Return whether a file is all that a run leaves that was killed before it had a config."""
    return entry.name in (LOCK, OWNER) or is_temporary(entry.name)


def hold_directory(path: Path, name: str | None = None) -> FileLock:
    """Hold a run's directory while the process lives; a name says for those who find it held, what.

    Raises:
        UsageError: Another run holds it.
        ResourceError: The directory cannot be written.
        IntegrityError: Its lock is none of ours.
    """
    _check_lock(path / LOCK)
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


def _check_lock(path: Path) -> None:
    """Refuse a lock that stands for another file: taking a lock may cut that to nothing."""
    check_plain_file(path)
    with contextlib.suppress(OSError):
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) or (found.st_nlink > 1 and found.st_size > 0):
            raise IntegrityError(f"{path} is no lock of hwlit's; remove it, or move it away")


def read_owner(path: Path) -> dict[str, Any]:
    """Return what is known of the run that a directory was made for: name, pid, host, since."""
    try:
        check_plain_file(path / OWNER)
        return dict(read_json(path / OWNER, LARGEST_OWNER))
    except (OSError, ValueError, TypeError, IntegrityError):
        return {}


def foreign_checkpoints(run: Path) -> list[Path]:
    """Return what is called a checkpoint in a run and has no manifest: it was put there."""
    found = sorted((run / "checkpoints").glob("*.ckpt"))
    return [path for path in found if not manifest_path(path).exists()]


def run_status(run: Path) -> str | None:
    """Return the status that a run's record claims; None where it claims none.

    Nothing else of it is looked at: who uses a record reads it whole, by `read_record`.
    """
    try:
        check_plain_file(run / "record.json")
        status = read_json(run / "record.json")["status"]
        return status if isinstance(status, str) else None
    except (OSError, ValueError, LookupError, TypeError, IntegrityError):
        return None
