import pytest

from hwlit.errors import UsageError
from hwlit.networks.picture_side import picture_side
from tests.pipelines import SIDE


def test_sides_must_suit_the_pipeline(tiny_pipelines):
    assert picture_side(tiny_pipelines["sd"], "--a", None) == SIDE
    assert picture_side(tiny_pipelines["sd"], "--a", 48) == 48
    with pytest.raises(UsageError, match=r"--a is 50, but .* of 8 pixels; give 48 or 56"):
        picture_side(tiny_pipelines["sd"], "--a", 50)
    with pytest.raises(UsageError, match=r"give 8$"):
        picture_side(tiny_pipelines["sd"], "--a", 5)
    for none in (0, -8):
        with pytest.raises(UsageError, match=f"--a is {none}; give a whole number from 1"):
            picture_side(tiny_pipelines["sd"], "--a", none)
