import io
import os

import pytest
from PIL import Image

from hwlit.data import picture_folder
from hwlit.data.picture_folder import list_folder, some_of
from hwlit.data.pictures import read_folder
from hwlit.errors import DataError


@pytest.fixture
def put(tmp_path):
    """Writes pictures and other files into a folder; returns it."""

    def put(*names):
        content = io.BytesIO()
        Image.new("RGB", (16, 16), "red").save(content, "png")
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.getvalue() if path.suffix != ".md" else b"text")
        return tmp_path

    return put


def listed(folder):
    found = list_folder(folder, "--given")
    return [file.name for file in found.pictures], found.remarks()


def test_what_systems_leave_is_no_word_worth(put):
    folder = put("a.png", "._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._a.png")
    (folder / ".git").mkdir()
    assert listed(folder) == (["a.png"], [])
    assert list_folder(folder, "--given").others == {}


def test_hidden_pictures_are_left_out_with_a_word(put):
    folder = put("a.png", ".b.png", ".hidden.JPG")
    assert listed(folder) == (["a.png"], ["left out: 2 hidden pictures (.b.png, .hidden.JPG)"])
    assert list_folder(folder, "--given").others == {"hidden": 2}


def test_masks_of_pictures_are_left_out_with_a_word(put):
    folder = put("a.jpg", "a-masklabel.png", "A-CondLabel.PNG", "b.heic", "b-masklabel.png")
    names, (heic, masks) = listed(folder)
    assert names == ["a.jpg"]
    assert "1 of .heic" in heic
    told = "left out: 3 masks of other pictures (A-CondLabel.PNG, a-masklabel.png, b-masklabel.png)"
    assert masks.startswith(told)
    assert list_folder(folder, "--given").others == {".heic": 1, "mask": 3}


@pytest.mark.parametrize("name", ["a_mask.png", "a-Mask.jpg", "a.mask.png", "lone-masklabel.png"])
def test_what_may_be_a_mask_is_told(put, name):
    names, (told,) = listed(put("a.jpg", name, "dog_mask.png"))
    assert name in names
    assert told == f"trained on, though named like masks: {name}; move away what is one"


def test_formats_that_are_not_read_are_named(put):
    names, (told,) = listed(put("a.png", "a.HEIC", "b.dng", "c.jxl", "d.heic"))
    assert names == ["a.png"]
    assert told == (
        "left out: 1 of .dng, 2 of .heic, 1 of .jxl, which hwlit does not read (a.HEIC, b.dng, "
        "c.jxl and 1 more); convert them to png or jpg"
    )


def test_pictures_under_other_names_are_told(put):
    names, (told,) = listed(put("a.png", "IMG_1", "a.png_original", "notes"))
    assert names == ["a.png"]
    assert told.startswith(
        "left out: 3 pictures whose name does not end as a picture's (IMG_1, a.p"
    )
    lone = put("x/IMG_1") / "x"
    with pytest.raises(DataError, match="1 of no ending; rename what is to be read, such as IMG_1"):
        read_folder(lone, "skip")


def test_other_files_are_named_but_for_captions(put):
    folder = put("dog.png", "dog.md", "notes.md", "captions.csv", "dog.txt")
    for name in ("captions.csv", "dog.txt"):
        (folder / name).write_text("x")
    beside, others = list_folder(folder, "--given").remarks(["dog.txt"])
    assert beside == (
        "not read: 1 file beside a picture of the same name (dog.md); captions end in .txt or "
        ".caption"
    )
    assert others == (
        "not read: 2 files of other kinds (captions.csv, notes.md); captions of all pictures stand "
        "in metadata.csv or .jsonl"
    )


def test_folders_inside_are_named(put):
    folder = put("top.png", "10_sks dog/in.png", "10_sks dog/.x.png", "logs/notes.md")
    (told,) = listed(folder)[1]
    assert told == (
        "not read: 2 folders inside (10_sks dog, logs) with 1 picture; give such a folder by "
        "--given, or move them up"
    )
    (folder / "10_sks dog" / "in.png").unlink()
    assert listed(folder)[1] == ["not read: 2 folders inside (10_sks dog, logs) with 0 pictures"]


def test_captions_in_folders_are_named(put):
    folder = put("a.png")
    for name in ("captions/a.txt", "captions/b.Caption", "captions/deep/metadata.csv", "x/.y.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a sks dog")
    assert listed(folder)[1] == [
        "not read: 2 folders inside (captions, x) with 0 pictures and 3 text files "
        "(captions/a.txt, captions/b.Caption, captions/deep/metadata.csv); captions are read "
        "beside their pictures alone"
    ]


def test_links_to_nothing_and_what_else_is_no_file_are_named(put):
    folder = put("a.png")
    (folder / "dead.jpg").symlink_to("annexed.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "a.txt").symlink_to("nothing.txt")
    os.mkfifo(folder / "pipe.jpg")
    names, (told,) = listed(folder)
    assert names == ["a.png"]
    assert told == (
        "left out: 4 entries that lead to no file (a.txt, dead.jpg, loop.jpg and 1 more), as links "
        "do whose content is elsewhere (git annex get, dvc pull or git lfs pull fetch it)"
    )
    (folder / "a.png").unlink()
    with pytest.raises(
        DataError, match=r"but 4 of no file; fetch what links such as a\.txt stand f"
    ):
        read_folder(folder, "error")


def test_where_only_folders_hold_pictures_these_are_named(put):
    folder = put("10_sks dog/a.png", "10_sks dog/b.png", "1_dog/r.png", "train/cat/c.png")
    told = r"holds no picture itself, but 3 folders of pictures \(10_sks dog with 2, 1_dog with 1, "
    told += r"train/cat with 1\); give one of them by --given; the repeats in kohya's names"
    with pytest.raises(DataError, match=told):
        read_folder(folder, "error", "--given")


def test_a_list_of_captions_above_its_pictures_is_named(put):
    folder = put("images/a.png")
    (folder / "metadata.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"metadata\.jsonl is read beside the pictures alone$"):
        read_folder(folder, "error")


def test_a_large_tree_is_not_searched_whole(put, monkeypatch):
    folder = put(*(f"{i:02d}/a.png" for i in range(20)))
    monkeypatch.setattr(picture_folder, "MOST_LOOKED_AT", 10)
    assert 0 < len(list_folder(folder, "--given").below) < 20


def test_links_inside_are_not_followed(put):
    folder = put("a.png", "below/b.png")
    os.symlink(folder, folder / "below" / "up")
    assert list_folder(folder, "--given").below == {"below": 1}


def test_a_few_names_stand_for_many():
    assert some_of(["a", "b", "c"]) == "a, b, c"
    assert some_of(list("abcde")) == "a, b, c and 2 more"
    assert len(some_of(["a" * 500])) == 80


def test_a_folder_whose_files_cannot_be_looked_at_is_refused(put, monkeypatch):
    folder = put("a.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(picture_folder.Path, "is_file", refuse)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\); give another"):
        list_folder(folder, "--given")
