import json
import random

import pyarrow as pa
import pytest
from pyarrow import parquet

from hwlit.data.tables import read_table
from hwlit.errors import DataError

WANTED = {"body": "name it by --text", "topic": "name it by --label"}


@pytest.fixture
def refusal(tmp_path):
    """Writes a file and returns the message of the refusal."""

    def refuse(name, content, wanted=WANTED, label="topic"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(DataError) as caught:
            read_table(path, wanted, label)
        message = str(caught.value)
        assert str(path) in message
        assert "\n" not in message
        return message

    return refuse


def write_parquet(path, **columns):
    parquet.write_table(pa.table(columns), path)
    return path


TEXTS = [
    "NA",
    "None",
    "",
    ' "quoted"\nand, cut ',
    "\ttab",
    "é 👩‍👩‍👧 עברית\x0b\x85\u2028",
    "null",
    "nan",
]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "ndjson", "parquet", "CSV"])
def test_every_format_gives_back_the_texts(ending, tmp_path, write_csv):
    path = tmp_path / f"x.{ending}"
    topics = ["a", "b"] * 4
    if ending.lower() == "csv":
        write_csv(["topic", "id", "body"], zip(topics, "12345678", TEXTS, strict=True), path.name)
    elif ending == "tsv":
        rows = [
            "\t".join((t, '"' + b.replace('"', '""') + '"'))
            for t, b in zip(topics, TEXTS, strict=True)
        ]
        path.write_bytes("\n".join(["topic\tbody", *rows]).encode())
    elif ending == "parquet":
        write_parquet(path, topic=topics, id=list(range(8)), body=TEXTS)
    else:
        rows = [{"topic": t, "body": b} for t, b in zip(topics, TEXTS, strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_table(path, WANTED, "topic")
    assert table.texts("body") == TEXTS
    assert [row["topic"] for row in table.rows] == topics
    if ending.lower() == "csv":
        assert (table.place(3), table.place(4)) == ("line 5", "line 7")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_byte_order_mark_is_left_out_and_told(ending, tmp_path):
    content = {"csv": "body,topic\nx,a\n", "jsonl": '{"body": "x", "topic": "a"}\n'}[ending]
    path = tmp_path / f"x.{ending}"
    path.write_bytes(content.encode("utf-8-sig"))
    table = read_table(path, WANTED)
    assert (table.texts("body"), table.encoding) == (["x"], "UTF-8 with a byte order mark")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "x.xlsx",
            b"PK\x03\x04",
            "ends in '.xlsx', but .csv, .tsv, .json, .jsonl, .ndjson and .parquet are read; save",
        ),
        ("x.csv.gz", b"\x1f\x8b", "are read; unpack it"),
        ("x.txt", "body\ttopic\nx\ta\n", "are read; rename it to .csv where commas"),
        ("x", "", "ends in ''"),
        ("x.csv", b"PK\x03\x04 a sheet", "is a zip archive or an Excel file"),
        ("x.jsonl", b"\x1f\x8b\x08", "is compressed by gzip"),
        ("x.jsonl", "<!DOCTYPE html>", "is a web page"),
        (
            "x.jsonl",
            "café".encode("latin-1"),
            "byte 3 (0xe9) cannot be decoded; save the file as UTF-8 J",
        ),
        ("x.jsonl", "", "is empty"),
        ("x.parquet", b"PAR1 no more", "cannot be read as Parquet"),
        ("x.parquet", b"", "cannot be read as Parquet"),
        (
            "x.csv",
            "nr,text,topic\n1,x,a\n",
            "no column 'body', only 'nr', 'text', 'topic'; name",
        ),
        ("x.csv", "Body,topic\nx,a\n", "no column 'body', only 'Body', 'topic'"),
        ("x.csv", "body;topic\nx;a\n", "only 'body;topic'; part its columns by commas"),
        ("x.csv", "body,topic\n", "has a header but no rows"),
        ("x.tsv", "body\ttopic\nx\ty\ta\n", "line 2 has 3 fields instead of 2 (body, topic)"),
        ("x.jsonl", '{"text": "x"}', "no column 'body', only 'text'; name it by --text"),
        ("x.jsonl", '{"body": "x", "topic": 1}\n{"topic": 2}', "line 2 has no 'body'"),
        ("x.jsonl", '{"body": "x", "topic": 1}\n{"body": "y"', "line 2 is no JSON (Exp"),
        ("x.jsonl", '{"body": "x", "topic": 1}\n["y", 2]', "line 2 holds a list; write one JSON"),
        (
            "x.json",
            '[{"body": "x", "topic": 1}, 5]',
            "row 1 (the first is 0) holds a number; write",
        ),
        ("x.jsonl", "[" * 100_000, "line 1 is no JSON"),
        ("x.jsonl", '{"body": "x"}\n{"topic": 1, "topic": 2}', "line 2 has 'topic' twice"),
        ("x.jsonl", '{"body": "x", "topic": 1, "body": 2}', "has an object with 'body' twice"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(refusal, name, content, told):
    assert told in refusal(name, content)


def test_missing_files_and_folders_are_refused(tmp_path):
    for name in ("no.csv", "no.jsonl", "no.parquet", "no.xlsx"):
        with pytest.raises(DataError, match="does not exist"):
            read_table(tmp_path / name, WANTED)
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(DataError, match="is a directory"):
        read_table(tmp_path / "x.parquet", WANTED)


def test_parquet_names_its_columns_and_needs_rows(tmp_path):
    with pytest.raises(DataError, match="no column 'topic', only 'body', 'label'"):
        read_table(write_parquet(tmp_path / "x.parquet", body=["x"], label=[1]), WANTED)
    none = write_parquet(tmp_path / "x.parquet", body=pa.array([], pa.string()), topic=[])
    with pytest.raises(DataError, match="has no rows"):
        read_table(none, WANTED)


@pytest.mark.parametrize("value", [5, 1.5, True, ["x"], {"a": 1}])
def test_a_text_that_is_none_is_refused_with_its_place(value, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"body": null, "topic": 1}\n' + json.dumps({"body": value, "topic": 1}))
    with pytest.raises(DataError, match=r"line 2 has the body .*, which is no text"):
        read_table(path, WANTED).texts("body")
    path.write_text('{"body": null, "topic": 1}\n')
    assert read_table(path, WANTED).texts("body") == [""]
    numbers = write_parquet(tmp_path / "x.parquet", body=[None, 1], topic=[1, 1])
    with pytest.raises(DataError, match=r"row 1 \(the first is 0\) has the body 1"):
        read_table(numbers, WANTED).texts("body")


def test_half_a_character_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"body": "a\\ud83d", "topic": 1}\n')
    with pytest.raises(DataError, match=r"line 1 has half a character .*'\\ud83d'\) in body"):
        read_table(path, WANTED).texts("body")


def rows_with(changes, header="id,body,topic"):
    rows = {i: f"{i},text {i} of it,{'abc'[i % 3]}" for i in range(1000)}
    return "\n".join([header, *(rows | changes).values()]) + "\n"


@pytest.mark.parametrize("label", ["topic", None])
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({5: '5,"stray,a'}, "line 7 do not match"),
        ({5: '5,"stray,a', 495: '495,stray",b'}, "lines 7 to 497 are one record"),
        ({5: '5,"stray,a', 6: '6,stray",c'}, "lines 7 to 8 are one record"),
    ],
)
def test_stray_quotes_swallow_no_row_of_unknown_columns(refusal, label, changes, told):
    assert told in refusal("x.csv", rows_with(changes), {"body": ""}, label)


@pytest.mark.parametrize("label", ["topic", None])
@pytest.mark.parametrize("order", ["id body topic", "topic id body", "body topic", "topic body"])
def test_lines_of_a_text_that_are_no_records_are_text(write_csv, order, label):
    texts = [
        "one\ntwo, three, d\nfour",
        'he said "hi, you, b"\nagain',
        "\n\n",
        "1, 2, 3 go\n4, 5, z",
    ]
    texts += ["plain\nlines", '"quoted"\n"lines"', "x", "y"]
    rows = [{"id": i, "body": text, "topic": "abc"[i % 3]} for i, text in enumerate(texts * 3)]
    path = write_csv(order.split(), [[str(row[name]) for name in order.split()] for row in rows])
    assert read_table(path, WANTED, label).texts("body") == texts * 3


def test_stray_quotes_in_a_last_column_swallow_no_row(refusal):
    strays = {5: '5,a,"stray', 6: '6,b,stray"'}
    rows = {i: f"{i},{'abc'[i % 3]},text {i} of it" for i in range(9)} | strays
    told = refusal("x.csv", "\n".join(["id,topic,body", *rows.values()]))
    assert "lines 7 to 8 are one record" in told


@pytest.mark.parametrize("strays", [1, 2, 50])
def test_random_stray_quotes_never_change_the_number_of_real_rows(real_data, tmp_path, strays):
    source = real_data("tweets/train.csv").read_text(encoding="utf-8")
    commas = [at for at, mark in enumerate(source) if mark == ","]
    draw, wanted = random.Random(strays), {"text": "", "target": ""}
    refused = 0
    for _ in range(4):
        changed = list(source)
        for _ in range(strays):
            changed[draw.choice(commas)] = draw.choice([',"', '",'])
        (tmp_path / "d.csv").write_text("".join(changed), encoding="utf-8")
        try:
            assert len(read_table(tmp_path / "d.csv", wanted, "target").rows) == 7613
        except DataError:
            refused += 1
    assert refused or strays == 1


def test_a_long_text_full_of_quotes_is_read_quickly(tmp_path):
    line = 'x,"' + ',"" ' * 250_000 + '\nfoo",a\n'
    (tmp_path / "x.csv").write_text("id,body,topic\n1,x,a\n2,y,b\n3," + line[2:])
    assert len(read_table(tmp_path / "x.csv", WANTED, "topic").texts("body")[2]) > 750_000
