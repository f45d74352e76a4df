import json

import pytest

from hwlit.data.reading import Rows
from hwlit.data.splitting import Split
from hwlit.data.summary import fingerprint, remarks, summarise
from hwlit.data.tokens import TokenRows, tokenise

from .conftest import small_tokenizer

CLASSES = ("no", "yes")


def test_every_number_is_the_one_counted_by_hand():
    texts = ["good", "good", "GOOD ", "bad bad bad", "bad", "bad", "", "a b c a b", "sun", "rain"]
    labels = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0]
    rows = Rows(texts, labels, "some.csv", encoding="UTF-8")
    split = Split([0, 1, 2, 4, 6], [3, 5, 9], [7, 8], [], 3, empty=2)
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
        "notes": [[]],
        "encoding": ["UTF-8"],
        "rows": {"read": 10, "train": 5, "validation": 3, "test": 2},
        "duplicates": 2,
        "near_duplicates": 3,
        "texts_with_two_labels": 1,
        "empty_texts": 1,
        "dropped": {"text_also_in_test": 0, "beyond_asked_size": 3, "empty_text": 2, "no_label": 0},
        "leakage": {"test_in_file": 0.0, "test": 0.0, "validation": pytest.approx(1 / 3)},
        "classes": {
            "train": {"no": 5, "yes": 0},
            "validation": {"no": 1, "yes": 2},
            "test": {"no": 0, "yes": 2},
        },
        "majority_class_accuracy": 0.0,
        "truncated": {"train": 0, "validation": 0, "test": 1},
        "mean_length": {
            "train": pytest.approx((3 + 3 + 3 + 3 + 2) / 5),
            "validation": pytest.approx((5 + 3 + 3) / 3),
            "test": 4.5,
        },
        "longest_text": 11,
    }


def test_planted_leakage_is_found_and_then_gone():
    texts = [f"t{i}" for i in range(90)] + [f"TEST {i} " for i in range(74)]
    file = Rows(texts, [0, 1] * 82, "f")
    test = Rows([f"test {i}" for i in range(1000)], [0, 1] * 500, "t")
    division = Split(
        list(range(80)), list(range(80, 90)), list(range(1000)), list(range(90, 164)), 0
    )
    tokens = [tokenise(rows.texts, small_tokenizer(), 6) for rows in (file, test)]
    parts = {
        "train": TokenRows(tokens[0], file.labels, division.train),
        "validation": TokenRows(tokens[0], file.labels, division.validation),
        "test": TokenRows(tokens[1], test.labels, division.test),
    }
    summary = summarise([file, test], CLASSES, division, parts)
    assert summary["leakage"] == {"test_in_file": 0.074, "test": 0.0, "validation": 0.0}
    assert summary["dropped"]["text_also_in_test"] == 74
    told = "data: copies of texts 74; training rows dropped because the test part has their text 74"
    assert remarks(summary) == told
    cut = {"max_length": 6, "truncated": {"train": 2, "validation": 0, "test": 9}}
    how = "--data.stride reads them in windows"
    assert remarks(summary | cut) == f"{told}; texts cut to 6 tokens 11 (1 %, {how})"


def test_nothing_to_say_is_said_in_no_words():
    assert remarks(of_counts(train=(5, 5), validation=(1, 1), test=(5, 5))) == ""


def of_counts(**counts):
    """The summary of a data set of so many rows by part and class."""
    labels = [label for part in counts.values() for label, n in enumerate(part) for _ in range(n)]
    rows = Rows([f"text number {i}" for i in range(len(labels))], labels, "f")
    tokens = tokenise(rows.texts, small_tokenizer(), 6)
    places = iter(range(len(labels)))
    split = {part: [next(places) for _ in range(sum(n))] for part, n in counts.items()}
    parts = {part: TokenRows(tokens, labels, found) for part, found in split.items()}
    classes = [str(i) for i in range(len(counts["test"]))]
    return summarise([rows], classes, Split(**split, leaked=[], unused=0), parts)


def test_classes_without_a_row_and_rare_ones_are_told():
    found = of_counts(train=(9, 9, 0), validation=(0, 2, 0), test=(9, 7, 4))
    assert remarks(found) == (
        "data: classes without a training row 1 of 3 ('2'), which cannot be learned; "
        "classes without a validation row 2 of 3 ('0', '2'), on which no checkpoint is chosen; "
        "test rows of the rarest class 4 ('2'), on which macro figures rest"
    )
    found = of_counts(train=(9, 9), validation=(2, 2), test=(9, 0))
    assert remarks(found) == (
        "data: classes without a test row 1 of 2 ('1'), which macro figures leave out unless they "
        "are predicted"
    )


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
