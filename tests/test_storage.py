import json
import os
from urllib.parse import unquote

import pytest

from hwlit import storage
from hwlit.errors import IntegrityError, ResourceError
from hwlit.temporaries import is_temporary


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
        assert [is_temporary(p.name) for p in tmp_path.iterdir()] == [True]
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


def test_a_copy_is_as_whole_as_its_source(tmp_path):
    path = tmp_path / "a.ckpt"
    storage.write_with_manifest(path, lambda file: file.write(b"x" * 9), {"step": 1, "epoch": 0})
    copy = storage.copy_with_manifest(path, tmp_path / "other")
    assert storage.verify(copy) == storage.verify(path)
    path.write_bytes(b"y" * 9)
    with pytest.raises(IntegrityError):
        storage.copy_with_manifest(path, tmp_path / "third")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<new1>", "%3Cnew1%3E"),
        ('a:b|c?d*e"f', "a%3Ab%7Cc%3Fd%2Ae%22f"),
        ("a/b\\c", "a%2Fb%5Cc"),
        ("100%3C", "100%253C"),
        ("con", "%63on"),
        ("LPT1.x", "%4CPT1.x"),
        ("conch", "conch"),
        (".a. ", "%2Ea.%20"),
        ("\x01\x7f", "%01%7F"),
        ("привет-\xe9", "привет-\xe9"),
    ],
)
def test_a_portable_name_is_one_that_windows_stores_and_gives_the_text_back(text, name):
    assert storage.portable_name(text) == name
    assert unquote(name) == text
