import pytest

from hwlit.data.arguments import class_weights, folder_of, whole, workers
from hwlit.errors import UsageError


def test_a_class_without_a_row_takes_no_weight_from_the_others():
    assert class_weights("balanced", ("a", "b", "c"), [0, 0, 0, 2]) == (4 / 6, 1.0, 2.0)


def test_balanced_classes_weigh_the_same_together():
    labels = [0] * 6 + [1] * 3 + [2]
    weights = class_weights("balanced", ("a", "b", "c"), labels)
    assert weights == pytest.approx((10 / 18, 10 / 9, 10 / 3))
    assert sum(weights[label] for label in labels) == pytest.approx(len(labels))


def test_a_mapping_weighs_the_classes_it_names():
    assert class_weights({"b": 2.5}, ("a", "b"), [0, 1]) == (1.0, 2.5)
    assert class_weights({1: 3.0}, ("0", "1"), [0, 1]) == (1.0, 3.0)  # YAML reads 1 as a number


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"x": 1.0}, "has 'x', which is no class; these are 'a', 'b'"),
        ({"a": 0.0}, "gives 'a' the weight 0.0"),
        ({"a": -1.0}, "give a number above 0"),
        ({"a": float("nan")}, "the weight nan"),
        ({"a": float("inf")}, "the weight inf"),
    ],
)
def test_other_weights_are_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        class_weights(asked, ("a", "b"), [0, 1])


def test_what_would_fill_the_memory_or_start_a_thousand_processes_is_refused():
    assert workers(0) == 0
    for value in (-1, 100_000, 1.5, True):
        with pytest.raises(UsageError, match="num_workers is"):
            workers(value)
    assert whole(1, 3, "x", 3) == 3
    with pytest.raises(UsageError, match=r"--data\.x is 4; give a whole number from 1 to 3"):
        whole(1, 3, "x", 4)


def test_a_folder_of_a_user_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("HOME", "/home/you")
    assert str(folder_of("~/dogs", "--data.path")) == "/home/you/dogs"
    with pytest.raises(UsageError, match="no such user"):
        folder_of("~no-such-user/dogs", "--data.path")
