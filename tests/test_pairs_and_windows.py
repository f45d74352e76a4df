"""Runs of pairs and of texts in windows, from the file to what a stranger's transformers gives."""

import csv
import io
import json
import random
import re
import shutil
import sys

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    PreTrainedTokenizerFast,
)

from hwlit.__main__ import main

from .conftest import WORDS, speed_up

WIDTH = 16


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny BERT whose tokenizer parts pairs and gives them types."""
    folder = tmp_path_factory.mktemp("base")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )  # fmt: skip
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        unk_token="[UNK]", model_max_length=40,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    config = BertConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=40, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return str(folder)


def texts(count, longest, seed=0):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in range(count)]


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture
def fit(base, tmp_path, monkeypatch):
    speed_up(monkeypatch)

    def fit(*options):
        return main(
            ["fit", "--config", "text/files", "--model.pretrained", base, "--model.adapter", "full",
             "--data.max_length", str(WIDTH), "--trainer.max_epochs", "1", "--trainer.accelerator",
             "cpu", "--trainer.enable_progress_bar", "false", "--trainer.logger", "false",
             "--output", str(tmp_path / "run"), *options]
        )  # fmt: skip

    return fit


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stock(run, **given):
    """The probabilities of transformers alone, one text at a time, windows averaged."""
    model = AutoModelForSequenceClassification.from_pretrained(run / "adapter").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "adapter")
    found = []
    with torch.inference_mode():
        for row in zip(*given.values(), strict=True):
            named = dict(zip(given, row, strict=True))
            how = {} if "text_pair" in given else {"stride": 4, "return_overflowing_tokens": True}
            how |= {"truncation": True, "max_length": WIDTH, "padding": True}
            inputs = tokenizer(**named, **how, return_tensors="pt")
            inputs.pop("overflow_to_sample_mapping", None)
            found.append(model(**inputs).logits.mean(0).softmax(-1))
    return torch.stack(found)


def by_the_card(run, **given):
    """The probabilities by the code of the model card, one text at a time."""
    card = (run / "adapter" / "README.md").read_text()
    load, read = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names = {}
    exec(load.replace('"path/to/this/folder"', repr(str(run / "adapter"))), names)
    found = []
    for row in zip(*given.values(), strict=True):
        asked, places = read, ['"a text"'] if len(row) == 1 else ['"a sentence"', '"another"']
        for place, text in zip(places, row, strict=True):
            assert place in asked
            asked = asked.replace(place, repr(text))
        exec(asked, names)
        found.append(names["shares"])
    return torch.stack(found)


def shares(rows):
    names = [name for name in rows[0] if name.startswith("p(")]
    return torch.tensor([[float(row[name]) for name in names] for row in rows])


def close(found, wanted):
    """Equal to the digits that are written."""
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


def test_a_run_of_pairs(fit, tmp_path, monkeypatch, capsys):
    first, second = texts(60, 12), texts(60, 20, seed=1)
    labels = ["same" if i % 3 else "other" for i in range(60)]
    data = write(tmp_path / "d.csv", ["a", "b", "label"], zip(first, second, labels, strict=True))
    columns = ["--data.text_column", "a", "--data.pair_column", "b"]
    assert fit("--data.path", data, *columns) == 0
    run = tmp_path / "run"
    tested = read(run / "predictions.csv")
    record = json.loads((run / "record.json").read_text())
    assert list(tested[0])[:5] == ["row_id", "text", "pair", "label", "prediction"]
    for row in tested:
        assert (row["text"], row["pair"]) == (first[int(row["row_id"])], second[int(row["row_id"])])
    alone = stock(run, text=[r["text"] for r in tested], text_pair=[r["pair"] for r in tested])
    close(shares(tested), alone)
    close(
        shares(tested),
        by_the_card(run, a=[r["text"] for r in tested], b=[r["pair"] for r in tested]),
    )
    assert record["data"]["pair_column"] == "b"
    assert any("which is a guess" in told for told in record["remarks"])
    assert "which is a guess" in (run / "adapter" / "README.md").read_text()
    assert record["check"]["max_abs_difference"] < 1e-5
    capsys.readouterr()

    assert main(["predict", str(run), "--file", data, "--output", str(tmp_path / "p.csv")]) == 0
    again = {(row["text"], row["pair"]): row for row in read(tmp_path / "p.csv")}
    close(shares([again[r["text"], r["pair"]] for r in tested]), shares(tested))
    one = tested[0]
    assert main(["predict", str(run), "--text", one["text"], "--pair", one["pair"]]) == 0
    close(shares(read_text(capsys)), shares([one]))
    feed(monkeypatch, f"{one['text']}\t{one['pair']}\r\n")
    assert main(["predict", str(run), "-"]) == 0
    close(shares(read_text(capsys)), shares([one]))

    for words, code, told in [
        (["--text", "a"], 2, "reads pairs of sentences; give the second one"),
        (["--text", "a", "--pair", "b", "--pair", "c"], 2, "--text is given 1 times and --pair 2"),
        (["--file", data, "--pair-column", "nope"], 3, "no column 'nope'"),
        (["-"], 3, "line 1 has 2 tabs, and the run reads pairs"),
    ]:
        feed(monkeypatch, "a\tb\tc\n")
        assert main(["predict", str(run), *words]) == code
        assert told in capsys.readouterr().err

    spoilt = record | {"data": record["data"] | {"pair_column": 3}}
    (run / "record.json").write_text(json.dumps(spoilt))
    assert main(["predict", str(run), "--text", "a"]) == 5
    assert "as data.pair_column, which is no name" in capsys.readouterr().err


def test_a_card_tells_what_parts_the_sentences(fit, tiny_models, tmp_path):
    """Where the tokenizer puts nothing between them."""
    model = tmp_path / "model"
    shutil.copytree(tiny_models["llama"], model)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    (model / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    first, second = texts(60, 12), texts(60, 20, seed=1)
    labels = ["same" if i % 3 else "other" for i in range(60)]
    data = write(tmp_path / "d.csv", ["a", "b", "label"], zip(first, second, labels, strict=True))
    columns = ["--data.text_column", "a", "--data.pair_column", "b"]
    assert fit("--data.path", data, *columns, "--model.pretrained", str(model)) == 0
    run = tmp_path / "run"
    between = json.loads((run / "record.json").read_text())["data"]["pair_separator"]
    assert f"begins with `{between!r}`" in (run / "adapter" / "README.md").read_text()
    tested = read(run / "predictions.csv")
    given = {"a": [row["text"] for row in tested], "b": [row["pair"] for row in tested]}
    close(shares(tested), by_the_card(run, **given))


def test_a_run_in_windows(fit, tmp_path, capsys):
    given = texts(60, 60)
    labels = ["same" if i % 3 else "other" for i in range(60)]
    data = write(tmp_path / "d.csv", ["text", "label"], zip(given, labels, strict=True))
    assert fit("--data.path", data, "--data.stride", "4") == 0
    run = tmp_path / "run"
    record, tested = json.loads((run / "record.json").read_text()), read(run / "predictions.csv")
    assert [row["text"] for row in tested] == [given[int(row["row_id"])] for row in tested]
    assert len(tested) == record["data"]["rows"]["test"] == len(read(run / "test_rows.csv"))
    alone = stock(run, text=[row["text"] for row in tested])
    close(shares(tested), alone)
    close(shares(tested), by_the_card(run, text=[row["text"] for row in tested]))
    assert record["data"]["windows"]["test"] > len(tested)
    assert (record["data"]["stride"], record["comparability"]["stride"]) == (4, 4)
    assert "windows" in record["readings"]["latency/base/batch_1/p50"]["how"]["text"]
    assert record["check"]["max_abs_difference"] < 1e-5

    output = tmp_path / "p.csv"
    assert main(["predict", str(run), "--file", data, "--output", str(output)]) == 0
    again = {row["text"]: row for row in read(output)}
    close(shares([again[row["text"]] for row in tested]), shares(tested))
    assert main(["predict", str(run), "--text", "a", "--pair", "b"]) == 2
    assert "reads single texts; leave out --pair" in capsys.readouterr().err
    for stride in (-1, 14, "2", True, 2.0):
        spoilt = record | {"data": record["data"] | {"stride": stride}}
        (run / "record.json").write_text(json.dumps(spoilt))
        assert main(["predict", str(run), "--text", "a"]) == 5
        assert "as data.stride, where a whole number from 0 to 13" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_in_windows_is_quantised(fit, tmp_path):
    given = texts(60, 60)
    labels = ["same" if i % 3 else "other" for i in range(60)]
    data = write(tmp_path / "d.csv", ["text", "label"], zip(given, labels, strict=True))
    assert fit("--data.path", data, "--data.stride", "4") == 0
    assert main(["quantize", str(tmp_path / "run"), "--format", "int8"]) == 0
    rows = [read(tmp_path / name / "predictions.csv") for name in ("run", "run-int8")]
    assert [row["row_id"] for row in rows[0]] == [row["row_id"] for row in rows[1]]


def read_text(capsys):
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def feed(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
