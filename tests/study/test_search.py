import pytest

from hwlit.errors import UsageError
from hwlit.study.search import Search


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("largest", [0, 1, 2, 5, 63, 64, 100, 128])
def test_the_largest_that_fits_is_found_in_few_tries(largest, step):
    search, fits = Search("data.batch_size", high=128, step=step), {}
    while (value := search.next_value(fits)) is not None:
        assert value not in fits
        fits[value] = value <= largest
    found = max((value for value, fitted in fits.items() if fitted), default=0)
    assert largest - step < found <= largest
    assert len(fits) <= 15


def test_what_fits_is_not_asked_again_where_memory_is_no_matter_of_size():
    assert Search("data.batch_size").next_value({1: True, 2: False, 4: True}) is None


def test_nothing_to_search_is_refused():
    with pytest.raises(UsageError, match="nothing to try"):
        Search("data.batch_size", low=8, high=4)
