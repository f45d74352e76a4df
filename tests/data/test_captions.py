import json

import pytest

from hwlit.data.captions import read_captions
from hwlit.errors import DataError

NAMES = ["a.jpg", "b.png", "c.png"]


def test_a_caption_of_its_own_comes_before_the_list(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffa photo of\n sks dog \n", encoding="utf-8")
    (tmp_path / "other.txt").write_text("of no picture")
    rows = '{"file_name": "a.jpg", "text": "lost"}\n\n{"file_name": "b.png", "text": "on grass"}\n'
    (tmp_path / "metadata.jsonl").write_text(rows)
    assert read_captions(tmp_path, NAMES) == {"a.jpg": "a photo of sks dog", "b.png": "on grass"}
    assert read_captions(tmp_path, ["c.png"]) == {}


def test_an_empty_caption_is_refused(tmp_path):
    (tmp_path / "b.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"the caption of .*b\.png is empty"):
        read_captions(tmp_path, NAMES)


@pytest.mark.parametrize("line", ["{", "[]", '{"file_name": "a.jpg"}', '"text"'])
def test_other_lines_are_named(tmp_path, line):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "t"}\n' + line)
    with pytest.raises(DataError, match=r"line 2 of .*metadata\.jsonl is no object with"):
        read_captions(tmp_path, NAMES)


def test_captions_are_texts(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": 3}')
    with pytest.raises(DataError, match="must be texts"):
        read_captions(tmp_path, NAMES)


def test_captions_are_utf_8(tmp_path):
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        read_captions(tmp_path, NAMES)


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "C:\\a.jpg", "x\\..\\..\\a.jpg"])
def test_names_outside_of_the_folder_are_refused(tmp_path, name):
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": name, "text": "t"}))
    with pytest.raises(DataError, match=r"line 1 of .* which is outside of its folder"):
        read_captions(tmp_path, NAMES)


def test_a_line_separator_of_unicode_ends_no_line(tmp_path):
    row = {"file_name": "a.jpg", "text": "one\u2028two"}
    (tmp_path / "metadata.jsonl").write_text(
        json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8"
    )
    assert read_captions(tmp_path, NAMES) == {"a.jpg": "one two"}


def test_a_caption_that_is_no_file_is_refused_and_not_passed_over(tmp_path):
    for target, told in (("/dev/zero", "is a device"), ("nowhere", "does not exist")):
        (tmp_path / "a.txt").symlink_to(target)
        with pytest.raises(DataError, match=rf"a\.txt {told}"):
            read_captions(tmp_path, NAMES)
        (tmp_path / "a.txt").unlink()
