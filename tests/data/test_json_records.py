import json

import pytest

from hwlit.data import files
from hwlit.data.tables import read_table
from hwlit.errors import DataError, ResourceError

WANTED = {"text": "name it by --text", "label": "name it by --label"}
ROWS = [{"text": "a\u2028b", "label": 1}, {"text": "", "label": None}, {"text": "c", "label": 0}]
COLUMNS = {name: [row[name] for row in ROWS] for name in ("text", "label")}


@pytest.fixture
def read(tmp_path):
    """Writes JSON, or text as it is, and reads it."""

    def read(value, wanted=WANTED, label="label", name="x.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return read_table(path, wanted, label)

    return read


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        json.dumps(ROWS, indent=1),
        "\n".join(map(json.dumps, ROWS)),
        "\n\n".join(json.dumps(row) + "\r" for row in ROWS) + "\n\n",
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        {"data": ROWS},
        {"version": 1, "rows": ROWS, "names": ["bad", "good"], "about": {"by": "me"}},
        {"schema": {"fields": [{"name": "text"}]}, "data": ROWS},
        {"train": ROWS, "names": [{"id": 0, "name": "bad"}, {"id": 1, "name": "good"}]},
        COLUMNS,
        COLUMNS | {"names": ["bad", "good"]},
        {"data": COLUMNS},
        {name: {str(i): value for i, value in enumerate(c)} for name, c in COLUMNS.items()},
        {str(i): row for i, row in enumerate(ROWS)},
        {"columns": ["text", "label"], "index": [0, 1, 2], "data": [[*r.values()] for r in ROWS]},
    ],
)
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.NDJSON"])
def test_what_is_unambiguous_is_read(value, name, read):
    table = read(value, name=name)
    assert [dict(row) for row in table.rows] == ROWS
    assert table.texts("text") == [row["text"] for row in ROWS]


def test_rows_of_lines_have_their_lines(read):
    table = read("\n".join(json.dumps(row) + "\n" for row in ROWS))
    assert [table.place(row) for row in range(3)] == ["line 1", "line 3", "line 5"]
    table = read("\n".join(json.dumps(row, indent=1) for row in ROWS))
    assert [table.place(row) for row in range(3)] == ["line 1", "line 5", "line 9"]
    assert read(ROWS).place(1) == "row 1 (the first is 0)"
    assert read(ROWS[0]).place(0) == "line 1"


def test_values_within_values_are_read_by_their_names(read):
    labelled = [{"value": {"choices": ["good"]}}]
    rows = [
        {"data": {"text": "a"}, "annotations": [{"result": labelled}], "text.raw": "A"},
        {"data": {"text": "b"}, "annotations": [], "text.raw": "B"},
    ]
    label = "annotations.0.result.0.value.choices.0"
    table = read(rows, {"data.text": "", label: "", "text.raw": ""}, label)
    assert [[*row.values()] for row in table.rows] == [["a", "good", "A"], ["b", None, "B"]]
    with pytest.raises(
        DataError, match=r"no column 'text', only 'data\.text', 'annotations\.0\.re"
    ):
        read(rows)
    rows[1]["annotations"] = rows[0]["annotations"] * 2
    with pytest.raises(DataError, match=r"row 1 .* has 2 items where .* takes the only one"):
        read(rows, {"data.text": "", label: ""}, label)


def test_a_label_may_be_absent_and_a_text_may_not(read):
    rows = [{"text": "a", "label": 1}, {"text": "b"}]
    assert [row["label"] for row in read(rows).rows] == [1, None]
    with pytest.raises(DataError, match=r"row 1 .* has no 'text'"):
        read([*rows[:1], {"label": 1}])
    with pytest.raises(DataError, match="no column 'label', only 'text'; name it by --label"):
        read(rows[1:])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"train": ROWS, "test": ROWS[:1]}, "'train' (a list of 3), 'test' (a list of 1), and it"),
        ({"text": ["a", "b"], "label": [1]}, "differ in their rows ('text': 2, 'label': 1)"),
        (
            {"Text": ["a"], "Label": [1]},
            "no column 'text', only 'Text', 'Label'; name it by --text",
        ),
        ({"Text": {"0": "a"}, "Label": {"0": 1}}, "no column 'text', only 'Text', 'Label'"),
        ({"text": "a", "parts": [1, 2]}, "'text' (a text), 'parts' (a list of 2), and it cannot"),
        ([], "has no rows"),
        ({}, "holds an object; write a list of objects"),
        (5, "holds a number; write a list"),
        (["a", "b"], "row 0 (the first is 0) holds a text"),
        ([["text", "label"], ["a", 1]], "row 0 (the first is 0) holds a list"),
        ('{"text": "a"},\n{"text": "b"}', "line 1 is no JSON"),
        ('[{"text": "a"},\n{"text": "b"', "line 2 is no JSON"),
        ('{"data": {"text": 1, "text": 2}}', "has an object with 'text' twice"),
        ({"columns": ["text", "text", "label"], "data": [[1, 2, 3]]}, "the column 'text' twice"),
    ],
)
def test_what_is_ambiguous_gets_one_sentence(value, told, read):
    with pytest.raises(DataError) as caught:
        read(value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_nobody_reads_may_come_twice(read):
    assert read('[{"text": "a", "id": 1, "id": 2, "label": 0}]').texts("text") == ["a"]


def test_what_memory_does_not_suffice_for_is_refused_unread(read, monkeypatch):
    monkeypatch.setattr(files, "free_memory", lambda: 10 << 20)
    with pytest.raises(ResourceError, match=r"holds 100,001 JSON values, .* of memory to read"):
        read("[" + ",".join(["{}"] * 100_000) + "]")
