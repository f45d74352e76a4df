"""Windows over long texts: all words are read, and a text stays one row."""

from itertools import chain

import numpy as np
import pytest
import torch

from hwlit.data import base
from hwlit.data.batching import Collate
from hwlit.data.summary import remarks
from hwlit.data.text_files import TextFiles
from hwlit.data.tokens import TokenRows, tokenise
from hwlit.errors import UsageError
from hwlit.exports.stock_classifier import encode_windows

from .conftest import small_tokenizer

TEXTS = ["good film", "a b c a b c a b c a b", "", "bad bad fire ! sun", "a b c a b c"]


def parts(tokens, text):
    return [window.ids.tolist() for window in tokens.row(text, 0).split()]


def test_windows_hold_all_tokens_and_overlap():
    tokens, plain = tokenise(TEXTS, small_tokenizer(), 6, stride=2), small_tokenizer()
    windows = [[plain.decode(w) for w in parts(tokens, text)] for text in range(len(TEXTS))]
    assert windows == [
        ["[CLS] good film [SEP]"],
        ["[CLS] a b c a [SEP]", "[CLS] c a b c [SEP]", "[CLS] b c a b [SEP]",
         "[CLS] a b c a [SEP]", "[CLS] c a b [SEP]"],
        ["[CLS] [SEP]"],
        ["[CLS] bad bad fire ! [SEP]", "[CLS] fire ! sun [SEP]"],
        ["[CLS] a b c a [SEP]", "[CLS] c a b c [SEP]"],
    ]  # fmt: skip
    assert tokens.truncated.tolist() == [0] * 5
    assert tokens.lengths.tolist() == [4, 29, 2, 11, 12]


@pytest.mark.parametrize("limit", [{"CHUNK_TEXTS": 2}, {"CHUNK_CHARACTERS": 20}])
def test_chunks_do_not_mix_windows_up(monkeypatch, limit):
    for name, value in limit.items():
        monkeypatch.setattr(f"hwlit.data.tokens.{name}", value)
    tokens = tokenise(TEXTS * 3, small_tokenizer(), 6, stride=1)
    encoded, counts = encode_windows(small_tokenizer(), TEXTS, 6, 1)
    assert [len(parts(tokens, text)) for text in range(15)] == counts * 3
    assert parts(tokens, 11) == parts(tokens, 1)
    assert len(encoded["input_ids"]) == sum(counts)


@pytest.mark.parametrize("stride", [0, 3])
@pytest.mark.parametrize("side", ["right", "left"])
def test_batches_are_those_of_the_tokenizer(stride, side):
    made = small_tokenizer()
    made.truncation_side = side
    part = TokenRows(tokenise(TEXTS, made, 6, stride), [0, 1, 0, 1, 0], range(5))
    batch = Collate(made.pad_token_id, "right", True)(list(part))
    wanted, counts = encode_windows(made, TEXTS, 6, stride)
    for name, values in wanted.items():
        assert torch.equal(batch[name], values)
    assert batch["windows"].tolist() == counts
    assert batch["labels"].tolist() == [0, 1, 0, 1, 0]
    assert batch["row_id"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("stride", "fine"), [(3, True), (4, False), (100, False)])
def test_a_stride_that_leaves_no_room_is_refused(stride, fine):
    if fine:
        assert tokenise(TEXTS, small_tokenizer(), 6, stride).windows is not None
        return
    with pytest.raises(UsageError, match=rf"stride is {stride}, .* 6 tokens has room for 4 tokens"):
        tokenise(TEXTS, small_tokenizer(), 6, stride)


def test_the_cache_tells_windows_from_cut_texts(cache):
    tokenise(TEXTS, small_tokenizer(), 6)
    for stride in (None, 0, 1, 1):
        found = tokenise(TEXTS, small_tokenizer(), 6, stride)
        assert (found.windows is None) == (stride is None)
    assert len(list((cache / "tokens").glob("*.arrow"))) == 3


@pytest.fixture
def make(monkeypatch, write_csv):
    monkeypatch.setattr(base, "load_tokenizer", lambda name: small_tokenizer())
    rows = [
        (" ".join([f"t{i}", *["fire", "sun"][i % 2 :: 2] * (i % 17)]), str(i % 2))
        for i in range(80)
    ]
    path = str(write_csv(["text", "label"], rows))

    def make(**settings):
        given = {"path": path, "tokenizer": "t", "max_length": 8, "batch_size": 4, "stride": 2}
        return TextFiles(**(given | settings))

    return make


def test_a_text_is_one_row_everywhere(make):
    whole, cut = make(), make(stride=None)
    report = whole.report()
    assert report["rows"] == cut.report()["rows"]
    assert report["stride"] == 2
    assert sum(report["truncated"].values()) == 0 < sum(cut.report()["truncated"].values())
    assert all(report["windows"][part] > report["rows"][part] for part in report["windows"])
    seen = [batch["row_id"].tolist() for batch in whole.test_dataloader()]
    assert sorted(chain(*seen)) == sorted(row for row, _, _ in cut.test_rows())
    for batch in whole.train_dataloader():
        assert len(batch["windows"]) == len(batch["labels"]) == len(batch["row_id"])
        assert batch["windows"].sum() == len(batch["input_ids"])
    sample = whole.sample_batches((3,))[3]
    assert len(sample["windows"]) == 3 < len(sample["input_ids"])


def test_processes_share_whole_texts(make, monkeypatch):
    rows = []
    for rank in range(2):
        monkeypatch.setattr(TextFiles, "place", (rank, 2))
        rows += [batch["row_id"].tolist() for batch in make().train_dataloader()]
    assert sorted(chain(*rows)) == make()._ready().parts["train"].row_ids


def test_cut_texts_name_the_remedy(make):
    assert "%, --data.stride reads them in windows)" in remarks(make(stride=None).report())
    assert "cut" not in remarks(make().report())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"pad_to_max_length": True}, "--data.stride and --data.pad_to_max_length exclude"),
        ({"stride": -1}, "--data.stride is -1; give a whole number from 0"),
        ({"stride": 1.5}, "--data.stride is 1.5; give a whole number"),
    ],
)
def test_settings_that_do_not_go(make, settings, told):
    with pytest.raises(UsageError, match=told):
        make(**settings)


def test_without_windows_nothing_is_added(make):
    batch = next(iter(make(stride=None).train_dataloader()))
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids", "labels", "row_id"}
    assert make(stride=None)._ready().parts["train"].tokens.windows is None
    assert np.all(make(stride=None)._ready().parts["train"].lengths <= 8)
