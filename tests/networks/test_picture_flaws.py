import pytest
from PIL import Image

from hwlit.networks.picture_flaws import BLANK, EQUAL, flaw_of, is_blank


def black(level=0, place=(7, 7)):
    """Return a black picture with one pixel that is blue by a level."""
    picture = Image.new("RGB", (8, 8))
    picture.putpixel(place, (0, 0, level))
    return picture


def test_what_differs_by_no_more_than_rounding_is_of_one_colour():
    assert is_blank(Image.new("RGB", (8, 8), "red"))
    assert all(is_blank(black(level)) for level in (0, 1, 2))
    assert not is_blank(black(3))


@pytest.mark.parametrize(
    ("pictures", "told"),
    [
        ([], ""),
        ([black(9)], ""),
        ([black()], BLANK),
        ([black(), Image.new("RGB", (8, 8), "red")], BLANK),
        ([black(), black(9)], ""),
        ([black(9), black(9)], EQUAL),
        ([black(9), black(7), black(8)], EQUAL),
        ([black(9), black(9), black(6)], ""),
        ([black(9), black(9, (0, 0))], ""),
        ([black(9), black(9).crop((0, 0, 9, 8))], ""),
    ],
)
def test_sets_that_tell_nothing(pictures, told):
    assert flaw_of(pictures) == told


def test_no_more_pictures_are_looked_at_than_it_takes():
    taken = []

    def pictures():
        for number in range(9):
            taken.append(number)
            yield black(20 * (number + 1))

    assert flaw_of(pictures()) == ""
    assert taken == [0, 1]
