import os

import pytest

from hwlit import bounded_files
from hwlit.bounded_files import TooLargeError, read_bounded, read_json, read_rows


def test_no_more_is_read_than_allowed(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(TooLargeError, match="5 bytes"):
        read_bounded(path, 4)


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="no plain file"):
            read_bounded(path, 4)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "NaN", '{"a": Infinity}', "9" * 5000])
def test_what_is_no_json_is_refused_as_a_value(content, tmp_path):
    (tmp_path / "a").write_text(content)
    with pytest.raises(ValueError):  # noqa: PT011 - of several parsers
        read_json(tmp_path / "a")


def test_rows_are_read_by_their_names(tmp_path):
    (tmp_path / "a").write_text(
        '\ufeffstep,text\n1,"a\r\nb\rc"\n\n2,\n', encoding="utf-8", newline=""
    )
    rows = list(read_rows(tmp_path / "a"))
    assert rows == [{"step": "1", "text": "a\r\nb\rc"}, {"step": "2", "text": ""}]


@pytest.mark.parametrize("content", ["a,b\n1\n", "a\n1,2\n", 'a\n"1', "a\n\xff\n", "a\n1\n2\n3\n"])
def test_rows_that_are_none_are_refused_as_a_value(content, tmp_path, monkeypatch):
    monkeypatch.setattr(bounded_files, "MOST_ROWS", 2)
    (tmp_path / "a").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError):  # noqa: PT011 - of several parsers
        list(read_rows(tmp_path / "a"))


def test_a_table_is_bounded(tmp_path):
    (tmp_path / "a").touch()
    os.truncate(tmp_path / "a", 6 << 30)
    with pytest.raises(TooLargeError):
        list(read_rows(tmp_path / "a"))
