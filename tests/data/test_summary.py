import json

import pytest

from hwlit.data.reading import Rows
from hwlit.data.splitting import Split
from hwlit.data.summary import fingerprint, summarise
from hwlit.data.tokens import TokenRows, tokenise

from .conftest import small_tokenizer

CLASSES = ("no", "yes")


def test_every_number_is_the_one_counted_by_hand():
    texts = ["good", "good", "GOOD ", "bad bad bad", "bad", "bad", "", "a b c a b", "sun", "rain"]
    labels = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0]
    rows = Rows(texts, labels, "some.csv")
    split = Split([0, 1, 2, 4, 6], [3, 9], [7, 8], [5], 3)
    tokens = tokenise(texts, small_tokenizer(), 6)
    parts = {
        "train": TokenRows(tokens, labels, split.train),
        "validation": TokenRows(tokens, labels, split.validation),
        "test": TokenRows(tokens, labels, split.test),
    }
    summary = summarise([rows], CLASSES, split, parts)
    assert summary == json.loads(json.dumps(summary))
    assert summary == {
        "source": ["some.csv"],
        "revision": None,
        "rows": {"read": 10, "train": 5, "validation": 2, "test": 2},
        "duplicates": 2,
        "near_duplicates": 3,
        "texts_with_two_labels": 1,
        "empty_texts": 1,
        "dropped": {"text_also_in_test": 1, "beyond_asked_size": 3},
        "classes": {
            "train": {"no": 5, "yes": 0},
            "validation": {"no": 1, "yes": 1},
            "test": {"no": 0, "yes": 2},
        },
        "majority_class_accuracy": 0.0,
        "truncated": {"train": 0, "validation": 0, "test": 1},
        "mean_length": {
            "train": pytest.approx((3 + 3 + 3 + 3 + 2) / 5),
            "validation": 4.0,
            "test": 4.5,
        },
    }


def test_the_fingerprint_is_that_of_texts_classes_and_files():
    rows = Rows(["ab", "c"], [0, 1], "x")
    same = fingerprint([rows], CLASSES)
    assert same == fingerprint([Rows(["ab", "c"], [0, 1], "other")], CLASSES)
    others = [
        fingerprint([Rows(["a", "bc"], [0, 1], "x")], CLASSES),
        fingerprint([Rows(["ab", "c"], [1, 1], "x")], CLASSES),
        fingerprint([Rows(["c", "ab"], [1, 0], "x")], CLASSES),
        fingerprint([Rows(["ab"], [0], "x"), Rows(["c"], [1], "x")], CLASSES),
        fingerprint([rows], ("no", "maybe")),
    ]
    assert len({same, *others}) == 6
