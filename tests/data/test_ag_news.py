from hwlit.data import ag_news as module
from hwlit.data.ag_news import AGNews
from hwlit.data.reading import Rows


def test_the_real_file_is_divided_as_known(real_data, tokenizer):
    data = AGNews(tokenizer="any", path=str(real_data("ag_news/test.csv")), max_length=64)
    report = data.report()
    assert report["rows"] == {"read": 7600, "train": 5320, "validation": 760, "test": 1520}
    assert set(report["classes"]["test"].values()) == {380}
    assert report["majority_class_accuracy"] == 0.25
    assert report["duplicates"] == 0


def test_the_hub_parts_are_used_as_they_are(tokenizer, monkeypatch):
    def read_part(name, part, classes):
        assert (name, classes) == ("fancyzhx/ag_news", 4)
        return Rows([f"{part} {i}" for i in range(80)], [0, 1, 2, 3] * 20, name)

    monkeypatch.setattr(module, "read_part", read_part)
    report = AGNews(tokenizer="any").report()
    assert report["rows"] == {"read": 160, "train": 72, "validation": 8, "test": 80}
    assert report["source"] == ["fancyzhx/ag_news", "fancyzhx/ag_news"]
