import json

import pytest

from hwlit.data.dialects import Dialect, dialect_in, dialect_of
from hwlit.data.tables import read_table
from hwlit.errors import DataError, IntegrityError, UsageError

WANTED = {"text": "name it by --text", "label": "name it by --label"}


@pytest.fixture
def read(tmp_path):
    """Writes a file and reads it by a dialect."""

    def read(content, name="x.csv", wanted=WANTED, **settings):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        given = {"encoding": None, "delimiter": None, "quotes": "standard", "columns": None}
        return read_table(path, wanted, "label", dialect_of(**given | settings))

    return read


def cells(table):
    return [[row["text"], row["label"]] for row in table.rows]


@pytest.mark.parametrize(
    ("name", "mark", "given"),
    [
        ("comma", ",", None), ("semicolon", ";", ";"), ("tab", "\t", "\\t"), ("pipe", "|", "|"),
        ("tab", "\t", "\t"),
    ],
)  # fmt: skip
def test_a_delimiter_is_given_by_its_name_or_itself(name, mark, given, read):
    for ending in ("csv", "tsv"):
        table = read(f'text{mark}label\n"a{mark} b; c, d"{mark}1\n', f"x.{ending}", delimiter=name)
        assert cells(table) == [[f"a{mark} b; c, d", "1"]]
    assert dialect_of(None, given or name, "standard", None).delimiter == mark


@pytest.mark.parametrize("header", ["text;label", '"text";"label"', "text;label;note, more"])
def test_a_wrong_delimiter_is_told_with_the_flag_before_anything_else(header, read):
    rows = '"a, b";1;\n"c, ""d""";0;\n'
    with pytest.raises(
        DataError, match=r"part its columns by commas .* --data\.delimiter semicolon"
    ):
        read(f"{header}\n{rows}")
    with pytest.raises(DataError, match=r"has 1 fields instead of 2 .*--data\.delimiter semicolon"):
        read("a;1\nb;0\n", columns=["text", "label"])


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep=;\r"])
def test_a_file_may_state_its_delimiter(line, read):
    table = read(f"{line}\ntext;label\na, b;1\n\nc;0\n")
    assert cells(table) == [["a, b", "1"], ["c", "0"]]
    assert [table.place(row) for row in (0, 1)] == ["line 3", "line 5"]
    assert table.notes == ("columns parted by semicolon, as line 1 says",)
    assert cells(read(f"{line}\ntext;label\na, b;1\n", delimiter="semicolon")) == [["a, b", "1"]]
    with pytest.raises(
        DataError, match=r"';' parts its columns, but --data.delimiter pipe was giv"
    ):
        read(f"{line}\ntext;label\na;1\n", delimiter="pipe")
    with pytest.raises(DataError, match="'x' parts its columns, but comma, semicolon"):
        read("sep=x\ntextxlabel\na;1\n")
    with pytest.raises(DataError, match="has no rows"):
        read("sep=;\n\n")


def test_quotes_may_be_letters(read):
    rows = '"a start,1\nan " in the middle,0\n"whole",1\n"" ,0\n'
    table = read(f"text,label\n{rows}", quotes="none")
    texts = ['"a start', 'an " in the middle', '"whole"', '"" ']
    assert [row[0] for row in cells(table)] == texts
    for broken in (
        'text\tlabel\n"a\t1\nb\t0\n',
        'text\tlabel\na\t1\n"b\t1\nc "\t0\n"d\t1\ne"\t0\n',
    ):
        with pytest.raises(DataError, match=r"--data\.quotes none where quotes are part"):
            read(broken, "x.tsv")
    with pytest.raises(DataError, match="line 3 has 3 fields instead of 2"):
        read('text,label\na,1\n"b, c",1\n', quotes="none")


def test_a_file_without_a_header_gets_its_names(read):
    names = ["source", "label", "mark", "text"]
    for first in ("", "\n", " \n"):
        table = read(f"{first}gj04\t1\t\ta\ngj04\t0\t*\tb\n", "x.tsv", columns=names)
        assert cells(table) == [["a", "1"], ["b", "0"]]
    assert (table.place(0), table.notes) == ("line 2", ())
    table = read("id\ttext\tlabel\n7\ta\t1\n", "x.tsv", columns=names)
    assert (cells(table), table.notes) == ([["a", "1"]], ("columns named by its first line",))
    with pytest.raises(DataError, match=r"line 1 has 2 fields instead of 4"):
        read("a\t1\n", "x.tsv", columns=names)
    with pytest.raises(DataError, match=r"no header, name all its columns .* --data\.columns '\["):
        read("gj04\t1\t\ta\n", "x.tsv")
    only = read(" \na\n\n b\n", wanted={"text": ""}, columns=["text"])
    assert only.texts("text") == [" ", "a", " b"]


def test_a_column_that_is_read_may_not_come_twice(read):
    assert cells(read("x,,text,label,,x\n1,2,a,1,,\n")) == [["a", "1"]]
    for names in ("text,label,text", "label,text,label"):
        with pytest.raises(DataError, match=r"has the column '(text|label)' twice"):
            read(f"{names}\na,1,b\n")


def test_unnamed_columns_at_the_end_may_lack_in_all_rows_and_in_no_single_one(read):
    assert cells(read("text,label,,\na,1\nb,0\n")) == [["a", "1"], ["b", "0"]]
    for rows in ("a,1\nb,0,,\n", "a,1,,\nb,0\n"):
        with pytest.raises(DataError, match="has 2 fields instead of 4"):
            read(f"text,label,,\n{rows}")
    with pytest.raises(DataError, match="what its rows have beyond the first line is empty"):
        read("text,label\nhello, world,\n")


def test_names_of_other_case_or_with_spaces_are_told(read):
    with pytest.raises(
        DataError, match=r"no column 'label', only 'text', ' label'; .*\(perhaps ' l"
    ):
        read("text, label\na,1\n")
    with pytest.raises(DataError, match=r"\(perhaps 'Text'\)"):
        read("Text,Label\na,1\n")
    with pytest.raises(DataError, match=r"\(perhaps 'labels'\)"):
        read("text,labels\na,1\n")


@pytest.mark.parametrize(
    ("codec", "told"),
    [
        ("utf-16", "UTF-16 with a byte order mark"),
        ("utf-32", "UTF-32 with a byte order mark"),
        ("utf-8-sig", "UTF-8 with a byte order mark"),
    ],
)
def test_a_byte_order_mark_tells_the_encoding(codec, told, read):
    for encoding in (None, "cp1252"):
        table = read("text,label\ncafé — 😀,1\n".encode(codec), encoding=encoding)
        assert (cells(table), table.encoding) == ([["café — 😀", "1"]], told)
    big = read(b"\xfe\xff" + "text,label\né,1\n".encode("utf-16-be"))
    assert cells(big) == [["é", "1"]]
    rows = json.dumps([{"text": "é😀", "label": 1}], ensure_ascii=False).encode(codec)
    assert cells(read(rows, "x.json")) == [["é😀", 1]]


@pytest.mark.parametrize(
    ("given", "text", "told"),
    [
        ("cp1252", "café — “ok”", "cp1252"), ("windows-1252", "€", "cp1252"),
        ("latin-1", "café", "latin_1"), ("UTF-16-LE", "žluť", "utf_16_le"),
        ("shift_jis", "日本語", "shift_jis"), ("gb18030", "你好", "gb18030"),
        ("cp1251", "привет", "cp1251"), ("iso2022_jp", "日本語", "iso2022_jp"),
    ],
)  # fmt: skip
def test_an_encoding_is_of_files_that_are_not_utf_8(given, text, told, read):
    content = f"text,label\n{text},1\n"
    table = read(content.encode(told), encoding=given)
    assert (cells(table), table.encoding) == ([[text, "1"]], told)
    table = read(content.encode(), encoding=given)
    assert (cells(table), table.encoding) == ([[text, "1"]], "UTF-8")


def test_what_another_encoding_seems_to_be_is_told_with_its_command(read):
    content = "text,label\ncafé — “ok”,1\n"
    with pytest.raises(DataError) as caught:
        read(content.encode("cp1252"))
    assert (
        "if 'café — “ok”,1' is what it says there, it is Windows-1252: iconv -f CP1252 -t"
        in str(caught.value)
    )
    assert "x.csv > utf8.csv, or set --data.encoding cp1252" in str(caught.value)
    for codec, name in (("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE")):
        for line in ("a,1", "caf\u00e9,1"):  # which may or may not be valid UTF-8
            with pytest.raises(
                DataError, match=rf"iconv -f {name} -t UTF-8 .*--data\.encoding utf_16_"
            ):
                read(f"text,label\n{line}\n".encode(codec))
    with pytest.raises(DataError, match="the text before it is UTF-8: look there"):
        read(content.encode() + "é,1".encode("cp1252"))
    with pytest.raises(DataError, match=r"is not cp1252: byte 11 .0x81. cannot be decoded"):
        read(b"text,label\n\x81,1\n", encoding="cp1252")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"encoding": "klingon"}, "'klingon', which is no text encoding of Python"),
        ({"encoding": "rot13"}, "no text encoding"),
        ({"encoding": "base64"}, "no text encoding"),
        ({"encoding": "unicode_escape"}, "no text encoding"),
        ({"encoding": "os.path"}, "no text encoding"),
        ({"delimiter": "::"}, "delimiter is '::'; give comma, semicolon, tab, pipe or null"),
        ({"delimiter": ""}, "delimiter is ''"),
        ({"columns": []}, "columns is empty"),
    ],
)
def test_unknown_settings_are_refused(settings, told, read):
    with pytest.raises(UsageError) as caught:
        read("text,label\na,1\n", **settings)
    assert told in str(caught.value)


def test_a_record_tells_the_dialect_of_its_run():
    made = dialect_of("latin-1", ";", "none", ["text", "label"])
    told = json.loads(json.dumps(made.as_record()))
    assert told["delimiter"] == "semicolon"
    assert dialect_in(told) == Dialect("latin_1", ";", "none", ("text", "label"))
    assert dialect_in(None) == Dialect()
    assert not dialect_in(told).or_flag("quotes", "none")


@pytest.mark.parametrize(
    "recorded",
    [
        "semicolon", [], {}, {"quotes": 1}, {"quotes": "none", "encoding": "klingon"},
        {"quotes": "none", "encoding": 5}, {"quotes": "none", "delimiter": ["a"]},
        {"quotes": "none", "columns": "text"}, {"quotes": "none", "columns": [1]},
        {"quotes": "none", "columns": []}, {"quotes": "none", "columns": [["a"]]},
        {"quotes": "none", "encoding": "\0"},
    ],
)  # fmt: skip
def test_a_damaged_record_of_it_is_told(recorded):
    with pytest.raises(IntegrityError, match=r"the record's data\.dialect is damaged"):
        dialect_in(recorded)
