import io

import numpy as np
import pytest
from PIL import Image

from hwlit.data import picture_remarks
from hwlit.data.picture_remarks import first_of_its_kind, remarks_on_pictures
from hwlit.data.pictures import read_each


def photo(seed, size=(96, 96)):
    """Return a picture of soft shapes."""
    levels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


def encoded(image, kind="png", **given):
    file = io.BytesIO()
    image.save(file, kind, **given)
    return file.getvalue()


def read(**contents):
    pictures, skipped = read_each(list(contents.items()), "error", "here")
    assert not skipped
    return pictures


def test_different_pictures_need_no_word():
    pictures = read(a=encoded(photo(1)), b=encoded(photo(2)), c=encoded(photo(3, (96, 70))))
    assert list(remarks_on_pictures(pictures, 64)) == []


def test_copies_are_counted_whatever_their_name_size_and_format():
    one = photo(1)
    pictures = read(
        a=encoded(one),
        b=encoded(one),
        c=encoded(one, "jpeg", quality=60),
        d=encoded(one.resize((70, 70))),
        other=encoded(photo(2)),
    )
    assert first_of_its_kind(pictures) == [0, 0, 0, 0, 4]
    (told,) = remarks_on_pictures(pictures, 64)
    assert told == (
        "copies of one another, equal or nearly so: 4 of 5 pictures (a, b, c and 1 more), so that "
        "2 different pictures are learned from"
    )


def test_the_same_colours_in_another_shape_are_no_copy():
    bar = Image.linear_gradient("L").convert("RGB")
    assert first_of_its_kind(read(a=encoded(bar), b=encoded(bar.resize((256, 128))))) == [0, 1]


def test_of_many_pictures_equal_files_are_found(monkeypatch):
    monkeypatch.setattr(picture_remarks, "MOST_COMPARED", 2)
    one = encoded(photo(1))
    assert first_of_its_kind(read(a=one, b=encoded(photo(2)), c=one)) == [0, 1, 0]
    assert first_of_its_kind([]) == []


def test_pictures_that_show_nothing_are_named():
    clear, opaque = photo(1).convert("RGBA"), photo(2).convert("RGBA")
    clear.putalpha(0)
    opaque.putalpha(90)
    told = list(
        remarks_on_pictures(
            read(
                a=encoded(clear),
                b=encoded(opaque),
                grey=encoded(Image.new("RGB", (96, 96), "grey")),
            ),
            64,
        )
    )
    assert told == [
        "all transparent, which is white in training: 1 of 3 pictures, such as a",
        "of one colour, so that they show nothing: 1 of 3 pictures, such as grey",
    ]


def test_what_the_square_cuts_off_is_told():
    pictures = read(pan=encoded(photo(1, (640, 96))), wide=encoded(photo(2, (150, 96))))
    (told,) = remarks_on_pictures(pictures, 64)
    assert told.startswith(
        "more than half lies outside of the square: 1 of 2 pictures, such as pan"
    )
    assert "(15% is kept)" in told


def test_small_pictures_are_told():
    (told,) = remarks_on_pictures(read(a=encoded(photo(1)), b=encoded(photo(2, (20, 30)))), 64)
    assert told == "enlarged to 64 pixels: 1 of 2 pictures, such as b"


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_of_animations_it_is_told_that_one_frame_is_read(kind):
    frames = [photo(seed) for seed in (1, 2)]
    moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    (told,) = remarks_on_pictures(read(a=moving, b=encoded(photo(3), kind)), 64)
    assert told == "animated, and only the first frame is read: 1 of 2 pictures, such as a"


def test_a_picture_with_a_preview_is_no_animation():
    moving = encoded(photo(1), "mpo", save_all=True, append_images=[photo(2)])
    assert list(remarks_on_pictures(read(a=moving), 64)) == []


def test_a_broken_second_frame_does_no_harm():
    frames = [photo(seed) for seed in (1, 2)]
    moving = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert [picture.width for picture in read(a=moving[:-200])] == [96]
