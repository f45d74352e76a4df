import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from hwlit.data.ag_news import AGNews
from hwlit.data.imdb import IMDB
from hwlit.data.summary import remarks
from hwlit.data.text_files import TextFiles
from hwlit.data.tweets import Tweets
from hwlit.errors import DataError, UsageError

COLUMNS = {"text_column": "body", "label_column": "topic"}


@pytest.fixture
def make(tokenizer):
    """Makes a data module over a file."""
    return lambda path, **given: TextFiles(tokenizer="any", path=str(path), **COLUMNS | given)


@pytest.fixture
def topics_csv(write_csv):
    """90 rows of three topics; rows 0 and 1 are copies, and odd texts stay texts."""
    texts = ["sun", "SUN ", "NA", "None", "", 'a "b"\nc', *(f"t{i}" for i in range(6, 90))]
    rows = [(str(i), text, "abc"[i // 2 % 3]) for i, text in enumerate(texts)]
    return write_csv(["nr", "body", "topic"], rows)


def test_a_strangers_file_gives_parts_classes_and_a_report(make, topics_csv):
    data = make(topics_csv)
    assert data.labels == ("a", "b", "c")
    report = data.report()
    assert json.loads(json.dumps(report)) == report
    assert report["rows"]["read"] == 90
    assert (report["near_duplicates"], report["empty_texts"]) == (1, 1)
    assert report["label_names"] == {"a": "a", "b": "b", "c": "c"}
    assert (report["text_column"], report["label_column"]) == ("body", "topic")
    rows = {row: (text, label) for row, text, label in data.test_rows()}
    assert all(label == row // 2 % 3 for row, (_, label) in rows.items())
    assert all(text == f"t{row}" for row, (text, _) in rows.items() if row > 5)


def test_the_file_is_read_once(make, topics_csv):
    data = make(topics_csv)
    assert data.labels
    topics_csv.unlink()
    assert data.report()["rows"]["read"] == 90


def test_formats_agree_on_rows_labels_and_fingerprint(make, tmp_path):
    texts, labels = [f"t{i}" for i in range(60)], [[2, 10, 1][i % 3] for i in range(60)]
    (tmp_path / "x.csv").write_text(
        "".join(["body,topic\n", *(f"{t},{n}\n" for t, n in zip(texts, labels, strict=True))])
    )
    lines = [json.dumps({"body": t, "topic": float(n)}) for t, n in zip(texts, labels, strict=True)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    topics = pa.array(map(str, labels)).dictionary_encode()
    parquet.write_table(pa.table({"topic": topics, "body": texts}), tmp_path / "x.parquet")
    reports = [make(tmp_path / f"x.{ending}") for ending in ("csv", "jsonl", "parquet")]
    assert {data.labels for data in reports} == {("1", "2", "10")}
    assert len({data.report()["fingerprint"] for data in reports}) == 1
    assert [data.test_rows() for data in reports] == [reports[0].test_rows()] * 3


def test_a_test_file_keeps_its_rows_and_takes_its_texts_from_training(make, topics_csv, write_csv):
    rows = [("t40", "a"), ("new", "b"), ("T41", "c")]
    test = write_csv(["body", "topic"], rows, "test.csv")
    data = make(topics_csv, test_path=str(test))
    assert data.test_rows() == [(0, "t40", 0), (1, "new", 1), (2, "T41", 2)]
    report = data.report()
    assert report["dropped"]["text_also_in_test"] == 2
    assert report["leakage"] == {"test_in_file": pytest.approx(2 / 3), "test": 0, "validation": 0}


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("d", "line 3 has the label 'd', which .*d.csv lacks .it has 'a', 'b', 'c'.; correct"),
        ("A", "line 3 has the label 'A', which"),
        ("", "1 of 2 rows have no label, the first in line 3"),
    ],
)
def test_labels_of_the_test_file_must_be_known(make, topics_csv, write_csv, label, told):
    test = write_csv(["body", "topic"], [("x", "a"), ("y", label)], "test.csv")
    with pytest.raises(DataError, match=rf"test\.csv: {told}"):
        make(topics_csv, test_path=str(test)).prepare_data()


@pytest.mark.parametrize(("labels", "told"), [(["-1", "-1"], True), (["x", "y"], False)])
def test_a_test_file_without_any_known_label_is_hidden_or_another(
    make, topics_csv, write_csv, labels, told
):
    rows = [(f"new {label} {i}", label) for i, label in enumerate(labels)]
    test = write_csv(["body", "topic"], rows, "test.csv")
    with pytest.raises(DataError) as caught:
        make(topics_csv, test_path=str(test)).prepare_data()
    assert ("use hwlit predict RUN --file" in str(caught.value)) == told


def test_half_a_character_in_a_label_is_refused(make, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"body": "a", "topic": "x"}\n{"body": "b", "topic": "x\\ud800"}\n' * 9)
    with pytest.raises(DataError, match=r"line 2 has half a character .*'\\ud800'\) in topic"):
        _ = make(path).labels


@pytest.mark.parametrize("label", ["", " ", "nan", "NaN", "null", "<NA>"])
def test_missing_labels_are_refused_with_their_line(make, write_csv, label):
    rows = [("x", "a"), ("two\nlines", "b"), ("z", label)]
    path = write_csv(["body", "topic"], rows)
    with pytest.raises(DataError, match=r"no label, the first in line 5"):
        _ = make(path).labels


def test_labels_that_may_mean_none_are_told(make, write_csv):
    rows = [(f"text {i}", ("a", "NA", "None")[i % 3]) for i in range(30)]
    path = write_csv(["body", "topic"], rows)
    told = "labels taken as classes though they may mean none NA, None"
    assert told in make(path).read_files()[0].notes
    names = ["a", "NA", "None"]
    assert make(path, label_names=names).read_files()[0].notes == ()


def test_missing_labels_may_be_named(make, write_csv):
    path = write_csv(["body", "topic"], [("x", "a"), ("y", ""), ("z", "nan")] * 9)
    assert make(path, label_names={"a": "a", "": "other", "nan": "other"}).labels == ("a", "other")


@pytest.mark.parametrize("label", ["null", "NaN", '""', '"nan"'])
def test_missing_labels_in_json_are_refused(make, tmp_path, label):
    (tmp_path / "x.jsonl").write_text(
        '{"body": "x", "topic": 1}\n{"body": "y", "topic": ' + label + "}"
    )
    with pytest.raises(DataError, match=r"no label, the first in line 2"):
        _ = make(tmp_path / "x.jsonl").labels


def test_numbers_and_words_for_one_class_are_refused(make, tmp_path):
    rows = [{"body": f"t{i}", "topic": [1, 0][i % 2]} for i in range(20)]
    rows[7]["topic"] = " 1"
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"line 8 has the label ' 1', line 1 '1'; write them alike"):
        _ = make(tmp_path / "x.jsonl").labels
    rows[7]["topic"] = [1]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"line 8 has the topic \[1\], which is no text"):
        _ = make(tmp_path / "x.jsonl").labels


def test_an_id_column_is_no_label(make, topics_csv):
    with pytest.raises(DataError, match=r"90 different labels in 90 rows.*--data\.label_column"):
        _ = make(topics_csv, label_column="nr").labels


def test_missing_columns_name_their_flags(make, topics_csv):
    with pytest.raises(DataError, match=r"'text', only 'nr', 'body', 'topic'.*--data\.text_column"):
        _ = make(topics_csv, text_column="text").labels
    with pytest.raises(DataError, match=r"'label', only .*--data\.label_column"):
        _ = make(topics_csv, label_column="label").labels
    with pytest.raises(UsageError, match="are both 'body'"):
        make(topics_csv, label_column="body")


def test_a_path_is_needed(tokenizer):
    with pytest.raises(UsageError, match=r"no file to train on; give yours by --data\.path"):
        _ = TextFiles(tokenizer="any").labels


def test_names_change_the_report_and_the_fingerprint(make, topics_csv):
    names = {"c": "sea", "a": "air", "b": "air"}
    data = make(topics_csv, label_names=names)
    assert data.labels == ("sea", "air")
    assert data.report()["label_names"] == names
    assert data.report()["classes"]["train"]["air"] > data.report()["classes"]["train"]["sea"]
    assert data.report()["fingerprint"] != make(topics_csv).report()["fingerprint"]


def test_a_long_text_is_cut_and_counted(make, write_csv):
    rows = [(f"t{i}", "ab"[i % 2]) for i in range(60)]
    rows[7] = ("good " * 200_000, "b")
    report = make(write_csv(["body", "topic"], rows), max_length=16).report()
    assert report["longest_text"] == 1_000_000
    assert sum(report["truncated"].values()) == 1


@pytest.mark.parametrize(
    ("kind", "name", "columns", "label_names"),
    [
        (Tweets, "tweets/train.csv", ("text", "target"), ["not disaster", "disaster"]),
        (IMDB, "imdb/imdb_2000.csv", ("review", "sentiment"), None),
    ],
)
def test_real_files_are_read_as_by_their_own_class(
    real_data, tokenizer, kind, name, columns, label_names
):
    path = str(real_data(name))
    own = kind(tokenizer="any", path=path, max_length=16)
    ours = TextFiles(
        tokenizer="any", path=path, max_length=16, text_column=columns[0],
        label_column=columns[1], label_names=label_names,
    )  # fmt: skip
    assert ours.labels == own.labels
    assert ours.test_rows() == own.test_rows()
    more = ("text_column", "label_column", "label_names", "before", "missing_labels_policy")
    reports = [
        {key: value for key, value in data.report().items() if key not in more}
        for data in (own, ours)
    ]
    assert reports[0] == reports[1]


def test_a_real_file_without_a_header_is_read_once_it_has_one(real_data, tokenizer, tmp_path):
    source = real_data("ag_news/test.csv")
    path = tmp_path / "news.csv"
    path.write_bytes(b"class,title,description\n" + source.read_bytes())
    names = dict(zip("1234", AGNews.labels, strict=True))
    ours = TextFiles(
        tokenizer="any", path=str(path), text_column="description", label_column="class",
        label_names=names,
    )  # fmt: skip
    own = AGNews(tokenizer="any", path=str(source))
    assert ours.labels == own.labels
    (read, _), (wanted, _) = ours.read_files(), own.read_files()
    assert len(read.labels) == 7600
    assert read.labels == wanted.labels
    assert all(text.endswith(f" {end}") for text, end in zip(wanted.texts, read.texts, strict=True))


@pytest.fixture
def gaps_csv(write_csv):
    """90 rows of two topics; every ninth has no label, and of those the first no text either."""
    rows = [(f"t{i}" if i else "", "" if i % 9 == 0 else "ab"[i % 2]) for i in range(90)]
    return write_csv(["body", "topic"], rows)


def test_rows_without_a_label_may_be_dropped_and_are_counted(make, gaps_csv, write_csv):
    with pytest.raises(
        DataError, match=r"10 of 90 rows have no label, the first in line 2;.*missing_labels dr"
    ):
        _ = make(gaps_csv).labels
    data = make(gaps_csv, missing_labels="drop")
    report = data.report()
    assert (report["rows"]["read"], report["dropped"]["no_label"]) == (90, 10)
    assert sum(report["rows"][part] for part in ("train", "validation", "test")) == 80
    assert (report["empty_texts"], report["dropped"]["empty_text"]) == (0, 0)
    assert report["missing_labels_policy"] == "drop"
    assert "rows dropped for want of a label 10" in remarks(report)
    rows = {row: (text, label) for row, text, label in data.test_rows()}
    assert all((text, label) == (f"t{row}", row % 2) for row, (text, label) in rows.items())
    assert not any(row % 9 == 0 for row in rows)
    test = write_csv(["body", "topic"], [("x", "a"), ("y", "nan"), ("z", "b")], "test.csv")
    data = make(gaps_csv, missing_labels="drop", test_path=str(test))
    assert data.test_rows() == [(0, "x", 0), (2, "z", 1)]
    assert data.report()["dropped"]["no_label"] == 11


def test_unlabelled_rows_change_the_fingerprint_and_no_share(make, write_csv):
    rows = [(f"t{i}", "ab"[i % 2]) for i in range(60)]
    whole = make(write_csv(["body", "topic"], rows)).report()
    more = [*rows, ("t0", ""), ("new", "")]
    gaps = make(write_csv(["body", "topic"], more, "gaps.csv"), missing_labels="drop").report()
    other = {"source", "fingerprint", "rows", "dropped", "missing_labels_policy"}
    assert {k: v for k, v in gaps.items() if k not in other} == {
        k: v for k, v in whole.items() if k not in other
    }
    assert gaps["fingerprint"] != whole["fingerprint"]


def test_a_file_without_any_label_is_for_predict(make, topics_csv, write_csv):
    hidden = write_csv(["body", "topic"], [("x", "-1"), ("y", "-1")], "hidden.csv")
    none = write_csv(["body", "topic"], [("x", ""), ("y", "")], "none.csv")
    lacks = write_csv(["body", "id"], [("x", "1"), ("y", "2")], "lacks.csv")
    for test, told in ((hidden, "has the label '-1'"), (none, "none of its 2"), (lacks, "column")):
        with pytest.raises(DataError) as caught:
            make(topics_csv, test_path=str(test), missing_labels="drop").prepare_data()
        assert told in str(caught.value)
        assert "to label it, use hwlit predict RUN --file" in str(caught.value)
    with pytest.raises(DataError, match=r"none of its 2 rows has a label; add labels"):
        _ = make(none, missing_labels="drop").labels


def test_labels_with_and_without_a_point_are_one_class_in_every_file(make, write_csv):
    rows = [(f"t{i}", f"{i % 2}.0") for i in range(60)]
    path = write_csv(["body", "topic"], rows)
    test = write_csv(["body", "topic"], [("x", "1"), ("y", "0.0")], "test.csv")
    data = make(path, test_path=str(test), label_names=["bad", "good"])
    assert data.test_rows() == [(0, "x", 1), (1, "y", 0)]
    assert data.report()["notes"] == [["labels such as 1.0 read as 1"]] * 2
    assert "labels such as 1.0 read as 1" in remarks(data.report())
    assert make(path).labels == ("0", "1")


def test_lists_of_labels_get_one_sentence(make, tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"body": f"t{i}", "topic": ["a", "b"][: 1 + i % 2]} for i in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"line 2 has 2 labels in topic, \['a', 'b'\].*multi-label"):
        _ = make(path).labels
    rows = [{"body": f"t{i}", "topic": [{"value": "ab"[i % 2]}]} for i in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"but holds topic\.0\.value; name one of these by"):
        _ = make(path).labels
    assert make(path, label_column="topic.0.value").labels == ("a", "b")
    rows[3]["topic"] = []
    path.write_text("\n".join(map(json.dumps, rows)))
    data = make(path, label_column="topic.0.value", missing_labels="drop")
    assert data.report()["dropped"]["no_label"] == 1


def test_how_files_are_written_is_in_the_record(make, tmp_path):
    lines = [f'x\t{"ab"[i % 2]}\t\t"t{i} café' for i in range(60)]
    (tmp_path / "x.tsv").write_bytes("\n".join(lines).encode("latin-1"))
    data = make(
        tmp_path / "x.tsv", quotes="none", columns=["source", "topic", "mark", "body"],
        encoding="latin-1",
    )  # fmt: skip
    report = json.loads(json.dumps(data.report()))
    assert report["dialect"] == {
        "encoding": "latin_1", "delimiter": None, "quotes": "none",
        "columns": ["source", "topic", "mark", "body"],
    }  # fmt: skip
    assert report["encoding"] == ["latin_1"]
    assert all(text == f'"t{row} café' for row, text, _ in data.test_rows())


def test_the_dialect_is_in_the_record_only_where_it_was_given(make, topics_csv):
    assert "dialect" not in make(topics_csv).report()


@pytest.mark.parametrize(
    "given", [{"delimiter": "tab"}, {"quotes": "none"}, {"columns": ["topic", "body"]}]
)
def test_settings_of_tables_of_text_are_refused_for_other_files(given, make, tmp_path):
    with pytest.raises(UsageError, match=r"is of \.csv and \.tsv, and .*x\.json is none"):
        make(tmp_path / "x.json", **given)
    make(tmp_path / "x.json", test_path=str(tmp_path / "x.csv"), **given)
