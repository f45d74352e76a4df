import numpy as np
import pytest
from PIL import Image

from hwlit.exports.contact_sheet import INK, PAPER, contact_sheet

RED, BLUE = (255, 0, 0), (0, 0, 255)


def colours(sheet):
    return {colour for _, colour in sheet.getcolors(sheet.width * sheet.height)}


@pytest.mark.parametrize(("columns", "side_by_side"), [(2, True), (1, False)])
def test_rows_fill_from_the_left(columns, side_by_side):
    pictures = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    sheet = np.asarray(contact_sheet(pictures, ["", ""], columns))
    (red_y, red_x), (blue_y, blue_x) = (
        np.argwhere((sheet == colour).all(-1)).mean(0) for colour in (RED, BLUE)
    )
    assert (red_x < blue_x, red_y == blue_y) == (side_by_side, side_by_side)
    assert side_by_side or red_y < blue_y


def test_small_pictures_are_enlarged_evenly():
    chess = (np.indices((4, 4)).sum(0) % 2 * 255).astype(np.uint8)
    sheet = contact_sheet([Image.fromarray(chess)], [""], 4)
    black = (np.asarray(sheet) == 0).all(-1).sum()
    assert black == (160 * 160) // 2
    assert colours(sheet) == {(0, 0, 0), PAPER}


def test_large_pictures_keep_their_pixels():
    picture = Image.new("RGBA", (200, 100), RED)
    sheet = np.asarray(contact_sheet([picture], [""], 1))
    assert (sheet == RED).all(-1).sum() == 200 * 100


def test_captions_are_written_and_long_ones_end():
    pictures = [Image.new("RGB", (64, 64), RED)] * 2
    bare = contact_sheet(pictures, ["", ""], 2)
    short = contact_sheet(pictures, ["a dog", ""], 2)
    long, longer = (contact_sheet(pictures, [n * "a dog on grass ", ""], 2) for n in (20, 40))
    assert INK not in colours(bare)
    assert (np.asarray(short) != PAPER).sum() > (np.asarray(bare) != PAPER).sum()
    assert bare.height < short.height < long.height == longer.height


def test_a_row_that_is_not_full_stays_so():
    pictures = [Image.new("RGB", (160, 160), RED)] * 3
    assert contact_sheet(pictures, [""] * 3, 2).width < contact_sheet(pictures, [""] * 3, 8).width
