import pytest

from hwlit.data.concept_order import ConceptBatchSampler, FixedBatchSampler
from hwlit.errors import DataError


def order(epoch=0, **settings):
    given = {"num_instances": 5, "num_classes": 7, "batch_size": 2, "steps": 9, "seed": 3}
    sampler = ConceptBatchSampler(**given | settings)
    sampler.set_epoch(epoch)
    return sampler


def test_a_batch_has_as_many_rows_of_the_class_as_of_the_concept():
    batches = list(order())
    assert len(batches) == len(order()) == 9
    for batch in batches:
        assert [ask.picture < 5 for ask in batch] == [True, True, False, False]
        assert all(5 <= ask.picture < 12 for ask in batch[2:])
    assert {len(batch) for batch in order(num_classes=0)} == {2}


def test_pictures_are_reshuffled_without_end():
    seen = [ask.picture for batch in order(steps=25, num_classes=0) for ask in batch]
    rounds = [seen[i : i + 5] for i in range(0, 50, 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 5


def test_the_order_follows_from_seed_and_epoch_alone():
    assert list(order(1)) == list(order(1))
    assert list(order(1)) != list(order(0))
    assert list(order(0, seed=4)) != list(order(0))
    seeds = [ask.seed for batch in order(steps=50) for ask in batch]
    assert len(set(seeds)) == len(seeds)  # each row has a crop of its own


def test_an_epoch_is_continued_where_it_stopped():
    whole, rest = list(order(2)), order(2)
    rest.resume(2, 4)
    assert list(rest) == whole[4:]
    assert list(rest) == whole


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_what_one_would_see(world_size):
    alone = list(order(batch_size=2 * world_size))
    shares = [list(order(rank=rank, world_size=world_size)) for rank in range(world_size)]
    for step, batch in enumerate(alone):
        joined = [ask for share in shares for ask in share[step]]
        assert sorted(joined, key=repr) == sorted(batch, key=repr)
        for share in shares:
            assert [ask.picture < 5 for ask in share[step]] == [True, True, False, False]


def test_fixed_rows_come_once_over_all_processes():
    assert list(FixedBatchSampler(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    shares = [list(FixedBatchSampler(range(7), 3, rank, 2)) for rank in (0, 1)]
    assert shares == [[[0, 2, 4, 6]], [[1, 3, 5]]]  # row 6 alone would leave one without
    assert len(FixedBatchSampler(range(7), 3, 0, 2)) == 1
    assert [len(FixedBatchSampler(range(n), 2)) for n in (1, 2, 3)] == [1, 1, 2]
    with pytest.raises(DataError, match="1 rows cannot be divided among 2 processes"):
        FixedBatchSampler(range(1), 3, 0, 2)
