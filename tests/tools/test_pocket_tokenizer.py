"""pocket-sd's vocabulary in the stock CLIP tokenizer."""

from random import Random

import pytest

from tools.pocket import scenes, tokenizer


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return tokenizer.make(tmp_path_factory.mktemp("tokenizer"))


def test_every_listed_word_is_one_token(stock):
    assert len(tokenizer.words()) > 300
    assert [w for w in tokenizer.words() if len(stock(w).input_ids) != 3] == []


def test_captions_have_a_token_for_each_word(stock):
    rng = Random(0)
    for _ in range(200):
        text = scenes.caption(scenes.any_scene(rng), rng)
        assert len(stock(text).input_ids) == len(text.split()) + 2


@pytest.mark.parametrize("text", ["zebrafish", "naïve 漢字", "c-3po!", "🙂"])
def test_other_words_are_spelled_and_come_back(stock, text):
    ids = stock(text).input_ids
    assert stock.unk_token_id not in ids[1:-1]
    assert stock.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_texts_end_and_are_filled_up_like_clips(stock):
    ids = stock("a red car", padding="max_length", truncation=True).input_ids
    assert len(ids) == stock.model_max_length == tokenizer.CONTEXT
    assert ids[0] == stock.bos_token_id == len(stock) - 2
    assert set(ids[4:]) == {stock.eos_token_id} == {len(stock) - 1}


def test_a_letter_is_not_merged_twice():
    assert tokenizer._merged(["a", "a", "a"], ("a", "a")) == ["aa", "a"]
