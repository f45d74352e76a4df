import math

import pytest

from hwlit.data.labels import find_classes, is_missing, label_text
from hwlit.errors import DataError, UsageError


def classes(values, names=None, rows=100):
    return find_classes("f.csv", {v: f"line {i + 2}" for i, v in enumerate(values)}, rows, names)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"), (" 1", " 1"), ("01", "01"), (1, "1"), (1.0, "1"), (-3.0, "-3"), (0.5, "0.5"),
        (True, "true"), (None, None), (math.nan, None), ("nan", "nan"), (10**30, "1" + "0" * 30),
    ],
)  # fmt: skip
def test_a_label_is_text_by_one_rule(value, text):
    assert label_text(value) == text


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", math.inf, -math.inf])
def test_other_things_are_no_labels(value):
    with pytest.raises(TypeError):
        label_text(value)


def test_missing_labels_are_known():
    assert all(map(is_missing, [None, "", " ", "nan", "NaN", "NULL", "<NA>"]))
    assert not any(map(is_missing, ["None", "NA", "0", "none of these"]))


def test_names_are_the_values_sorted():
    assert classes(["b", "B2", "a"]).names == ("B2", "a", "b")
    assert classes(["10", "9", "-1", "2"]).names == ("-1", "2", "9", "10")
    assert classes(["10", "9", "x"]).names == ("10", "9", "x")
    assert classes(["10", "9"]).ids == {"9": 0, "10": 1}


def test_a_list_gives_the_order_or_names_the_numbers():
    assert classes(["spam", "ham"], ["spam", "ham"]).ids == {"spam": 0, "ham": 1}
    named = classes(["1", "0"], ["ham", "spam"])
    assert (named.names, named.ids) == (("ham", "spam"), {"0": 0, "1": 1})
    assert classes(["1", "0"], ["1", "0"]).ids == {"1": 0, "0": 1}


def test_a_mapping_names_and_joins_values():
    names = {0: "bad", "1": "bad", 2.0: "good"}
    found = classes(["2", "1", "0"], names)
    assert found.names == ("bad", "good")
    assert found.ids == {"0": 0, "1": 0, "2": 1}
    assert classes(["1", " 1", "x"], {"1": "one", " 1": "one", "x": "x"}).names == ("one", "x")


@pytest.mark.parametrize(
    ("values", "names", "told"),
    [
        (["a"], None, "has the one label 'a' in all 100 rows"),
        (["a", "b"], {"a": "x", "b": "x"}, "has the one label"),
        (["a", "a "], None, "line 3 has the label 'a ', line 2 'a'; write them alike"),
        (["Sport", "news", "sport"], None, "line 4 has the label 'sport', line 2 'Sport'"),
        (["1", "x", "1.0"], None, "line 4 has the label '1.0', line 2 '1'"),
        (["1.1", "x", "1.10"], None, "line 4 has the label '1.10', line 2 '1.1'"),
        (["1.1", "1.10"], ["1.1", "1.10"], "line 3 has the label '1.10', line 2 '1.1'"),
        (["1", "0", "01"], ["0", "1", "01"], "line 4 has the label '01', line 2 '1'"),
        (["a", "b"], ["a", "c"], "line 3 has the label 'b', which --data.label_names lacks"),
        (["1", "2"], ["x", "y"], "line 2 has the label '1', which"),
        ([str(i) for i in range(51)], None, "has 51 different labels in 100 rows, such as '0'"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused(values, names, told):
    with pytest.raises(DataError) as caught:
        classes(values, names)
    assert told in str(caught.value)


def test_more_than_a_thousand_classes_are_refused():
    values = [str(i) for i in range(1001)]
    with pytest.raises(DataError, match="1001 different labels in 9999 rows"):
        classes(values, rows=9999)
    assert len(classes(values[1:], rows=9999).names) == 1000


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "a"], "has an entry twice: a, a"),
        ({1: "a", "1": "b"}, "has an entry twice: 1, 1"),
        (["a", " "], "has an empty name"),
        ({"a": "x", "b": ""}, "has an empty name"),
    ],
)
def test_names_that_are_none_are_refused(names, told):
    with pytest.raises(UsageError, match=told):
        classes(["a", "b"], names)


def test_whole_numbers_are_read_without_their_point():
    found = classes(["1.0", "0.0", "1"])
    assert (found.names, found.ids) == (("0", "1"), {"0": 0, "1": 1})
    assert [found.id_of(value) for value in ("1", "1.0", "1.00", "1.", "1.5", "x")] == [
        1, 1, 1, 1, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("values", [["1.0", "0.0"], ["1", "0"], ["0.0", "1"]])
@pytest.mark.parametrize(
    "names",
    [
        ["bad", "good"],
        {0: "bad", 1: "good"},
        {0.0: "bad", 1.0: "good"},
        {"0.0": "bad", "1": "good"},
    ],
)
def test_names_of_numbers_hold_with_and_without_a_point(values, names):
    found = classes(values, names)
    assert found.names == ("bad", "good")
    assert [found.id_of(value) for value in values] == [int(float(value)) for value in values]


def test_names_that_are_written_as_the_values_are_taken_as_written():
    assert classes(["1.0", "2.0"], ["2.0", "1.0"]).ids == {"2.0": 0, "1.0": 1}
    assert classes(["1.0", "1.1", "x"]).names == ("1.0", "1.1", "x")


@pytest.mark.parametrize("values", [["0.0", "0.5", "1.0"], ["4", "3", "2.5"], ["1e-3", "2"]])
def test_scores_are_no_classes_unless_they_are_named(values):
    with pytest.raises(DataError, match=r"as scores have.*\(regression\).*--data\.label_names '\["):
        classes(values)
    assert classes(values, values).names == tuple(values)
    assert classes([*values, "unknown"]).ids.keys() == {*values, "unknown"}


@pytest.mark.parametrize(
    "values",
    [
        ["27", "2,27"], ["2, 27", "2"], ["a", "b", "a|b"], ["a;b", "b"], ["[27]", "[2, 27]"],
        ["['a', 'b']", "['b']"], ["2 27", "27"], ["[ 2 27]", "[27]"], ["a|b", "b|c"],
        ["('a', 'b')", "('b',)"], ["{'a', 'b'}", "{'a'}"], ["a/b", "a"], ["a+b", "b"],
        ["5,120", "120"],
    ],
)  # fmt: skip
def test_several_labels_in_one_are_refused_unless_they_are_named(values):
    with pytest.raises(
        DataError, match=r"several in one .*no multi-label.*--data\.label_names '\["
    ):
        classes(values)
    assert classes(values, values).names == tuple(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["0,5", "1,5", "2,25"], r"'0,5', as scores have.*\(regression\)"),
        (["0,5", "1,0"], r"several in one \(0 and 5\) or a score, .*no multi-label, no regression"),
    ],
)
def test_scores_with_a_decimal_comma_are_no_classes(values, told):
    with pytest.raises(DataError, match=told):
        classes(values)
    assert classes(values, values).names == tuple(values)


@pytest.mark.parametrize(
    "values",
    [
        ["Paris, France", "Lyon, France", "Rome, Italy"], ["fire, and smoke", "calm", "water"],
        ["red wine", "red", "wine"], ["Sci/Tech", "World"], ["C++", "C"], ["a, ", "b"], [",", "a"],
        ["C/C++", "C", "C++"], ["A+", "A"], ["0-1,000", "1,000-5,000", "5,000+"],
        ["$1,000", "$2,000", "$1,000 to $2,000"], ["(a)", "(b)"],
    ],
)  # fmt: skip
def test_labels_with_marks_in_them_are_classes(values):
    assert set(classes(values).names) == set(values)
