import io
import os
import warnings

import numpy as np
import pytest
from PIL import Image, features

from hwlit.data import picture_folder, pictures
from hwlit.data.pictures import FORMATS, MOST_PIXELS, decode, read_folder
from hwlit.errors import DataError

RED = (200, 10, 20)


def encoded(image, kind, **given):
    file = io.BytesIO()
    image.save(file, kind, **given)
    return file.getvalue()


def colours():
    """Left half red, right half blue, 8 wide and 4 high."""
    levels = np.zeros((4, 8, 3), np.uint8)
    levels[:, :4], levels[:, 4:] = RED, (10, 20, 200)
    return Image.fromarray(levels)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "webp", "gif"])
def test_lossless_formats_keep_their_colours(kind):
    content = encoded(colours(), kind, **({"lossless": True} if kind == "webp" else {}))
    found = decode(content, "x")
    assert (found.mode, found.size) == ("RGB", (8, 4))
    assert np.array_equal(np.asarray(found), np.asarray(colours()))


@pytest.mark.parametrize(
    ("turn", "red_at"),
    [(1, "left"), (2, "right"), (3, "right"), (6, "top"), (8, "bottom")],
)
def test_a_camera_that_was_turned_gives_an_upright_picture(turn, red_at):
    exif = Image.Exif()
    exif[0x0112] = turn
    found = np.asarray(decode(encoded(colours(), "png", exif=exif), "x"))
    height, width = found.shape[:2]
    assert (width, height) == ((4, 8) if turn > 4 else (8, 4))
    place = {"left": (0, 0), "right": (0, -1), "top": (0, 0), "bottom": (-1, 0)}[red_at]
    assert tuple(found[place]) == RED


def test_what_is_transparent_becomes_white():
    levels = np.zeros((2, 2, 4), np.uint8)
    levels[..., :3] = RED
    levels[0, 0, 3], levels[0, 1, 3], levels[1, :, 3] = 255, 0, 128
    found = np.asarray(decode(encoded(Image.fromarray(levels), "png"), "x")).astype(int)
    assert tuple(found[0, 0]) == RED
    assert tuple(found[0, 1]) == (255, 255, 255)
    half = [round((value * 128 + 255 * 127) / 255) for value in RED]
    assert abs(found[1, 0] - half).max() <= 1
    grey = Image.fromarray(np.array([[[9, 0], [9, 255]]], np.uint8))
    assert grey.mode == "LA"
    assert np.asarray(decode(encoded(grey, "png"), "x"))[0, :, 0].tolist() == [255, 9]


def test_a_palette_with_a_transparent_colour_is_white_there():
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    found = np.asarray(decode(encoded(palette, "png", transparency=1), "x"))
    assert [tuple(pixel) for pixel in found[0]] == [RED, (255, 255, 255)]


def test_deep_grey_keeps_its_upper_bits():
    levels = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)
    for kind in ("png", "tiff"):
        found = np.asarray(decode(encoded(Image.fromarray(levels), kind), "x"))
        assert found[0, :, 0].tolist() == [0, 0, 1, 156, 255]
        assert found.shape == (1, 5, 3)


def test_grey_and_one_bit_become_rgb():
    grey = Image.fromarray(np.array([[7, 250]], np.uint8))
    assert np.asarray(decode(encoded(grey, "png"), "x"))[0].tolist() == [[7] * 3, [250] * 3]
    bits = Image.fromarray(np.array([[True, False]]))
    assert np.asarray(decode(encoded(bits, "png"), "x"))[0].tolist() == [[255] * 3, [0] * 3]


def test_cmyk_is_converted():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = np.asarray(decode(encoded(cmyk, "jpeg"), "x")).reshape(-1, 3).mean(axis=0)
    assert found[0] > 200 > 60 > found[1:].max()


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert decode(content, "x").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", b"\x89PNG\r\n\x1a\n", encoded(colours(), "png")[:60],
     encoded(Image.new("RGB", (64, 64)), "jpeg")[:300]],
)  # fmt: skip
def test_what_cannot_be_decoded_is_one_sentence(content):
    with pytest.raises(
        DataError, match=r"dog\.png cannot be read \(.+\); replace or remove"
    ) as told:
        decode(content, "dog.png")
    assert "\n" not in str(told.value)


def test_floating_point_has_no_scale():
    content = encoded(Image.fromarray(np.ones((2, 2), np.float32)), "tiff")
    with pytest.raises(DataError, match="floating-point pixels have no agreed scale"):
        decode(content, "x.tif")


def test_a_decompression_bomb_is_refused_before_it_unpacks(monkeypatch):
    content = encoded(Image.new("1", (3000, 3000)), "png")
    assert len(content) < 5000
    monkeypatch.setattr(pictures, "MOST_PIXELS", 5_000_000)
    told = r"x\.png has more than 5,000,000 pixels \(3000 x 3000 pixels\), .*; make it smaller"
    with pytest.raises(DataError, match=told):
        decode(content, "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)  # told by Pillow
    with pytest.raises(DataError, match=r"5,000,000 pixels \(Image size \(9000000 pixels\)\)"):
        decode(content, "x.png")


@pytest.fixture
def folder(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.webp"):
        colours().resize((16, 8), 0).save(tmp_path / name, name[2:].lower().replace("jpg", "jpeg"))
    (tmp_path / "notes.md").write_text("text")
    (tmp_path / "photo.heic").write_bytes(b"x")
    (tmp_path / "below").mkdir()
    os.symlink(tmp_path / "loop.png", tmp_path / "loop.png")
    os.symlink(tmp_path, tmp_path / "below" / "up")
    return tmp_path


def test_a_folder_gives_its_pictures_and_counts_the_rest(folder):
    found = read_folder(folder, "error")
    assert [picture.name for picture in found.found] == ["a.jpg", "b.PNG", "c.webp"]
    assert {(p.width, p.height) for p in found.found} == {(16, 8)}
    assert found.listing.others == {".heic": 1, ".md": 1, "no file": 2}
    assert found.found[1].load().getpixel((0, 0)) == RED


def test_a_corrupt_picture_is_named_or_left_out(folder):
    (folder / "b.PNG").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"b\.PNG cannot be read .* or set --data\.corrupt skip"):
        read_folder(folder, "error")
    found = read_folder(folder, "skip")
    assert [picture.name for picture in found.found] == ["a.jpg", "c.webp"]
    assert list(found.skipped) == ["b.PNG"]


@pytest.mark.parametrize("size", [(6000, 1), (7, 9), (20, 401)])
def test_a_picture_that_no_square_can_be_cut_from_is_named_or_left_out(size, folder):
    Image.new("RGB", size).save(folder / "line.png")
    told = rf"line\.png has {size[0]} x {size[1]} pixels, .* or set --data\.corrupt skip"
    with pytest.raises(DataError, match=told):
        read_folder(folder, "error")
    assert list(read_folder(folder, "skip").skipped) == ["line.png"]
    Image.new("RGB", (8, 160)).save(folder / "line.png")
    assert len(read_folder(folder, "error").found) == 4


def test_nothing_but_corrupt_pictures_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(
        DataError, match=r"none of the 1 pictures of .* can be read; the first: a\.png"
    ):
        read_folder(tmp_path, "skip")


def test_a_folder_without_pictures_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match=r" is empty; give the folder .* by --other$"):
        read_folder(tmp_path, "skip", "--other")
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"but 1 of \.heic; convert them to png or jpg"):
        read_folder(tmp_path, "skip")


def test_other_formats_that_pillow_knows_are_refused(tmp_path):
    others = ("EPS", "ICO", "ICNS", "JPEG2000", "PCX", "PDF", "PPM", "SGI", "TGA", "XBM", "DDS")
    assert not {*others} & {*FORMATS}
    for kind in others:
        content = encoded(Image.new("1" if kind == "XBM" else "RGB", (16, 16)), kind)
        with pytest.raises(DataError, match="no picture of a known format"):
            decode(content, "x.png")


def test_a_photo_of_a_hundred_megapixels_is_read(monkeypatch):
    assert 11_648 * 8_736 < MOST_PIXELS < 13_000 * 13_000
    # Pillow's own limit lies below, and its warning reaches nobody.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    content = encoded(colours(), "png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(content, "x").size == (8, 4)


def test_of_an_animation_of_many_frames_one_is_read():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "gif", save_all=True, append_images=frames[1:], duration=10)
    last = content.rindex(b"\x21\xf9")  # where the second frame begins; again and again
    content = content[:last] + content[last:-1] * 100_000 + content[-1:]
    assert decode(content, "x").size == (16, 16)


def test_more_pictures_than_are_read_are_refused(folder, monkeypatch):
    monkeypatch.setattr(picture_folder, "MOST_PICTURES", 2)
    with pytest.raises(DataError, match="holds 3 pictures, and at most 2 are read"):
        read_folder(folder, "skip")


def test_a_picture_that_became_a_pipe_is_not_waited_for(folder):
    found = read_folder(folder, "error").found[0]
    (folder / "a.jpg").unlink()
    os.mkfifo(folder / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg is a named pipe"):
        found.load()


def test_heic_is_named_whatever_it_is_called(folder):
    (folder / "b.heic.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(DataError, match=r"b\.heic\.jpg cannot be read \(HEIC, .*\); convert it to"):
        read_folder(folder, "error")


@pytest.mark.parametrize("ending", ["jfif", "JPE", "mpo", "avif"])
def test_pictures_by_their_rarer_names_are_read(tmp_path, ending):
    kind = "avif" if ending == "avif" else "jpeg"
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no decoder of AVIF")
    (tmp_path / f"a.{ending}").write_bytes(encoded(colours().resize((32, 16), 0), kind))
    (picture,) = read_folder(tmp_path, "error").found
    assert (picture.width, picture.height) == (32, 16)
    assert np.abs(np.asarray(picture.load())[4, 4].astype(int) - RED).max() < 30
