"""What the data tests share: real files where they are at hand, small files, a small tokenizer."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hwlit.data import base

WORDS = ["good", "bad", "film", "fire", "flood", "sun", "rain", "NA", "None", "!", "a", "b", "c"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test."""
    monkeypatch.setenv("HWLIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Finds a real data file, or skips the test."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HWLIT_TEST_DATA", beside))

    def find(name: str) -> Path:
        if not (folder / name).is_file():
            pytest.skip(f"no real data: {name} is not in HWLIT_TEST_DATA ({folder})")
        return folder / name

    return find


def small_tokenizer(
    special: tuple[str, str] | None = ("[CLS]", "[SEP]"),
) -> PreTrainedTokenizerFast:
    """A BERT-like tokenizer over a few words; without special tokens it gives "" no token."""
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{special[0]} $A {special[1]}",
            special_tokens=[(token, vocabulary[token]) for token in special],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture
def tokenizer(monkeypatch: pytest.MonkeyPatch) -> PreTrainedTokenizerFast:
    """The small tokenizer, which data modules get for any name."""
    made = small_tokenizer()
    monkeypatch.setattr(base, "load_tokenizer", lambda name: made)
    return made


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file from its header and rows."""

    def write(header: Iterable[str], rows: Iterable[Iterable[str]], name: str = "d.csv") -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return tmp_path / name

    return write


@pytest.fixture
def tweets_csv(write_csv: Callable[..., Path]) -> Path:
    """200 rows of different lengths, half of them of each class."""
    rows = [
        (str(i), "", "", " ".join([f"t{i}", *["fire", "sun"][i % 2 :: 2] * (i % 17)]), str(i % 2))
        for i in range(200)
    ]
    return write_csv(["id", "keyword", "location", "text", "target"], rows, "tweets.csv")
