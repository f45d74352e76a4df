import hashlib
import re

import pytest
import torch
from PIL import Image

from hwlit.data import class_images as module
from hwlit.data.class_images import ClassImages
from hwlit.errors import DataError, IntegrityError
from hwlit.networks.diffusion import load_pipeline
from hwlit.networks.sampling import draw
from tests.pipelines import SIDE

SETTINGS = {"prompt": "photo of dog", "count": 4, "steps": 1, "guidance": 1.0, "size": SIDE}


@pytest.fixture
def theirs(tmp_path):
    (tmp_path / "theirs").mkdir()
    return tmp_path / "theirs"


@pytest.fixture
def make(tiny_pipelines):
    given = {"pretrained": tiny_pipelines["sd"], "dtype": torch.float32, **SETTINGS}
    return lambda **changes: ClassImages(**given | changes)


def test_missing_pictures_are_drawn_once_and_reused(make, tiny_pipelines):
    images = make()
    assert images.complete("cpu") == 4
    assert images.complete("cpu") == 0
    found = images.pictures()
    assert [picture.name.split("-")[0] for picture in found] == list("0123")
    for picture in found:
        digest = hashlib.sha1(picture.content.read_bytes()).hexdigest()
        assert re.fullmatch(rf"\d-{digest}\.png", picture.name)
    stock = load_pipeline(tiny_pipelines["sd"], torch.float32, "cpu")
    wanted = draw(stock, ["photo of dog"] * 4, range(4), steps=1, guidance=1.0)
    assert [p.load().tobytes() for p in found] == [p.tobytes() for p in wanted]


def test_an_interrupted_set_is_completed_to_what_it_would_have_been(make, monkeypatch):
    whole = make(guidance=2.0)
    whole.complete("cpu")
    names = [picture.name for picture in whole.pictures()]
    for name in names:
        (whole.folder / name).unlink()
    save = ClassImages._save

    def stop(images, number, picture):
        if number == 2:
            raise KeyboardInterrupt
        save(images, number, picture)

    monkeypatch.setattr(ClassImages, "_save", stop)
    with pytest.raises(KeyboardInterrupt):
        whole.complete("cpu")
    assert len(list(whole.folder.iterdir())) == 2
    monkeypatch.setattr(ClassImages, "_save", save)
    assert whole.complete("cpu") == 2
    assert [picture.name for picture in whole.pictures()] == names
    (whole.folder / names[3]).unlink()
    assert whole.complete("cpu") == 1
    assert [picture.name for picture in whole.pictures()] == names


def test_more_pictures_go_on_where_fewer_ended(make):
    fewer = make(count=1)
    fewer.complete("cpu")
    assert make(count=3).complete("cpu") == 2
    assert [p.name for p in fewer.pictures()] == [p.name for p in make(count=3).pictures()][:1]


def test_each_setting_has_a_folder_of_its_own(make, tiny_pipelines):
    changes = [
        {},
        {"prompt": "red circle"},
        {"steps": 2},
        {"guidance": 3.0},
        {"size": 2 * SIDE},
        {"dtype": torch.bfloat16},
        {"pretrained": tiny_pipelines["sd_v"]},  # the same weights, another sampler
        {"pretrained": tiny_pipelines["sdxl"]},
    ]
    folders = {make(**change).folder for change in changes}
    assert len(folders) == len(changes)
    assert make(count=9).folder in folders  # a matter of how many, not of which


def test_a_damaged_picture_is_told(make):
    images = make(count=1)
    images.complete("cpu")
    file = next(images.folder.iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="is damaged; remove it, and it is drawn again"):
        images.complete("cpu")


def test_pictures_of_the_user_count_first(make, theirs):
    for name in ("z.jpg", "a.png"):
        Image.new("RGB", (50, 40), "green").save(theirs / name)
    (theirs / "notes.txt").write_text("x")
    images = make(given=theirs, count=3)
    assert images.complete("cpu") == 1
    assert [p.name[:2] for p in images.pictures()] == ["a.", "z.", "0-"]
    assert make(given=theirs, count=2).complete("cpu") == 0
    assert [p.name for p in make(given=theirs, count=2).pictures()] == ["a.png", "z.jpg"]
    assert {entry.name[:2] for entry in theirs.iterdir()} == {"a.", "z.", "0-", "no"}


def test_a_corrupt_picture_of_the_user_is_named(make, theirs):
    (theirs / "a.png").write_bytes(b"broken")
    images = make(given=theirs, count=1)
    assert images.complete("cpu") == 0
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        images.pictures()


def test_nothing_is_loaded_where_nothing_is_missing(make, monkeypatch):
    make().complete("cpu")
    monkeypatch.setattr(module, "load_pipeline", None)
    assert make().complete("cpu") == 0
