import pytest

from hwlit.seeds import data_seed, seeds_told


@pytest.mark.parametrize(
    ("record", "seed", "told"),
    [
        ({"schema": 2, "seed": 3, "data": {"seed": 0}}, 0, "seed 3, data.seed 0"),
        ({"schema": 1, "seed": 3, "data": {"seed": 3}}, 3, "seed 3, data.seed 3"),
        ({"schema": 1, "seed": 3, "data": {}}, 3, "seed 3, data.seed 3"),
        ({"schema": 2, "seed": 3, "data": {}}, None, "seed 3"),
        ({"schema": 1, "seed": 3, "data": {"instance_prompt": "a", "seed": 3}}, None, "seed 3"),
        ({"schema": 2, "seed": None}, None, "seed unknown"),
    ],
)
def test_both_seeds_are_found_and_told(record, seed, told):
    assert data_seed(record) == seed
    assert seeds_told(record) == told
