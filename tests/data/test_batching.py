import random

import numpy as np
import pytest
import torch

from hwlit.data.batching import (
    WINDOW_BATCHES,
    Collate,
    LengthBatchSampler,
    Row,
)
from hwlit.data.resuming import ResumableLoader
from hwlit.errors import DataError

from .conftest import small_tokenizer


def lengths(count, seed=0):
    draw = random.Random(seed)
    return [draw.randint(1, 90) for _ in range(count)]


def served(epoch=0, **settings):
    given = {"lengths": lengths(1003), "batch_size": 8, "seed": 5, "shuffle": True} | settings
    sampler = LengthBatchSampler(**given)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    return batches


def test_the_order_is_a_function_of_seed_and_epoch():
    torch.manual_seed(1)
    first = served()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert served() == first
    assert torch.equal(before, torch.get_rng_state())
    assert first != served(epoch=1)
    assert first != served(seed=6)
    assert served(epoch=1) != served(seed=6)  # not seed + epoch


def test_the_order_does_not_depend_on_the_epochs_served_before():
    sampler = LengthBatchSampler(lengths(100), 8, 5, True)
    for epoch in (0, 1, 2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
    assert batches == served(epoch=2, lengths=lengths(100))


def test_the_order_is_the_one_of_former_releases():
    batches = served(lengths=[3, 1, 2, 9, 7, 5, 4], batch_size=2, seed=0)
    assert batches == [[0, 2], [3, 4], [5, 6], [1]]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1003])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_is_served_once(count, shuffle):
    batches = served(lengths=lengths(count), shuffle=shuffle)
    assert sorted(row for batch in batches for row in batch) == list(range(count))
    assert sorted(map(len, batches))[1:] == [8] * (len(batches) - 1)


def test_batches_hold_rows_of_like_length():
    count = 8 * WINDOW_BATCHES * 3
    of = lengths(count)
    spread = [max(of[row] for row in b) - min(of[row] for row in b) for b in served(lengths=of)]
    assert max(spread) < 10
    first = served(lengths=of)[:20]
    assert np.std([of[batch[0]] for batch in first]) > 10  # the batches themselves are mixed


def test_unshuffled_the_longest_come_first():
    of = lengths(100)
    rows = [row for batch in served(lengths=of, shuffle=False, epoch=3) for row in batch]
    assert rows == sorted(range(100), key=lambda row: -of[row])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("count", [64, 1000, 1001, 1007, 1010])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_together_serve_what_one_serves(count, world_size, shuffle):
    of = lengths(count)
    alone = served(lengths=of, batch_size=4 * world_size, shuffle=shuffle, epoch=1)
    ranks = [
        served(lengths=of, batch_size=4, shuffle=shuffle, epoch=1, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    rows = [row for batches in ranks for batch in batches for row in batch]
    assert sorted(rows) == list(range(count))
    assert all(batch for batches in ranks for batch in batches)
    if count % (4 * world_size) in range(1, world_size):
        return  # the last rows were joined to another batch, so that no process is without one
    for step, whole in enumerate(alone):
        for rank, batches in enumerate(ranks):
            assert batches[step] == whole[rank::world_size]


def test_last_rows_that_are_fewer_than_the_processes_join_another_batch():
    ranks = [
        served(lengths=lengths(17), batch_size=4, shuffle=False, rank=rank, world_size=2)
        for rank in range(2)
    ]
    assert [[len(batch) for batch in batches] for batches in ranks] == [[4, 5], [4, 4]]


def test_fewer_rows_than_processes_are_refused():
    with pytest.raises(DataError, match="1 rows cannot be divided among 2 processes"):
        LengthBatchSampler([3], 8, 0, True, 0, 2)


def test_resuming_leaves_out_batches_of_that_epoch_once():
    sampler = LengthBatchSampler(lengths(100), 8, 5, True)
    whole = list(sampler)
    sampler.resume(0, 5)
    assert list(sampler) == whole[5:]
    assert list(sampler) == whole
    sampler.resume(0, len(whole))
    sampler.set_epoch(1)
    assert len(list(sampler)) == len(whole)


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return Row(np.arange(index % 5 + 1, dtype=np.int32), index % 2, index)


def loader(**settings):
    sampler = LengthBatchSampler([index % 5 + 1 for index in range(20)], 4, 0, True)
    return ResumableLoader(Rows(), sampler, collate_fn=Collate(0, "right", False), **settings)


def test_a_loader_continues_where_another_one_stopped():
    first = loader()
    rows = [batch["row_id"].tolist() for batch in first]
    iterator = iter(first)
    assert [next(iterator)["row_id"].tolist() for _ in range(2)] == rows[:2]
    state = first.state_dict()
    assert state == {"epoch": 0, "served": 2}
    second = loader()
    second.load_state_dict(state)
    assert second.state_dict() == state  # before anything was served
    assert len(second) == 5
    iterator = iter(second)
    assert next(iterator)["row_id"].tolist() == rows[2]
    assert second.state_dict() == {"epoch": 0, "served": 3}
    assert [batch["row_id"].tolist() for batch in iterator] == rows[3:]
    assert second.state_dict() == {"epoch": 0, "served": 5}
    second.order.set_epoch(1)
    assert second.state_dict() == {"epoch": 1, "served": 0}


def test_the_epoch_may_be_set_after_the_iterator_was_made():
    served_first = loader(num_workers=1)
    iterator = iter(served_first)
    served_first.batch_sampler.sampler.set_epoch(1)
    other = loader()
    other.batch_sampler.sampler.set_epoch(1)
    assert [b["row_id"].tolist() for b in iterator] == [b["row_id"].tolist() for b in other]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pad_to", [None, 9])
def test_padding_is_that_of_the_tokenizer(side, pad_to):
    tokenizer = small_tokenizer()
    tokenizer.padding_side = side
    encoded = tokenizer(["good film", "", "bad bad fire !"])
    rows = [
        Row(np.array(ids, dtype=np.int32), i % 2, 100 + i)
        for i, ids in enumerate(encoded["input_ids"])
    ]
    batch = Collate(tokenizer.pad_token_id, side, True, pad_to)(rows)
    padding = "longest" if pad_to is None else "max_length"
    wanted = tokenizer.pad(encoded, padding=padding, max_length=pad_to, return_tensors="pt")
    assert set(batch) == {*wanted, "labels", "row_id"}
    for name, values in wanted.items():
        assert torch.equal(batch[name], values)
    assert batch["labels"].tolist() == [0, 1, 0]
    assert batch["row_id"].tolist() == [100, 101, 102]
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_token_types_are_left_out_where_the_model_reads_none():
    batch = Collate(0, "right", False)([Row(np.ones(2, dtype=np.int32), 0, 0)])
    assert set(batch) == {"input_ids", "attention_mask", "labels", "row_id"}
