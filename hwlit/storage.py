"""The one durable write, of a file or a folder, and the manifest beside each checkpoint.

Everything that lands on disk goes through here. A file is written beside its target, flushed to the
disk and renamed, so that a target is either the old file or the whole new one, whatever happens in
between; the temporary file never lies on another file system. Its name tells its target and which
process writes it, so that what a killed process left is told from what is another's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hwlit.bounded_files import read_json
from hwlit.errors import IntegrityError, ResourceError
from hwlit.temporaries import remove_stale, temporary_prefix

MANIFEST = ".manifest.json"
LARGEST_MANIFEST = 1 << 20  # bytes
# What no name on Windows may hold, and the names of its devices, whatever ending follows.
RESERVED = re.compile(r'[<>:"/\\|?*%\x00-\x1f\x7f]|^[ .]|[ .]$')
DEVICES = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9\xb9\xb2\xb3])(?:\.|$)", re.IGNORECASE)
# What a manifest says, as far as hwlit relies on it.
TYPES: dict[str, tuple[type, ...]] = {
    "size": (int,), "sha256": (str,), "step": (int,), "epoch": (int,), "monitor": (str,),
    "score": (int, float), "threads": (int,), "torch": (str,),
}  # fmt: skip


@contextlib.contextmanager
def replacing(path: Path, before: Callable[[Path], None] | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` when the block ends without an exception.

    Args:
        path: The file.
        before: Called with the temporary file, whole and on the disk, before it is renamed.

    Raises:
        ResourceError: The file cannot be written (no space, no permission).
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path)
        handle, temporary = tempfile.mkstemp(prefix=temporary_prefix(path.name), dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        if before is not None:
            before(Path(temporary))
        os.replace(temporary, path)
        temporary = None
        _sync_directory(path.parent)
    except OSError as error:
        raise ResourceError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder; where the block ends without an exception its files become `folder`'s.

    A folder that is new or empty appears at once; into another each file is moved whole. What else
    it holds stays, and no file in it is ever written in place, so that no hard link is either.

    Raises:
        ResourceError: It cannot be written (no space, no permission).
    """
    staged: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(folder)
        staged = Path(tempfile.mkdtemp(prefix=temporary_prefix(folder.name), dir=folder.parent))
        yield staged
        staged.chmod(0o777 & ~_umask())
        for path in staged.rglob("*"):
            (_sync_directory if path.is_dir() else _sync)(path)
        try:
            staged.rename(folder)
        except OSError:  # it holds something
            _move_into(staged, folder)
        _sync_directory(folder.parent)
    except OSError as error:
        raise ResourceError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)


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
    """Write a file durably, its manifest before it: one without a manifest was not written here.

    Where it takes the place of another, the manifest describes both, so that either is known as
    whole if the process is killed between manifest and file.

    Args:
        path: The file to write.
        write: Writes the content to the open file.
        facts: What the manifest says beside size and hash (step, epoch), plain data.
    """

    def describe(temporary: Path) -> None:
        size, digest = temporary.stat().st_size, sha256(temporary)
        manifest = facts | {"file": path.name, "size": size, "sha256": digest}
        with contextlib.suppress(IntegrityError):
            manifest["replaces"] = verify(path)
        write_text(manifest_path(path), json.dumps(manifest) + "\n")

    with replacing(path, describe) as file:
        write(file)


def manifest_path(path: Path) -> Path:
    """Return where the manifest of `path` lies."""
    return path.with_name(path.name + MANIFEST)


def read_manifests(path: Path) -> list[dict[str, Any]]:
    """Return what the manifest of a file says of it, and of the file whose place it took, if any.

    Raises:
        IntegrityError: There is none, or it is damaged.
    """
    manifest = manifest_path(path)
    try:
        facts = read_json(manifest, LARGEST_MANIFEST)
        known = [facts, *([facts.pop("replaces")] if "replaces" in facts else [])]
        for each in known:
            _check_types(each)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path} has no readable manifest ({error}); use another checkpoint"
        ) from error
    return known


def is_own(path: Path) -> bool:
    """Return whether a file was written here under the name it has: its manifest says so.

    A copy with a copied manifest is whoever made it's.
    """
    try:
        return read_manifests(path)[0].get("file") == path.name
    except IntegrityError:
        return False


def verify(path: Path) -> dict[str, Any]:
    """Compare a file with its manifest and return the manifest.

    Raises:
        IntegrityError: The manifest is missing or damaged, or the file differs from it.
    """
    known = read_manifests(path)
    try:
        if path.is_file():
            size = path.stat().st_size
            digest = sha256(path) if size in [facts.get("size") for facts in known] else ""
            for facts in known:
                if (facts.get("size"), facts.get("sha256")) == (size, digest):
                    return facts
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read ({error}); use another checkpoint") from error
    raise IntegrityError(f"{path} differs from its manifest: it is damaged; use another checkpoint")


def manifests(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the files of a folder that have a readable manifest, with it, ascending by step.

    By the step in the manifest, never by the file's time, which copying and clocks change. The
    files are not compared with their hashes; see `verify`. A manifest alone describes nothing.
    """
    found = []
    for manifest in folder.glob("*" + MANIFEST):
        path = manifest.with_name(manifest.name.removesuffix(MANIFEST))
        if path.is_file() and not path.is_symlink() and not manifest.is_symlink():
            with contextlib.suppress(IntegrityError, LookupError):
                facts = read_manifests(path)[0]
                found.append(((facts["step"], facts["epoch"]), path, facts))
    return [(path, facts) for _, path, facts in sorted(found, key=lambda item: item[:2])]


def remove_with_manifest(path: Path) -> None:
    """Remove a file and its manifest, the file first: one without a manifest would be another's."""
    path.unlink(missing_ok=True)
    manifest_path(path).unlink(missing_ok=True)


def copy_with_manifest(path: Path, folder: Path) -> Path:
    """Copy a file and its manifest into a folder, durably, and return the copy."""
    facts, copy = verify(path), folder / path.name
    with path.open("rb") as source:
        write_with_manifest(copy, lambda file: shutil.copyfileobj(source, file), facts)
    return copy


def portable_name(text: str) -> str:
    """Return a text as a file's name that every system can store: `<new1>` is `%3Cnew1%3E`.

    `urllib.parse.unquote` gives the text back.
    """
    name = RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", text)
    return f"%{ord(name[0]):02X}{name[1:]}" if DEVICES.match(name) else name


def _check_types(facts: dict[str, Any]) -> None:
    for name, kinds in TYPES.items():
        value = facts.get(name)
        if name in facts and value is not None and type(value) not in kinds:
            raise ValueError(f"its {name} is {type(value).__name__}")
        if kinds == (int,) and value is not None and not 0 <= value < 2**63:
            raise ValueError(f"its {name} is out of range")


def _move_into(staged: Path, folder: Path) -> None:
    """Move every file of a folder into another that has some already."""
    for path in sorted(staged.rglob("*")):
        target = folder / path.relative_to(staged)
        if target.is_symlink() and target.is_dir():
            raise NotADirectoryError(f"{target} is a link")
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(path, target)
    for inside in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        _sync_directory(inside)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # some network file systems cannot sync a directory
        _sync(path)
