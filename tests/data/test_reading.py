import contextlib
import gzip
import random

import pytest

from hwlit.data.ag_news import AGNews
from hwlit.data.imdb import IMDB
from hwlit.data.reading import Form, read_csv, read_rows
from hwlit.data.tweets import Tweets
from hwlit.errors import DataError

HEADER = "id,keyword,location,text,target\n"


@pytest.fixture
def refusal(tmp_path):
    """Writes bytes as a tweets file and returns the message of the refusal."""

    def refuse(content, forms=Tweets.forms, columns=None):
        path = tmp_path / "bad.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(DataError) as caught:
            read_csv(path, columns, forms)
        message = str(caught.value)
        assert str(path) in message
        assert "\n" not in message
        return message

    return refuse


@pytest.mark.parametrize(
    ("data", "name", "rows", "distinct"),
    [
        (Tweets, "tweets/train.csv", 7613, 7503),
        (AGNews, "ag_news/test.csv", 7600, 7600),
        (IMDB, "imdb/imdb_2000.csv", 2000, 2000),
    ],
)
def test_real_files_have_their_known_rows(real_data, data, name, rows, distinct):
    read = read_rows(real_data(name), data.forms)
    assert len(read.texts) == len(read.labels) == rows
    assert len(set(read.texts)) == distinct


def test_real_rows_are_as_written(real_data):
    tweets = read_rows(real_data("tweets/train.csv"), Tweets.forms)
    assert tweets.texts[3] == "13,000 people receive #wildfires evacuation orders in California "
    assert sum(tweets.labels) == 3271
    assert sum("\n" in text for text in tweets.texts) > 100
    news = read_rows(real_data("ag_news/test.csv"), AGNews.forms)
    assert news.texts[0].startswith("Fears for T N pension after talks Unions representing")
    assert news.labels[:2] == [2, 3]
    reviews = read_rows(real_data("imdb/imdb_2000.csv"), IMDB.forms)
    assert (
        "hooked. They are right, as this is exactly what happened with me.<br /><br />The"
        in (reviews.texts[0])
    )


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan", "N/A", "", "01", "1.0", " a "])
def test_text_is_never_interpreted(write_csv, text):
    path = write_csv(["text", "target"], [(text, "1"), ("b", "0")])
    assert read_csv(path, None, Tweets.forms)[0] == {"text": text, "target": "1"}


def test_byte_order_mark_is_no_part_of_the_header(tmp_path):
    (tmp_path / "d.csv").write_bytes("\ufefftext,target\né,1\n".encode())
    assert read_csv(tmp_path / "d.csv") == [{"text": "é", "target": "1"}]


def test_a_field_of_any_size_is_read(write_csv):
    path = write_csv(["text", "target"], [("a" * 1_000_000 + "\n", "1")])
    assert len(read_rows(path, Tweets.forms).texts[0]) == 1_000_001


def test_a_file_without_header_takes_the_given_names(tmp_path):
    (tmp_path / "d.csv").write_text('"4","t","d, e"\n"1","",""\n')
    read = read_rows(tmp_path / "d.csv", AGNews.forms)
    assert (read.texts, read.labels) == (["t d, e", " "], [3, 0])


@pytest.mark.parametrize(
    "content",
    [
        b"text,target\r\na,1\r\nb,0\r\n\r\n\r\n", b"text,target\r\r\na,1\r\r\nb,0\r\r\n",
        b"\n\ntext,target\n\na,1\n \t\n\nb,0", b"text,target\ra,1\r\rb,0\r",
    ],
)  # fmt: skip
def test_line_ends_of_other_systems_and_blank_lines_are_no_rows(content, tmp_path):
    (tmp_path / "d.csv").write_bytes(content)
    assert read_rows(tmp_path / "d.csv", Tweets.forms).texts == ["a", "b"]


def test_columns_that_nobody_reads_may_have_any_name(tmp_path):
    (tmp_path / "d.csv").write_text(",text,,x,x,target\n0,a,,,,1\n1,b,end,,,0\n")
    read = read_rows(tmp_path / "d.csv", Tweets.forms)
    assert (read.texts, read.labels) == (["a", "b"], [1, 0])
    assert read.notes == ("unnamed columns not read, with values in 1 rows",)


def test_unicode_line_separators_do_not_end_a_row(tmp_path):
    (tmp_path / "d.csv").write_text("text,target\na\u2028b\x0bc\x85d,1\n", encoding="utf-8")
    assert read_csv(tmp_path / "d.csv")[0]["text"] == "a\u2028b\x0bc\x85d"


def test_the_second_form_is_taken_where_the_first_does_not_fit(write_csv):
    path = write_csv(["label", "text"], [("1", "x"), ("negative", "y")])
    assert read_rows(path, IMDB.forms).labels == [1, 0]


def test_missing_file_and_directory_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no\.csv does not exist; give the path"):
        read_csv(tmp_path / "no.csv")
    with pytest.raises(DataError, match="is a directory; give the file in it"):
        read_csv(tmp_path)


def test_missing_column_names_those_seen_and_wanted(refusal):
    message = refusal("Text,target\na,1\n")
    assert "'Text', 'target'" in message
    assert "needed are text, target" in message


def test_an_error_page_is_no_data(refusal):
    assert "is a web page" in refusal("\ufeff\n<!DOCTYPE html>\n<html>404</html>\n")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"text,target\na,1\n", mtime=0), "is compressed by gzip"),
        (b"PK\x03\x04 xl/worksheets", "is a zip archive or an Excel file"),
        (b"PAR1 and more", "is a Parquet file"),
    ],
)
def test_other_kinds_of_files_are_named(refusal, content, what):
    assert f"{what}; unpack it or save it as UTF-8 CSV" in refusal(content)


def test_duplicate_header_is_refused(refusal):
    assert "has the column 'text' twice" in refusal("text,target,text\na,1,b\n")


@pytest.mark.parametrize(("row", "count"), [("1,a,1", 3), ("1,,,a,b,1", 6), ('""', 1), ('" "', 1)])
def test_wrong_number_of_fields_names_the_line(refusal, row, count):
    message = refusal(HEADER + f"1,,,ok,1\n{row}\n2,,,ok,0\n")
    assert f"line 3 has {count} fields instead of 5" in message


@pytest.mark.parametrize(
    ("content", "byte"),
    [
        ("text,target\ncafé,1\n".encode("latin-1"), 15),
        (b"\xef\xbb\xbf" + "text,target\ncafé,1\n".encode("cp1252"), 18),
        (b"\xff\xfe" + "text\n".encode("utf-16-le") + b"\x00\xd8", 12),
    ],
)
def test_other_encodings_name_the_byte_and_the_encoding_expected(refusal, content, byte):
    message = refusal(content)
    assert f"byte {byte} " in message
    assert "save the file as UTF-8 CSV" in message


def test_nul_bytes_are_refused(refusal):
    assert "has a NUL byte at byte 13" in refusal(b"text,target\na\0,1\n")
    assert "has a NUL byte at byte 1:" in refusal("text,target\na,1\n".encode("utf-16-le"))


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_refused(refusal, content):
    assert "is empty" in refusal(content)


def test_a_header_alone_is_refused(refusal):
    assert "has a header but no rows" in refusal(HEADER)


@pytest.mark.parametrize("value", ["", "2", "1.0", "01", " 1", "positive"])
def test_unknown_labels_name_value_and_line(refusal, value):
    message = refusal(HEADER + f'1,,,"two\nlines",1\n2,,,b,{value}\n')
    assert f"line 4 has the unknown target {value!r}" in message
    assert "'0', '1'" in message


def test_a_header_where_none_is_expected_is_an_unknown_label(refusal):
    message = refusal("Class Index,Title,D\n3,a,b\n", AGNews.forms, AGNews.forms[0].columns)
    assert "line 1 has the unknown class 'Class Index'" in message


def rows_with(changes, count=1000):
    """Rows without any quote, some of them changed."""
    rows = {i: f"{i},,,tweet number {i},{i % 2}" for i in range(count)}
    return HEADER + "\n".join((rows | changes).values()) + "\n"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({5: '5,,,"stray,1'}, "line 7 do not match"),
        ({5: '5,,,"stray" here,1'}, "line 7"),
        ({5: '5,,,"stray,1', 495: '495,,,"stray,1'}, "line 7 do not match at line 497"),
        ({5: '5,,,"stray,1', 495: '495,,,stray",1'}, "lines 7 to 497 are one record"),
        ({5: '5,,,"stray,1', 6: '6,,,stray",1'}, "lines 7 to 8 are one record"),
        ({5: '5,,,"a","b', 7: '7,,,stray"'}, "lines 7 to 9 are one record"),
        ({5: '5,,"Paris, FR","stray,1', 6: '6,,,stray",1'}, "lines 7 to 8 are one record"),
    ],
)
def test_stray_quotes_never_swallow_rows(refusal, changes, where):
    assert where in refusal(rows_with(changes))


@pytest.mark.parametrize(
    "text", ["one\ntwo", "a, b, c, d, e\nf, g, h, i, j", 'said "hi"\nand, then, "go", 1\n', "\n\n"]
)
def test_quoted_line_ends_are_text(write_csv, text):
    header = ["id", "keyword", "location", "text", "target"]
    path = write_csv(header, [("1", "", "", text, "1"), ("2", "k", "l", "m", "0")])
    assert [row["text"] for row in read_csv(path, None, Tweets.forms)] == [text, "m"]


@pytest.mark.parametrize("strays", [1, 2, 50])
def test_random_stray_quotes_never_change_the_number_of_real_rows(real_data, tmp_path, strays):
    source = real_data("tweets/train.csv").read_text(encoding="utf-8")
    commas = [at for at, mark in enumerate(source) if mark == ","]
    draw = random.Random(strays)
    for _ in range(8):
        changed = list(source)
        for _ in range(strays):
            changed[draw.choice(commas)] = draw.choice([',"', '",'])
        (tmp_path / "d.csv").write_text("".join(changed), encoding="utf-8")
        with contextlib.suppress(DataError):
            assert len(read_csv(tmp_path / "d.csv", None, Tweets.forms)) == 7613


def test_a_form_fits_by_its_columns():
    form = Form(("a", "b"), "c", {})
    assert form.fits(["c", "b", "x", "a"])
    assert not form.fits(["a", "c"])
