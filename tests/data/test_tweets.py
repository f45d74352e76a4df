import pytest

from hwlit.data import tweets as module
from hwlit.data.tweets import Tweets
from hwlit.errors import DataError


def test_the_real_file_is_divided_as_known(real_data, tokenizer):
    data = Tweets(tokenizer="any", path=str(real_data("tweets/train.csv")))
    report = data.report()
    assert report["rows"] == {"read": 7613, "train": 5329, "validation": 761, "test": 1523}
    assert report["duplicates"] == 110
    assert report["texts_with_two_labels"] == 18
    assert report["classes"]["test"] == {"not disaster": 866, "disaster": 657}
    assert report["majority_class_accuracy"] == pytest.approx(866 / 1523)
    assert report["max_length"] == 128
    row, text, label = data.test_rows()[0]
    lines = real_data("tweets/train.csv").read_text(encoding="utf-8")
    assert text.split("\n")[0] in lines
    assert label in (0, 1)
    assert row >= 0


def test_the_hub_file_is_read_unchanged(write_csv, tokenizer, monkeypatch):
    rows = [("NA" if i == 7 else f"t{i}", str(i % 2)) for i in range(100)]
    path = write_csv(["text", "target"], rows)
    asked = []
    monkeypatch.setattr(module, "download", lambda *given: asked.append(given) or (path, "abc"))
    data = Tweets(tokenizer="any")
    report = data.report()
    assert asked == [("venetis/disaster_tweets", "train.csv")]
    assert (report["source"], report["revision"]) == (["venetis/disaster_tweets"], "abc")
    assert data.read_hub()[0].texts[7] == "NA"


def test_bundled_reads_the_set_that_comes_with_hwlit(tokenizer):
    asset = module.files("hwlit").joinpath("assets", "tweets.csv")
    if not asset.is_file():
        pytest.skip("hwlit/assets/tweets.csv is not there")
    report = Tweets(tokenizer="any", path="bundled").report()
    assert report["source"] == ["bundled"]
    assert report["rows"]["read"] > 100


def test_bundled_reads_a_package_file(tweets_csv, tokenizer, monkeypatch, tmp_path):
    (tmp_path / "assets").mkdir()
    tweets_csv.rename(tmp_path / "assets" / "tweets.csv")
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    report = Tweets(tokenizer="any", path="bundled").report()
    assert (report["source"], report["rows"]["read"]) == (["bundled"], 200)


def test_keyword_and_location_come_before_the_text(write_csv, tokenizer):
    rows = [("1", "wild%20fire", " Boise,  ID ", "it burns", "1"), ("2", "", "", "all calm", "0")]
    path = str(write_csv(["id", "keyword", "location", "text", "target"], rows * 50))
    both = Tweets(tokenizer="any", path=path, keyword=True, location=True)
    assert both.read_files()[0].texts[:2] == [
        "keyword: wild fire | location: Boise, ID | it burns",
        "all calm",
    ]
    one = Tweets(tokenizer="any", path=path, location=True)
    assert one.read_files()[0].texts[0] == "location: Boise, ID | it burns"
    assert one.columns() == {"text_column": "text", "before": ["location"]}


def test_the_parts_are_the_same_with_and_without_the_keyword(real_data, tokenizer):
    path = str(real_data("tweets/train.csv"))
    plain = Tweets(tokenizer="any", path=path)
    more = Tweets(tokenizer="any", path=path, keyword=True, location=True)
    assert [row for row, _, _ in more.test_rows()] == [row for row, _, _ in plain.test_rows()]
    assert all(
        text == ours or ours.endswith(f" | {text}")
        for (_, text, _), (_, ours, _) in zip(plain.test_rows(), more.test_rows(), strict=True)
    )
    assert not any("%20" in text.partition(" | ")[0] for _, text, _ in more.test_rows())
    one, two = plain.report(), more.report()
    assert one["fingerprint"] != two["fingerprint"]
    assert one["near_duplicates"] == two["near_duplicates"]
    assert two["leakage"] == {"test_in_file": 0.0, "test": 0.0, "validation": 0.0}


def test_a_file_without_keywords_is_refused_where_they_are_wanted(write_csv, tokenizer):
    path = str(write_csv(["text", "target"], [("a", "1"), ("b", "0")]))
    with pytest.raises(DataError, match="needed are keyword, text, target"):
        Tweets(tokenizer="any", path=path, keyword=True).prepare_data()
