import random
import subprocess
import sys
from collections import Counter

import pytest

from hwlit.data.splitting import normalised, split
from hwlit.errors import DataError


def divide(texts, labels, **settings):
    given = {"seed": 0, "test_size": 0.2, "validation_size": 0.1} | settings
    return split(texts, labels, **given)


def random_rows(seed, count=400, copies=0.3):
    """Rows of which a share are copies of others, differing in case, space, address or mention."""
    draw = random.Random(seed)
    texts, labels = [], []
    for i in range(count):
        if texts and draw.random() < copies:
            twin = draw.randrange(len(texts))
            words = texts[twin].upper().split()
            text = "  ".join([*words[:-2], f"http://t.co/{i}", f"@user{i}"])
            label = labels[twin] if draw.random() < 0.9 else 1 - labels[twin]
        else:
            text = f"text number {i} http://t.co/{i} @user{i}"
            label = int(draw.random() < 0.3)
        texts.append(text)
        labels.append(label)
    return texts, labels


def test_what_counts_as_a_copy():
    same = "Fire at https://t.co/a1 says @bob  now"
    for other in (
        "fire at http://x.y/zzz says @alice now",
        " FIRE at www.a.b says @b\nnow ",
        "\uff26ire at https://t.co/a1 says @bob now",
    ):
        assert normalised(other) == normalised(same)
    assert normalised("Straße") == normalised("STRASSE")
    assert normalised("mail a@b.c") != normalised("mail a@d.c")
    assert normalised("fire now") != normalised("fire, now")


@pytest.mark.parametrize("seed", range(20))
def test_random_sets_are_divided_right(seed):
    texts, labels = random_rows(seed)
    parts = divide(texts, labels, seed=seed, test_size=100, validation_size=37)
    rows = [*parts.train, *parts.validation, *parts.test]
    assert sorted(rows) == list(range(len(texts)))
    keys = [
        {normalised(texts[row]) for row in part}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert sum(map(len, keys)) == len(set.union(*keys)) < 330  # there are copies, on one side each
    assert (len(parts.test), len(parts.validation)) == (100, 37)
    share = sum(labels) / len(labels)
    for part in (parts.test, parts.validation):  # copies with two labels count as the commoner one
        assert sum(labels[row] for row in part) / len(part) == pytest.approx(share, abs=0.1)


def test_classes_keep_their_shares():
    labels = [0] * 700 + [1] * 200 + [2] * 100
    texts = [f"t{i}" for i in range(1000)]
    parts = divide(texts, labels)
    assert Counter(labels[row] for row in parts.test) == {0: 140, 1: 40, 2: 20}
    assert Counter(labels[row] for row in parts.validation) == {0: 70, 1: 20, 2: 10}
    assert len(parts.train) == 700


def test_the_seed_decides_and_the_place_in_the_file_does_not():
    texts, labels = random_rows(1, copies=0)
    first = divide(texts, labels)
    assert first == divide(texts, labels)
    assert first.test != divide(texts, labels, seed=1).test
    backwards = divide(texts[::-1], labels[::-1])
    assert {texts[row] for row in first.test} == {texts[::-1][row] for row in backwards.test}


def test_the_hash_seed_of_the_process_does_not_matter():
    program = (
        "from hwlit.data.splitting import split;"
        "print(split([f't{i//2}' for i in range(60)], [i//2%2 for i in range(60)], seed=3,"
        "test_size=10, validation_size=6).test)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_sizes_are_within_a_group_where_copies_do_not_add_up():
    texts = [f"t{i // 3}" for i in range(90)]  # groups of three
    parts = divide(texts, [i // 3 % 2 for i in range(90)], test_size=20, validation_size=10)
    assert 17 < len(parts.test) <= 20
    assert 7 < len(parts.validation) <= 10


def test_a_test_part_of_its_own_is_taken_whole_and_its_texts_leave_the_training_rows():
    texts = [f"t{i}" for i in range(100)]
    test = [f"T{i}" for i in range(95, 105)]
    labels = [i % 2 for i in range(100)]
    parts = divide(texts, labels, test_size=None, test_part=(test, [1, 0] * 5))
    assert parts.test == list(range(10))
    assert parts.leaked == [95, 96, 97, 98, 99]
    assert len(parts.validation) == 10
    assert sorted(parts.train + parts.validation) == list(range(95))
    assert parts.unused == 0


@pytest.mark.parametrize(("test_size", "count"), [(6, 6), (0.5, 10)])
def test_a_limit_on_a_test_part_samples_it_by_class(test_size, count):
    texts, labels = [f"t{i}" for i in range(100)], [i % 2 for i in range(100)]
    test = ([f"t{i}" for i in range(90, 110)], [0, 1] * 10)
    parts = divide(texts, labels, test_size=test_size, test_part=test)
    assert Counter(test[1][row] for row in parts.test) == {0: count // 2, 1: count // 2}
    assert parts.unused == 20 - count
    assert parts.leaked == list(range(90, 100))  # whatever part of the test rows is used


def test_train_size_takes_a_stratified_sample_and_smaller_ones_lie_within():
    texts, labels = random_rows(2, copies=0)
    whole = divide(texts, labels)
    large = divide(texts, labels, train_size=100)
    small = divide(texts, labels, train_size=50)
    assert (len(large.train), len(small.train)) == (100, 50)
    assert set(small.train) < set(large.train) < set(whole.train)
    assert (large.test, large.validation) == (whole.test, whole.validation)
    assert large.unused == len(whole.train) - 100
    share = sum(labels[row] for row in whole.train) / len(whole.train)
    assert abs(sum(labels[row] for row in large.train) - 100 * share) <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_size": 100}, "test_size asks for 100 of 100 rows"),
        ({"validation_size": 300}, "validation_size asks for 300 of 100 rows"),
        ({"test_size": 60, "validation_size": 40}, "leave no row to train on"),
        ({"test_size": 0.6, "validation_size": 0.6}, "leave no row to train on"),
        ({"train_size": 71}, "train_size asks for 71 rows, but there are 70"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings, message):
    texts, labels = [f"t{i}" for i in range(100)], [0] * 60 + [1] * 40
    with pytest.raises(DataError, match=message):
        divide(texts, labels, **settings)


def counts(parts, labels):
    return [
        Counter(labels[row] for row in part) for part in (parts.train, parts.validation, parts.test)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_every_part_has_a_row_of_each_class_with_enough_texts(seed):
    draw = random.Random(seed)
    sizes = [draw.choice((1, 2, 3, 4, 30, 200)) for _ in range(draw.randint(2, 40))]
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    texts = [f"text {i}" for i in range(len(labels))]
    if len(labels) < 30:
        pytest.skip("too few rows for shares")
    parts = divide(texts, labels, seed=seed)
    train, validation, test = counts(parts, labels)
    assert sorted([*parts.train, *parts.validation, *parts.test]) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        assert train[label] >= 1
        assert size < 3 or (validation[label] >= 1 and test[label] >= 1)


@pytest.mark.parametrize(
    ("sizes", "rows", "rare"),
    [
        ((300, 3), (212, 30, 61), (1, 1, 1)),  # 30 rows of validation had none by shares
        ((40, 40, 3), (58, 8, 17), (1, 1, 1)),
        ((40, 40, 2), (58, 8, 16), (1, 0, 1)),  # the test before the validation
        ((40, 40, 1), (57, 8, 16), (1, 0, 0)),  # training before the test
        ((3, 3), (2, 2, 2), (1, 1, 1)),
    ],
)
def test_rare_classes(sizes, rows, rare):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    found = counts(divide([f"t{i}" for i in range(len(labels))], labels), labels)
    assert tuple(part.total() for part in found) == rows
    assert tuple(part[len(sizes) - 1] for part in found) == rare


def test_shares_make_room_for_many_classes_and_numbers_do_not():
    labels = [i // 4 for i in range(600)]  # 150 classes of four rows
    texts = [f"t{i}" for i in range(600)]
    shares = counts(divide(texts, labels), labels)
    assert [part.total() for part in shares] == [300, 150, 150]
    assert all(len(part) == 150 for part in shares)
    fixed = counts(divide(texts, labels, test_size=60, validation_size=20), labels)
    assert [part.total() for part in fixed] == [520, 20, 60]
    assert len(fixed[0]) == 150


def test_copies_of_a_rare_text_stay_on_one_side():
    texts = [f"t{i}" for i in range(100)] + ["rare", "Rare", "RARE"]
    train, validation, test = counts(divide(texts, [0] * 100 + [1] * 3), [0] * 100 + [1] * 3)
    assert (train[1], validation[1], test[1]) == (3, 0, 0)


def test_train_size_does_not_change_the_test_rows():
    labels = [i // 4 for i in range(600)]
    texts = [f"t{i}" for i in range(600)]
    whole, few = divide(texts, labels), divide(texts, labels, train_size=40)
    assert (few.test, few.validation) == (whole.test, whole.validation)
    assert len({labels[row] for row in divide(texts, labels, train_size=170).train}) == 150


def test_a_test_file_may_lack_a_class():
    parts = divide(
        [f"t{i}" for i in range(50)], [0, 1] * 25, test_size=None, test_part=(["x", "y"], [0, 0])
    )
    assert parts.test == [0, 1]


def test_a_part_that_would_be_empty_is_refused():
    with pytest.raises(DataError, match=r"the last text of a class.*three different texts"):
        divide(["a", "A", "a ", "b", "B", "b "], [0, 0, 0, 1, 1, 1])


def test_a_test_part_that_takes_all_texts_is_told():
    texts, labels = [f"t{i}" for i in range(50)], [0, 1] * 25
    with pytest.raises(DataError, match=r"holds the texts of all 50 training rows.*other texts"):
        divide(texts, labels, test_size=None, test_part=(texts, labels))
    with pytest.raises(DataError, match=r"5 of 2 rows asked for, and 48 are dropped, for the test"):
        divide(texts, labels, test_size=None, test_part=(texts[2:], labels[2:]))


def test_a_limit_beyond_the_test_part_is_refused():
    with pytest.raises(DataError, match="test_size asks for 3 rows, but there are 2"):
        divide(
            [f"t{i}" for i in range(50)], [0, 1] * 25, test_size=3, test_part=(["x", "y"], [0, 1])
        )


def test_a_single_row_is_refused():
    with pytest.raises(DataError, match="choose a smaller test_size"):
        divide(["a"], [0])
