"""Pairs of sentences: read, divided, tokenised and told as pairs."""

import json

import numpy as np
import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from hwlit.data import base
from hwlit.data.batching import Collate
from hwlit.data.reading import Rows
from hwlit.data.summary import fingerprint, remarks
from hwlit.data.text_files import TextFiles
from hwlit.data.tokens import TokenRows, tokenise
from hwlit.errors import DataError, UsageError
from hwlit.exports.stock_classifier import encode, separator

from .conftest import small_tokenizer

PAIRS = [("good film", "bad sun !"), ("", "a b c"), ("fire", ""), ("a b c a b c a b", "NA None")]
BERT = "[CLS] $A [SEP] $B:1 [SEP]:1"
XLNET = "$A [SEP] $B:1 [SEP]:1 [CLS]:2"


def pair_tokenizer(pair=BERT, single="[CLS] $A [SEP]", types=True):
    tokenizer = small_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ["input_ids", "token_type_ids", "attention_mask"] if types else None
    tokenizer.model_input_names = names or ["input_ids", "attention_mask"]
    return tokenizer


def bare_tokenizer(**tokens):
    """Like that of GPT-2, which adds no special token anywhere."""
    return PreTrainedTokenizerFast(
        tokenizer_object=small_tokenizer(special=None).backend_tokenizer,
        **({"pad_token": "[PAD]", "unk_token": "[UNK]", "model_max_length": 512} | tokens),
    )


@pytest.fixture
def tokenizer(monkeypatch):
    made = pair_tokenizer()
    monkeypatch.setattr(base, "load_tokenizer", lambda name: made)
    return made


@pytest.fixture
def make(write_csv, tokenizer):
    def make(rows, test=None, **settings):
        header = ["premise", "hypothesis", "label"]
        given = {"text_column": "premise", "pair_column": "hypothesis", "max_length": 12}
        if test:
            given["test_path"] = str(write_csv(header, test, "t.csv"))
        path = str(write_csv(header, rows))
        return TextFiles(path=path, tokenizer="t", batch_size=4, **(given | settings))

    return make


def rows(count=40):
    return [(f"p{i // 2} good film", f"h{i} fire", "yes" if i % 2 else "no") for i in range(count)]


@pytest.mark.parametrize(
    "made",
    [pair_tokenizer(), pair_tokenizer(types=False), pair_tokenizer(XLNET, "$A [SEP] [CLS]:2"),
     pair_tokenizer("[CLS] $A [SEP] [SEP] $B [SEP]"), bare_tokenizer(),
     bare_tokenizer(eos_token="!")],
    ids=["bert", "no types", "xlnet", "roberta", "newline", "eos"],
)  # fmt: skip
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("texts", [PAIRS, [first for first, _ in PAIRS]], ids=["pairs", "single"])
def test_batches_are_those_of_the_tokenizer(made, side, texts):
    """Ids, mask and token types: what a stranger's transformers would give the model."""
    made.padding_side = side
    tokens = tokenise(texts, made, 8)
    part = TokenRows(tokens, [0] * len(texts), range(len(texts)))
    collate = Collate(
        made.pad_token_id, side, "token_type_ids" in made.model_input_names,
        pad_type=made.pad_token_type_id,
    )  # fmt: skip
    batch, wanted = collate(list(part)), encode(made, texts, 8)
    assert set(batch) - {"labels", "row_id"} == set(wanted)
    for name in wanted:
        assert batch[name].tolist() == wanted[name].tolist(), name


def test_the_second_sentence_has_a_type_of_its_own():
    tokens = tokenise(PAIRS, pair_tokenizer(), 12)
    assert tokens.row(0, 1).types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert tokenise(["good"], pair_tokenizer(), 12).types is None


def test_of_a_pair_the_longer_sentence_is_cut():
    made = pair_tokenizer()
    tokens = tokenise(PAIRS, made, 8)
    assert made.decode(tokens[3]) == "[CLS] a b c [SEP] NA None [SEP]"
    assert tokens.truncated.tolist() == [0, 0, 0, 1]
    assert all(len(tokens[i]) <= 8 for i in range(4))


@pytest.mark.parametrize(
    ("tokens", "between"),
    [({}, "\n"), ({"eos_token": "!"}, "!"), ({"sep_token": "NA", "eos_token": "!"}, "NA"),
     ({"eos_token": "[PAD]"}, "\n")],
)  # fmt: skip
def test_a_tokenizer_without_a_border_gets_one(tokens, between):
    made = bare_tokenizer(**tokens)
    assert separator(made) == between
    assert made.decode(tokenise([("good", "bad")], made, 8)[0]).split() == (
        ["good", *between.split(), "bad"]
    )


def test_pairs_that_would_lose_their_special_tokens_are_refused():
    with pytest.raises(UsageError, match="has no template for pairs; add one, or put both"):
        tokenise(PAIRS, small_tokenizer(), 8)


@pytest.mark.parametrize("max_length", [5, 513])
def test_a_maximum_that_does_not_suit_pairs_is_refused(max_length):
    with pytest.raises(UsageError, match=rf"max_length is {max_length}, .* 6 to 512 tokens"):
        tokenise(PAIRS, pair_tokenizer(), max_length)
    tokenise(PAIRS, pair_tokenizer(), 6)


def test_pairs_and_their_texts_are_different_entries_of_the_cache(cache):
    one = tokenise([("good", "bad")], pair_tokenizer(), 8)
    two = tokenise(["good", "bad"], pair_tokenizer(), 8)
    assert one[0].tolist() != two[0].tolist()
    assert len(list((cache / "tokens").glob("*.arrow"))) == 2
    again = tokenise([("good", "bad")], pair_tokenizer(), 8)
    assert np.array_equal(again.types, one.types)


def test_a_data_set_of_pairs(make):
    data = make(rows())
    report = data.report()
    assert (report["text_column"], report["pair_column"]) == ("premise", "hypothesis")
    assert "pair_separator" not in report
    assert report["duplicates"] == 0  # each premise stands twice, each pair once
    texts = data.test_texts()
    assert [row for row, _, _ in data.test_rows()] == list(texts)
    assert all(texts[row] == rows()[row][:2] for row in texts)
    batch = next(iter(data.test_dataloader()))
    assert batch["token_type_ids"].amax() == data.largest_token_type == 1
    assert data.sample_batches((2,))[2]["token_type_ids"].amax() == 1
    json.dumps(report)


def test_copies_are_equal_in_both_sentences(make):
    many = [*rows(), ("P0 good  film", "h0 FIRE", "no"), ("p0 good film", "other", "no")]
    report = make(many).report()
    assert (report["duplicates"], report["near_duplicates"]) == (0, 1)
    parts = make(many)._ready().parts.values()
    assert sorted(len({0, 40}.intersection(part.row_ids)) for part in parts) == [0, 0, 2]


def test_a_border_that_moves_is_another_pair():
    one = Rows(["a b"], [0], "f", pairs=["c"])
    two = Rows(["a"], [0], "f", pairs=["b c"])
    single = Rows(["a b"], [0], "f")
    assert one.keys != two.keys
    assert len({fingerprint([file], ("x",)) for file in (one, two, single)}) == 3


def test_sentences_that_training_pairs_have_too_are_told(make):
    test = [
        ("p0 good film", "new", "yes"),
        ("new", "newer", "no"),
        ("x", "H3  fire", "no"),
        ("y", "z", "yes"),
    ]
    data = make(rows(), test, validation_size=4)
    report, train = data.report(), data._ready().split.train
    shared = report["shared_sentences"]["test"]
    assert shared == (bool({0, 1}.intersection(train)) + (3 in train)) / 4 > 0
    assert f"test pairs that share a sentence with a training pair {100 * shared:.2g} %" in remarks(
        report
    )
    assert report["leakage"]["test"] == 0


def test_a_pair_without_a_sentence_is_empty(make):
    lacking = [*rows(), ("", "b", "yes"), ("a", " ", "no")]
    assert make(lacking).report()["empty_texts"] == 2
    dropped = make(lacking, empty_texts="drop").report()
    assert dropped["dropped"]["empty_text"] == 2
    with pytest.raises(DataError, match=r"has 2 empty texts, the first in row 40"):
        make(lacking, empty_texts="error").report()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"pair_column": "premise"}, "'premise', which is the column of the text too"),
        ({"pair_column": "label"}, "'label', which is the column of the label too"),
        ({"stride": 4}, "--data.stride and --data.pair_column exclude each other"),
    ],
)
def test_settings_that_exclude_each_other(make, settings, told):
    with pytest.raises(UsageError, match=told):
        make(rows(), **settings)


def test_a_missing_column_is_named(make):
    with pytest.raises(
        DataError, match=r"name the column of the second sentence by --data\.pair_col"
    ):
        make(rows(), pair_column="nope").report()
