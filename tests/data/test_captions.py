import json

import pytest

from hwlit.data.captions import find_captions, known_captions, read_captions
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
    with pytest.raises(DataError, match=r"b\.png is empty \(b\.txt\); write it or remove the f"):
        read_captions(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "is no object with file_name and text"),
        ('"text"', "is no object with"),
        ('{"file_name": "a.jpg", "labels": 3}', r"has no caption \(text, .*only 'file_name', 'lab"),
        ('{"text": "a sks dog"}', r"has no file name \(file_name, .*call the column file_name"),
        ("{}", "has no file name .*, only nothing"),
        ('{"file_name": "a.jpg", "text": null}', "has null as text; write a text there"),
        ('{"file_name": ["a.jpg"], "text": "x"}', r"has \[\"a\.jpg\"\] as file_name; write"),
        ('{"text": "x", "file_name": "b.png", "Text ": "y"}', "has the column 'text' twice"),
    ],
)
def test_other_lines_are_named(tmp_path, line, told):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "t"}\n' + line)
    with pytest.raises(DataError, match=rf"line 2 of .*metadata\.jsonl {told}"):
        read_captions(tmp_path, NAMES)


def test_captions_are_texts(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": 3}')
    with pytest.raises(DataError, match="has 3 as text; write a text there"):
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


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("dog.txt", "dog.jpg"),
        ("dog.caption", "dog.jpg"),
        ("dog.TXT", "dog.jpg"),
        ("dog.Caption", "dog.jpg"),
        ("dog.jpg.txt", "dog.jpg"),
        ("dog.jpg.caption", "dog.jpg"),
        ("dog.v1.txt", "dog.v1.jpg"),
        ("Dog.txt", "dog.JPG"),
        ("dog.txt", "DOG.jpg"),
        ("cafe\u0301.txt", "caf\xe9.jpg"),  # as macOS writes an accent, and as others do
        ("my dog (1) \xe9.txt", "my dog (1) \xe9.jpg"),
    ],
)
def test_a_caption_is_found_by_every_usual_name(tmp_path, file, picture):
    (tmp_path / file).write_text("a sks dog")
    found = find_captions(tmp_path, [picture])
    assert (found.texts, found.remarks) == ({picture: "a sks dog"}, ())


@pytest.mark.parametrize("file", ["00.txt", "0.jpg.png.txt", "dog.v1.caption", ".0.txt.txt"])
def test_a_caption_of_no_picture_is_named(tmp_path, file):
    (tmp_path / file).write_text("a sks dog")
    found = find_captions(tmp_path, ["0.jpg", "dog.v2.jpg"])
    assert found.texts == {}
    if file.startswith("."):
        assert found.remarks == ()  # hidden, as `._0.txt` of macOS is
    else:
        (told,) = found.remarks
        assert told.startswith(f"1 caption file belongs to no picture that is read ({file})")


def test_the_name_as_it_is_written_comes_first(tmp_path):
    for name, text in (("dog.txt", "small"), ("DOG.txt", "large"), ("Dog.txt", "lost")):
        (tmp_path / name).write_text(text)
    found = find_captions(tmp_path, ["dog.jpg", "DOG.jpg"])
    assert found.texts == {"dog.jpg": "small", "DOG.jpg": "large"}
    assert "1 caption file belongs to no picture that is read (Dog.txt)" in found.remarks[0]


def test_of_several_captions_the_first_counts_and_differences_are_told(tmp_path):
    for name in ("a.txt", "a.caption", "a.jpg.txt", "b.txt", "b.caption"):
        (tmp_path / name).write_text("the same" if name[0] == "b" else name)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "b.jpg", "text": "the  same"}')
    found = find_captions(tmp_path, ["a.jpg", "b.jpg"])
    assert found.texts == {"a.jpg": "a.jpg.txt", "b.jpg": "the same"}
    assert found.remarks == (
        "several captions, which differ: 1 of 2 pictures; read is a.jpg.txt for a.jpg",
    )
    (tmp_path / "b.txt").write_text("its own")
    told = find_captions(tmp_path, ["a.jpg", "b.jpg"]).remarks[0]
    assert told.endswith("2 of 2 pictures; read is a.jpg.txt for a.jpg, b.txt for b.jpg")


def test_one_caption_may_belong_to_two_pictures(tmp_path):
    (tmp_path / "dog.txt").write_text("a sks dog")
    (tmp_path / "dog.png.txt").write_text("a sks dog, too")
    found = find_captions(tmp_path, ["dog.jpg", "dog.png"])
    assert found.texts == {"dog.jpg": "a sks dog", "dog.png": "a sks dog, too"}
    assert "one caption for several pictures of the same name: dog.txt" in found.remarks


def test_what_a_reader_of_captions_should_know_is_told(tmp_path):
    (tmp_path / "a.txt").write_text("a sks dog\r\n\r\non grass\r\n")
    (tmp_path / "b.txt").write_text("sks, (masterpiece:1.2), <lora:x:1>\n")
    found = find_captions(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    assert found.texts["a.jpg"] == "a sks dog on grass"
    assert found.files == ("a.txt", "b.txt")
    bare, lines, marks = found.remarks
    assert bare == "no caption, so that the usual prompt is taken: 1 of 3 pictures (c.jpg)"
    assert lines.startswith("captions of several lines, which are read as one: 1 of 2 (a.jpg)")
    assert "1 of 2 captions, such as '(masterpiece:1.2)' of b.jpg" in marks


@pytest.mark.parametrize("name", ["metadata.csv", "Metadata.CSV"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_of_captions_is_read(tmp_path, name, end):
    rows = [
        "\ufefffile_name,width, caption",
        "a.jpg,3,a sks dog",
        "",
        './b.png,4,"on, ""grass""\u2028x"',
    ]
    (tmp_path / name).write_text(end.join(rows), encoding="utf-8", newline="")
    found = find_captions(tmp_path, NAMES[:2])
    assert found.texts == {"a.jpg": "a sks dog", "b.png": 'on, "grass" x'}
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "file_name,text\na.jpg,one, two",
            "line 2 of .* has 3 fields instead of 2; quote captions",
        ),
        ("file_name|text\na.jpg|one", "has no file name .*only 'file_name|text'; call the col"),
        (
            "file_name;text\na.jpg;one;two",
            "has 3 fields instead of 2; quote captions that contain ';' or line ends",
        ),
        ('file_name,text\na.jpg,"one', "line 2 of .*: unexpected end of data; correct its quotes"),
        ("file_name,text,text\na.jpg,one,two", "has the column 'text' twice"),
        ("file_name,text\n../a.jpg,one", "is outside of its folder"),
        ("file_name,text\na.jpg,one\na.jpg,two", "line 3 of .* has another caption for 'a.jpg'"),
        ("file_name,text\na.jpg,", r"is empty \(line 2 of .*csv\); write it or remove the row"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, text, told):
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_captions(tmp_path, NAMES)


@pytest.mark.parametrize("name", ["file_name", "image", "path"])
@pytest.mark.parametrize("text", ["text", "caption", "prompt"])
def test_other_columns_that_are_usual(tmp_path, name, text):
    row = {name: "A.jpg", text: "a sks dog", "label": 3}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    found = find_captions(tmp_path, NAMES)
    assert found.texts == {"a.jpg": "a sks dog"}
    row["caption" if text == "text" else "text"] = "another"
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    left = "caption" if text != "prompt" else "prompt"
    assert (
        f"metadata.jsonl: the column {left} is not read" in find_captions(tmp_path, NAMES).remarks
    )


def test_rows_of_no_picture_are_named_and_lists_that_differ_refused(tmp_path):
    rows = [{"file_name": name, "text": "t"} for name in ("a.jpg", "lost.jpg", "images\\b.png")]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = find_captions(tmp_path, NAMES).remarks[0]
    assert told == (
        "metadata.jsonl: 2 captions belong to no picture that is read (lost.jpg, images/b.png); "
        "move pictures and list into one folder"
    )
    (tmp_path / "metadata.csv").write_text("file_name,text\na.jpg,t\n")
    assert find_captions(tmp_path, NAMES).texts == {"a.jpg": "t"}
    (tmp_path / "metadata.csv").write_text("file_name,text\na.jpg,u\n")
    with pytest.raises(
        DataError, match=r"metadata\.csv has another caption for 'a\.jpg' than line 1"
    ):
        find_captions(tmp_path, NAMES)


def test_utf_16_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("a sks dog", encoding="utf-16")
    with pytest.raises(
        DataError, match=r"a\.txt is UTF-16 \(it begins with ff fe\); save it as UTF-8"
    ):
        read_captions(tmp_path, NAMES)
    (tmp_path / "a.txt").write_text("a sks dog", encoding="utf-32")
    with pytest.raises(DataError, match=r"UTF-32 \(it begins with ff fe 00 00\); save it"):
        read_captions(tmp_path, NAMES)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_with_another_separator_is_read(tmp_path, separator):
    rows = [("File_Name", "text"), ("a.jpg", "a sks dog, on grass")]
    (tmp_path / "metadata.csv").write_text("\n".join(map(separator.join, rows)))
    assert read_captions(tmp_path, NAMES) == {"a.jpg": "a sks dog, on grass"}


def test_columns_of_json_are_known_in_any_case(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"File_Name": "a.jpg", "TEXT": "a sks dog"}')
    assert read_captions(tmp_path, NAMES) == {"a.jpg": "a sks dog"}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_list_of_nothing_is_told(tmp_path, name):
    (tmp_path / name).write_text("\n")
    assert find_captions(tmp_path, NAMES).remarks == (f"{name} names no picture",)


def test_captions_that_lie_in_no_folder():
    found = known_captions({"a.jpg": "a  sks\ndog"}, ["a.jpg", "b.png"])
    assert found.texts == {"a.jpg": "a sks dog"}
    assert found.remarks[0].endswith("1 of 2 pictures (b.png)")
    assert known_captions({}, NAMES).remarks == ()


def test_a_list_above_the_folder_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "images/a.jpg", "text": "t"}')
    (told,) = find_captions(tmp_path / "images", NAMES).remarks
    assert told.startswith("not read: metadata.jsonl of the folder above; move it beside")
    (tmp_path / "images" / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "t"}')
    assert "above" not in "".join(find_captions(tmp_path / "images", NAMES).remarks)
