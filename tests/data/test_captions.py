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
