import os
import threading

import pytest

from hwlit.bounded_files import told_size
from hwlit.data import files
from hwlit.data.content import read_content
from hwlit.data.files import check_file, check_memory, open_file, read_bytes
from hwlit.errors import DataError, ResourceError


def test_a_plain_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "y").symlink_to("x")
    for name in "xy":
        assert read_bytes(tmp_path / name, 3, "a word") == b"abc"


def test_a_larger_file_is_refused_with_both_sizes(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(DataError, match=r"has 10\.0 GiB, and a word has at most 3 bytes; replace"):
        read_bytes(tmp_path / "x", 3, "a word")
    with pytest.raises(DataError, match=r"at most 3 bytes"):  # of no size, as the kernel's are
        read_bytes(files.Path("/proc/self/status"), 3, "a word")


def test_what_is_no_file_is_refused_by_its_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, told in {
        tmp_path: "is a directory",
        tmp_path / "pipe": "is a named pipe",
        tmp_path / "loop": "cannot be read",
        tmp_path / "none": "does not exist",
        tmp_path / ("x" * 5000): "File name too long",
        files.Path("/dev/zero"): "is a device",
        files.Path("a\0b"): "cannot be read",
    }.items():
        with pytest.raises(DataError, match=told):
            check_file(path)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "x.csv")
    monkeypatch.setattr(files, "check_file", lambda path: None)
    done = threading.Event()

    def read():
        with pytest.raises(DataError, match="no plain file"):
            open_file(tmp_path / "x.csv")
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(60)


def test_what_memory_does_not_suffice_for_is_refused_with_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "free_memory", lambda: 1 << 20)
    check_memory(tmp_path, 1 << 20, "1 row")
    with pytest.raises(
        ResourceError, match=r"holds 9 rows, .* about 2\.0 MiB .* 1\.0 MiB are free"
    ):
        check_memory(tmp_path, 2 << 20, "9 rows")
    (tmp_path / "x.csv").write_text("a,b\n" * 100_000)  # short: it is the rows that take memory
    monkeypatch.setattr(files, "free_memory", lambda: 10 << 20)
    with pytest.raises(ResourceError, match="holds 100,000 lines in 390"):
        read_content(tmp_path / "x.csv", "CSV")


def test_sizes_are_told_in_the_unit_that_people_read():
    sizes = [0, 1023, 1024, 1536, 5 << 20, 10 << 30, 3 << 40, 5000 << 40]
    told = ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "5.0 MiB", "10.0 GiB", "3.0 TiB"]
    assert [told_size(size) for size in sizes] == [*told, "5,000.0 TiB"]
