import hashlib
import re

import numpy as np
import pytest
import torch
from PIL import Image

from hwlit.data import class_images as module
from hwlit.data.class_images import ClassImages
from hwlit.errors import DataError, IntegrityError, Interrupted, UsageError
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
    found = images.pictures().found
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
    names = [picture.name for picture in whole.pictures().found]
    for name in names:
        (whole.folder / name).unlink()
    save = ClassImages._save

    def stop(images, number, picture):
        if number == 2:
            raise Interrupted(2)
        save(images, number, picture)

    monkeypatch.setattr(ClassImages, "_save", stop)
    with pytest.raises(Interrupted) as told:
        whole.complete("cpu")
    assert told.value.__notes__ == [
        f"the class pictures that were drawn are kept in {whole.folder}"
    ]
    assert len(list(whole.folder.iterdir())) == 2
    monkeypatch.setattr(ClassImages, "_save", save)
    assert whole.complete("cpu") == 2
    assert [picture.name for picture in whole.pictures().found] == names
    (whole.folder / names[3]).unlink()
    assert whole.complete("cpu") == 1
    assert [picture.name for picture in whole.pictures().found] == names


def test_more_pictures_go_on_where_fewer_ended(make):
    fewer = make(count=1)
    fewer.complete("cpu")
    assert make(count=3).complete("cpu") == 2
    assert [p.name for p in fewer.pictures().found] == [
        p.name for p in make(count=3).pictures().found
    ][:1]


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
    assert [p.name[:2] for p in images.pictures().found] == ["a.", "z.", "0-"]
    assert make(given=theirs, count=2).complete("cpu") == 0
    assert [p.name for p in make(given=theirs, count=2).pictures().found] == ["a.png", "z.jpg"]
    assert {entry.name[:2] for entry in theirs.iterdir()} == {"a.", "z.", "no"}  # it is only read
    facts = images.facts(images.pictures().found, 1)
    assert (facts["given"], facts["steps"], facts["folder"]) == (2, 1, str(theirs))


def test_a_folder_of_folders_of_pictures_is_refused_before_any_is_drawn(make, theirs, monkeypatch):
    (theirs / "1_dog").mkdir()
    Image.new("RGB", (50, 40)).save(theirs / "1_dog" / "a.png")
    monkeypatch.setattr(module, "load_pipeline", None)
    told = (
        r"but 1 folder of pictures \(1_dog with 1\); give one of them by --data\.class_images_path"
    )
    with pytest.raises(DataError, match=told):
        make(given=theirs, count=2).complete("cpu")


def test_what_a_folder_without_pictures_holds_is_told(make, theirs):
    (theirs / "a.heic").write_bytes(b"x")
    images = make(given=theirs, count=1)
    images.complete("cpu")
    assert "1 of .heic, which hwlit does not read" in images.pictures().listing.remarks()[0]


def test_a_corrupt_picture_of_the_user_is_told_before_any_is_drawn(make, theirs, monkeypatch):
    (theirs / "a.png").write_bytes(b"broken")
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_pipeline", None)
        with pytest.raises(DataError, match=r"a\.png cannot be read .* --data\.corrupt skip"):
            make(given=theirs, count=2).complete("cpu")
    Image.new("RGB", (50, 40)).save(theirs / "b.png")
    images = make(given=theirs, count=2, corrupt="skip")
    assert images.complete("cpu") == 1  # for the broken one is none
    read = images.pictures()
    assert [p.name[:2] for p in read.found] == ["b.", "0-"]
    assert "out of the class pictures: a.png" in images.remarks(read.skipped)[0]


def test_an_empty_caption_is_told_before_any_is_drawn(make, theirs, monkeypatch):
    Image.new("RGB", (50, 40)).save(theirs / "b.png")
    (theirs / "b.txt").write_text(" ")
    monkeypatch.setattr(module, "load_pipeline", None)
    with pytest.raises(DataError, match=r"is empty \(b\.txt\); write it or remove the file"):
        make(given=theirs, count=2).complete("cpu")


def test_pictures_say_how_they_were_drawn(make, theirs):
    images = make(given=theirs, count=2)
    images.complete("cpu")
    found = images.pictures().found
    with Image.open(found[1].content) as image:
        assert image.info == {
            "prompt": "photo of dog", "steps": "1", "guidance": "1.0", "seed": "1"
        }  # fmt: skip
    assert images.remarks({}) == []
    facts = images.facts(found, 2)
    assert (facts["steps"], facts["guidance"], facts["given"]) == (1, 1.0, 0)


def test_pictures_that_hwlit_drew_into_a_folder_once_are_not_drawn_again(make, theirs):
    make(count=2).complete("cpu")
    for file in make(count=2).folder.iterdir():
        (theirs / file.name).write_bytes(file.read_bytes())
    images = make(given=theirs, count=3)
    images.complete("cpu")
    assert [int(p.name.partition("-")[0]) for p in images.pictures().found] == [0, 1, 2]
    assert images.facts(images.pictures().found, 1)["given"] == 2


def test_what_hwlit_did_not_draw_has_no_steps(make, theirs):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (50, 40)).save(theirs / name)
    images = make(given=theirs, count=2)
    found = images.pictures().found
    facts = images.facts(found, images.complete("cpu"))
    assert (facts["given"], facts["steps"], facts["guidance"]) == (2, None, None)
    assert images.remarks({}) == []


def test_nothing_is_loaded_where_nothing_is_missing(make, monkeypatch):
    make().complete("cpu")
    monkeypatch.setattr(module, "load_pipeline", None)
    assert make().complete("cpu") == 0


def test_a_picture_without_end_under_a_name_of_ours_is_refused(make, theirs):
    with (theirs / f"0-{'0' * 40}.png").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(DataError, match=r"has 10\.0 GiB, and a picture has at most 1\.0 GiB"):
        make(given=theirs).complete("cpu")


def broken(monkeypatch, spoil):
    """Let the pipeline that draws be broken."""
    load = module.load_pipeline

    def loaded(*given):
        pipeline = load(*given)
        with torch.no_grad():
            spoil(pipeline.vae.decoder)
        return pipeline

    monkeypatch.setattr(module, "load_pipeline", loaded)


def kept(images):
    return sorted(images.folder.iterdir()) if images.folder.is_dir() else []


def test_pictures_that_are_not_finite_are_neither_kept_nor_trained_on(make, monkeypatch):
    images = make(guidance=4.0)
    broken(monkeypatch, lambda decoder: decoder.conv_in.weight.fill_(float("nan")))
    with pytest.raises(UsageError, match="for 'photo of dog' and seed 0 are not finite"):
        images.complete("cpu")
    assert kept(images) == []


@pytest.mark.parametrize("level", [-9.0, 9.0, 0.1])
def test_pictures_of_one_colour_are_neither_kept_nor_trained_on(level, make, monkeypatch):
    def flat(decoder):
        decoder.conv_out.weight.zero_()
        decoder.conv_out.bias.fill_(level)

    images = make(guidance=4.0)
    broken(monkeypatch, flat)
    with pytest.raises(UsageError, match=r"are of one colour.*--data\.class_images_path"):
        images.complete("cpu")
    assert kept(images) == []


def test_pictures_of_one_colour_that_were_kept_before_are_drawn_anew(make, capsys):
    images = make(guidance=5.0)
    images.complete("cpu")
    wanted = [path.name for path in kept(images)]
    kept(images)[1].unlink()
    images._save(1, Image.new("RGB", (SIDE, SIDE)))  # as an earlier version did
    assert images.complete("cpu") == 1
    assert [path.name for path in kept(images)] == wanted
    assert "1 class pictures in" in capsys.readouterr().err
    assert images.complete("cpu") == 0
    assert capsys.readouterr().err == ""


def test_what_is_too_large_to_be_of_one_colour_is_not_decoded(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "decode", None)
    (tmp_path / "a.png").write_bytes(b"x" * (module.BLANK_BYTES[0] + 1))
    assert not make()._is_blank(tmp_path / "a.png")
    monkeypatch.undo()
    Image.new("RGB", (4000, 4000), (200, 3, 30)).save(tmp_path / "b.png")
    assert make(size=4000)._is_blank(tmp_path / "b.png")
    noise = np.random.default_rng(0).integers(0, 3, (1024, 1024, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "c.png")
    assert make(size=1024)._is_blank(tmp_path / "c.png")


@pytest.mark.parametrize("count", [1, 4])
def test_equal_pictures_are_neither_kept_nor_trained_on(count, make, monkeypatch):
    images = make(guidance=4.0, count=count)
    load = module.load_pipeline

    def loaded(*given):
        pipeline = load(*given)
        edge = torch.linspace(-1, 1, SIDE).expand(3, SIDE, SIDE)
        pipeline.vae.decode = lambda z, **_: (edge.expand(len(z), -1, -1, -1),)
        return pipeline

    monkeypatch.setattr(module, "load_pipeline", loaded)
    with pytest.raises(UsageError, match=r"are all equal.*--data\.class_images_path"):
        images.complete("cpu")
    assert kept(images) == []


def striped(level):
    picture = Image.new("RGB", (SIDE, SIDE))
    picture.paste((level, 0, 0), (0, 0, 3, 3))
    return picture


@pytest.mark.parametrize(
    ("spoilt", "anew"),
    [({1: 2}, 1), ({0: 90, 1: 90, 2: 91, 3: 90}, 4), ({0: 90, 1: 120}, 0)],
)
def test_equal_or_nearly_black_pictures_that_were_kept_are_drawn_anew(spoilt, anew, make, capsys):
    images = make(guidance=5.0)
    images.complete("cpu")
    files = {int(path.name.partition("-")[0]): path for path in kept(images)}
    for number, level in spoilt.items():
        files[number].unlink()
        images._save(number, striped(level))
    assert images.complete("cpu") == anew
    assert (f"{anew} class pictures in" in capsys.readouterr().err) == bool(anew)
    assert set(files.values()) <= {*kept(images)} or not anew


def test_a_copy_under_another_number_is_drawn_anew(make):
    images = make(guidance=5.0)
    images.complete("cpu")
    wanted = kept(images)
    wanted[1].unlink()
    copy = images.folder / wanted[0].name.replace("0-", "1-", 1)
    copy.write_bytes(wanted[0].read_bytes())
    assert images.complete("cpu") == 2  # for which of the two it is cannot be told by the name
    assert kept(images) == wanted


def test_a_set_is_completed_to_the_same_bytes_whatever_is_missing(make):
    images = make(guidance=6.0, count=6)
    images.complete("cpu")
    wanted = kept(images)
    for missing in ([0], [1, 5], [0, 1, 2, 4]):
        for number in missing:
            wanted[number].unlink()
        assert images.complete("cpu") == len(missing)
        assert kept(images) == wanted


def test_fewer_are_drawn_alike(make):
    make(count=1).complete("cpu")
    fewer = kept(make())
    make(count=3).complete("cpu")
    assert [path.name[0] for path in fewer] == ["0"]
    assert kept(make())[:1] == fewer
