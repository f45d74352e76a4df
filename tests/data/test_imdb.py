import pytest

from hwlit.data import imdb as module
from hwlit.data.imdb import IMDB
from hwlit.data.reading import Rows
from hwlit.errors import DataError


def test_the_real_file_is_divided_as_known(real_data, tokenizer, monkeypatch):
    data = IMDB(tokenizer="any", path=str(real_data("imdb/imdb_2000.csv")), max_length=64)
    report = data.report()
    assert report["rows"] == {"read": 2000, "train": 1400, "validation": 200, "test": 400}
    assert report["classes"]["test"] == {"negative": 199, "positive": 201}
    assert report["truncated"]["test"] > 300
    assert any("<br />" in text for _, text, _ in data.test_rows())


def test_the_hub_parts_are_used_as_they_are(tokenizer, monkeypatch):
    def read_part(name, part, classes):
        assert (name, classes) == ("stanfordnlp/imdb", 2)
        first = 0 if part == "train" else 95
        count = 100 if part == "train" else 20
        return Rows([f"r{first + i}" for i in range(count)], [0, 1] * (count // 2), name, "abc")

    monkeypatch.setattr(module, "read_part", read_part)
    data = IMDB(tokenizer="any", train_size=50, test_size=10)
    report = data.report()
    assert report["rows"] == {"read": 120, "train": 50, "validation": 10, "test": 10}
    assert report["dropped"] == {
        "text_also_in_test": 5,
        "beyond_asked_size": 10 + 85 - 50,
        "empty_text": 0,
        "no_label": 0,
    }
    assert report["leakage"]["test"] == 0
    assert report["revision"] == "abc"
    assert data.max_length == 256
    assert all(text == f"r{95 + row}" for row, text, _ in data.test_rows())


def test_a_file_of_texts_and_labels_is_taken_too(write_csv, tokenizer):
    values = ["0", "positive", "negative", "1"]
    path = write_csv(["text", "label"], [(f"t{i}", values[i % 4]) for i in range(80)])
    assert IMDB(tokenizer="any", path=str(path)).report()["classes"]["test"] == {
        "negative": 8,
        "positive": 8,
    }


def test_words_of_other_sets_are_refused(write_csv, tokenizer):
    path = write_csv(["review", "sentiment"], [("a", "positive"), ("b", "neutral")])
    with pytest.raises(DataError, match="line 3 has the unknown sentiment 'neutral'"):
        IMDB(tokenizer="any", path=str(path)).prepare_data()
