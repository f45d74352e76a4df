import json
import os

import pytest

from hwlit import storage
from hwlit.errors import IntegrityError, ResourceError, UsageError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def fail():
        with storage.replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_a_resource_error_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        storage.write_text(path, "new")
    assert path.read_text() == "old"


def test_the_temporary_file_lies_beside_the_target(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    with storage.replacing(tmp_path / "a.txt") as file:
        assert [p.name.startswith(storage.TEMPORARY_PREFIX) for p in tmp_path.iterdir()] == [True]
        file.write(b"x")


def test_every_bit_flip_and_truncation_is_found(tmp_path):
    path = tmp_path / "weights"
    content = bytes(range(64))
    storage.write_with_manifest(path, lambda file: file.write(content), {"step": 7})
    assert storage.verify(path)["step"] == 7
    damaged = [content[:-1], content + b"x", b""]
    damaged += [
        content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in range(len(content))
    ]
    for wrong in damaged:
        path.write_bytes(wrong)
        with pytest.raises(IntegrityError, match="differs from its manifest"):
            storage.verify(path)


@pytest.mark.parametrize("manifest", [None, "", "{", json.dumps({})])
def test_a_file_without_a_valid_manifest_does_not_exist(tmp_path, manifest):
    path = tmp_path / "weights"
    path.write_bytes(b"x")
    if manifest is not None:
        storage.manifest_path(path).write_text(manifest)
    with pytest.raises(IntegrityError):
        storage.verify(path)


def test_a_run_directory_is_claimed_once(tmp_path):
    folder = tmp_path / "deep" / "run"
    lock = storage.claim_directory(folder, "name")
    assert storage.read_owner(folder)["name"] == "name"
    with pytest.raises(UsageError, match=f"in use by another run .process {os.getpid()} on"):
        storage.claim_directory(folder, "name")
    lock.release()
    storage.claim_directory(folder, "killed before it had a config").release()
    (folder / "config.yaml").touch()
    with pytest.raises(UsageError, match="holds an earlier run or other files"):
        storage.claim_directory(folder, "name")


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    for name in (".tmp-1", "checkpoints/.tmp-2", "checkpoints/torn.ckpt", "adapter/config.json"):
        storage.write_text(tmp_path / name, "x")
    kept = tmp_path / "checkpoints" / "whole.ckpt"
    storage.write_with_manifest(kept, lambda file: file.write(b"x"), {"step": 1, "epoch": 0})
    storage.take_directory(tmp_path, "name", resumes=True).release()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".lock", "whole.ckpt", "whole.ckpt.manifest.json"}


def test_a_copy_is_as_whole_as_its_source(tmp_path):
    path = tmp_path / "a.ckpt"
    storage.write_with_manifest(path, lambda file: file.write(b"x" * 9), {"step": 1, "epoch": 0})
    copy = storage.copy_with_manifest(path, tmp_path / "other")
    assert storage.verify(copy) == storage.verify(path)
    path.write_bytes(b"y" * 9)
    with pytest.raises(IntegrityError):
        storage.copy_with_manifest(path, tmp_path / "third")


def test_a_finished_run_is_refused(tmp_path):
    (tmp_path / "record.json").write_text('{"status": "ok"}')
    with pytest.raises(UsageError, match="holds a finished run"):
        storage.claim_directory(tmp_path, "name")


def test_a_file_in_place_of_the_run_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        storage.claim_directory(tmp_path / "run", "name")


def test_a_directory_that_cannot_be_made_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="choose another --output"):
        storage.claim_directory(tmp_path / "file" / "run", "name")
