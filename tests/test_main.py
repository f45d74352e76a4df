"""The command line as a user meets it, in this process."""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from hwlit.__main__ import main, with_shipped_configs
from hwlit.errors import DataError, IntegrityError, Interrupted, UsageError
from hwlit.inference import read_texts
from hwlit.records import SCHEMA, Data, read_record
from hwlit.shipped import config_names, config_root
from hwlit.storage import verify
from hwlit.study.collect import NO_RECORD
from tests.conftest import speed_up, tiny_arguments


def read(folder, name="record.json"):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def finished(tiny_models, tiny_csv, tmp_path_factory):
    """The directory of a finished run; tests only read it."""
    output = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        speed_up(monkeypatch)
        assert main(tiny_arguments(tiny_models, tiny_csv, output)) == 0
    return output


def test_help_teaches_and_needs_no_torch():
    code = "import sys, hwlit.__main__ as m; m.main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hwlit fit --config quickstart" in done.stdout
    for name in config_names():
        assert name in done.stdout


def test_adapters_are_listed_and_shown_without_torch(capsys):
    code = "import sys, hwlit.__main__ as m; m.main(['adapters']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert listed == sorted(p.stem for p in (config_root() / "adapters" / "text").glob("*.yaml"))
    assert main(["adapters", "--image"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert (
        len({re.match(r"\S+ +", row).end() for row in rows}) == 1
    )  # one column, however long the longest name
    assert main(["adapters", "vera"]) == 0
    assert "class_path: peft.VeraConfig" in capsys.readouterr().out
    assert main(["adapters", "verra"]) == 2
    assert "did you mean 'vera'" in capsys.readouterr().err


def test_an_unknown_command_gets_one_sentence(capsys):
    assert main(["fitt"]) == 2
    assert capsys.readouterr().err == "hwlit: unknown command 'fitt'; did you mean 'fit'\n"


def test_of_several_processes_the_first_says_that_it_was_stopped(monkeypatch, capsys):
    def stopped(arguments):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("hwlit.__main__._dispatch", stopped)
    assert main(["fit"]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main(["fit"]) == 130
    assert capsys.readouterr().err == ""


def test_a_run_writes_everything_it_promises(finished):
    assert {p.name for p in finished.iterdir() if not p.name.startswith(".")} == {
        "adapter", "checkpoints", "config.yaml", "metrics.csv", "predictions.csv", "record.json",
        "tensorboard", "test_rows.csv",
    }  # fmt: skip
    assert {"README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= {
        p.name for p in (finished / "adapter").iterdir()
    }
    assert list((finished / "tensorboard").glob("events.*"))
    checkpoints = sorted((finished / "checkpoints").glob("*.ckpt"))
    assert len(checkpoints) == 2
    assert all(verify(path)["step"] for path in checkpoints)


def test_the_record_holds_the_whole_row(finished):
    record = read(finished)
    assert (record["schema"], record["status"], record["name"]) == (SCHEMA, "ok", "quickstart")
    needed = {
        "test/accuracy", "test/f1_macro", "test/f1_positive", "test/loss", "fit/wall_time",
        "fit/step_time", "fit/peak_memory", "latency/base/batch_1/p50",
        "latency/merged/batch_1/p50", "latency/unmerged/batch_16/p99", "params/trainable",
        "params/total", "adapter/file_size", "run/wall_time", "adapter/merge_difference",
    }  # fmt: skip
    assert needed <= set(record["readings"])
    assert (
        record["readings"]["fit/energy"]
        if "fit/energy" in record["readings"]
        else any(name.startswith("fit/energy") for name in record["absent"])
    )
    # rank 8 on query and value of two layers, 32 wide, and the head and pooler of tiny BERT
    assert record["readings"]["params/trainable"]["value"] == 4 * 8 * 64 + (32 * 2 + 2) + (
        32 * 32 + 32
    )
    assert record["readings"]["adapter/merge_difference"]["value"] < 1e-4
    assert record["check"]["max_abs_difference"] <= record["check"]["tolerance"]
    assert len(record["config_sha256"]) == 64
    assert record["data"]["rows"]["test"] == record["readings"]["test/accuracy"]["n"]
    assert record["parallel"] == {
        "world_size": 1, "nodes": 1, "strategy": "SingleDeviceStrategy",
    }  # fmt: skip
    assert "ranks" not in record


def test_the_record_holds_the_curves(finished):
    record = read_record(finished)
    curves = {curve.name: curve.columns for curve in record.exhibits if curve.kind == "curve"}
    assert len(curves["learning_rate"]["step"]) == record.value("fit/steps")
    assert curves["validation"]["epoch"] == [0, 1]
    assert sum(curves["reliability"]["count"]) == record.data.rest["rows"]["test"]
    facts = record.exhibit("precision_recall").facts
    area = record.value("test/average_precision")
    assert (facts["label"], facts["average_precision"]) == ("disaster", area)
    with (finished / "metrics.csv").open(newline="") as file:
        assert any(row["train/learning_rate"] for row in csv.DictReader(file))


def test_the_phases_of_a_run_add_up(finished):
    record = read(finished)
    total = record["readings"]["run/wall_time"]["value"]
    assert sum(p["wall_time"] for p in record["phases"]) == pytest.approx(total, rel=0.01)
    assert {"startup", "load", "tokenise", "warmup", "train", "evaluate", "save", "test", "export",
            "check", "latency"} <= {p["name"] for p in record["phases"]}  # fmt: skip


def test_predictions_and_record_say_the_same(finished):
    with (finished / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert right / len(rows) == read(finished)["readings"]["test/accuracy"]["value"]


def test_a_second_run_into_the_same_directory_is_refused(finished, tiny_fit, capsys):
    before = (finished / "record.json").read_bytes()
    assert main([*tiny_fit, "--output", str(finished)]) == 2
    assert "holds a finished run; a run never overwrites" in capsys.readouterr().err
    assert (finished / "record.json").read_bytes() == before


def test_the_saved_config_gives_the_same_row(finished, tmp_path, tiny_fit):
    again = tmp_path / "again"
    assert main(["fit", "--config", str(finished / "config.yaml"), "--output", str(again)]) == 0
    one, two = read(finished), read(again)
    assert one["config_sha256"] == two["config_sha256"]
    assert one["readings"]["test/loss"] == two["readings"]["test/loss"]
    assert (finished / "predictions.csv").read_text() == (again / "predictions.csv").read_text()


def test_names_are_printed_as_they_stand(tiny_models, tiny_fit, tmp_path, capsys):
    model, run = tmp_path / "[bold]model", tmp_path / "o[/b] :fire:"
    shutil.copytree(tiny_models["bert"], model)
    more = ["--model.pretrained", str(model), "--trainer.max_epochs", "1", "--output", str(run)]
    assert main([*tiny_fit, *more]) == 0
    told = capsys.readouterr()
    assert f"Lora on {model}: " in told.err
    assert f"writing to {run}\n" in told.err
    assert f"Lora on {model}, " in told.out
    assert f"  {run}/record.json  " in told.out


def test_show_prints_the_row(finished, capsys):
    assert main(["show", str(finished)]) == 0
    told = capsys.readouterr().out
    for word in (
        "test/calibration_error",
        "test/average_precision",
        "fit/step_time",
        "merged/batch_1",
        "warmup",
        "predictions.csv",
    ):
        assert word in told
    assert main(["show", str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == read(finished)


def test_predict_keeps_the_order_and_agrees_with_the_run(finished, capsys, tmp_path):
    with (finished / "predictions.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert main(["predict", str(finished), "--file", str(finished / "predictions.csv")]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["text"] for row in found] == [row["text"] for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["prediction"] == theirs["prediction"]
        assert float(ours["p(disaster)"]) == pytest.approx(float(theirs["p(disaster)"]), abs=1e-4)


def test_predict_takes_texts_and_standard_input(finished, capsys, monkeypatch):
    assert main(["predict", str(finished), "--text", "storm, near", "--text", "NA"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["text"] for row in rows] == ["storm, near", "NA"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a storm\n\nsunny\n")))
    assert main(["predict", str(finished), "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["text"] for row in rows] == ["a storm", "", "sunny"]


def test_standard_input_without_end_is_read_up_to_a_limit(finished, capsys, monkeypatch):
    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:] = (b"storm\n" * len(buffer))[: len(buffer)]
            return len(buffer)

    monkeypatch.setattr("hwlit.inference.MOST_STREAMED", 1 << 20)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    assert main(["predict", str(finished), "-"]) == 3
    assert "standard input holds more than 1.0 MiB, or never ends" in capsys.readouterr().err
    monkeypatch.setattr("hwlit.data.content.LONGEST_TEXT", 5)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"storm\nstorms\n")))
    assert main(["predict", str(finished), "-"]) == 3
    assert "line 2 has a text of 6 characters" in capsys.readouterr().err


def test_only_line_feeds_end_a_text(finished, capsys, tmp_path):
    (tmp_path / "x.txt").write_text("storm\u2028near\x0ctown\r\nsunny\rday\n", newline="")
    assert main(["predict", str(finished), "--file", str(tmp_path / "x.txt")]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [row["text"] for row in rows] == ["storm\u2028near\x0ctown", "sunny\rday"]
    (tmp_path / "x.txt").write_bytes(b"storm\xff")
    assert main(["predict", str(finished), "--file", str(tmp_path / "x.txt")]) == 3
    assert "byte 5 (0xff) cannot be decoded" in capsys.readouterr().err


def test_a_base_model_that_changed_is_refused(finished, tmp_path, capsys):
    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    record = read(run)
    record["model"]["sha256"] = "0" * 64
    (run / "record.json").write_text(json.dumps(record))
    assert main(["predict", str(run), "--text", "storm"]) == 5
    assert "are not those that" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["show"], ["predict", "--text", "x"], ["export", "--merged", "m"]]
)
def test_what_is_no_run_is_refused(command, tmp_path, capsys):
    (tmp_path / "record.json").write_text('{"schema": 1}')
    assert main([command[0], str(tmp_path), *command[1:]]) == 5
    assert main([command[0], str(tmp_path / "record.json"), *command[1:]]) == 5


def test_a_failed_run_has_no_model(tiny_fit, tmp_path, capsys):
    assert main([*tiny_fit, "--model.adapter.learning_rate", "1e30"]) == 4
    assert main(["predict", str(tmp_path / "run"), "--text", "x"]) == 5
    assert "its status is failed" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "run")]) == 0


def test_predict_without_texts_or_column_is_refused(finished, capsys, tmp_path):
    (tmp_path / "x.csv").write_text("words\nstorm\n")
    assert main(["predict", str(finished), "--file", str(tmp_path / "x.csv")]) == 3
    assert "has no column 'text', only 'words'" in capsys.readouterr().err
    (tmp_path / "x.txt").write_text("")
    assert main(["predict", str(finished), "--file", str(tmp_path / "x.txt")]) == 3


def test_the_merged_export_predicts_the_same(finished, tmp_path, tiny_tokenizer):
    from transformers import AutoModelForSequenceClassification

    assert main(["export", str(finished), "--merged", str(tmp_path / "merged")]) == 0
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    assert network.config.id2label == {0: "not disaster", 1: "disaster"}
    with (finished / "predictions.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    inputs = tiny_tokenizer(row["text"], truncation=True, max_length=32, return_tensors="pt")
    share = network(**inputs).logits.softmax(-1)[0, 1]
    assert float(share.detach()) == pytest.approx(float(row["p(disaster)"]), abs=1e-4)
    assert main(["export", str(finished), "--merged", str(tmp_path / "merged")]) == 2


@pytest.mark.parametrize("adapter", ["untuned", "full", "head_only", "frozen"])
def test_every_adapter_gives_a_row(adapter, tiny_fit, tmp_path):
    extra = ["--model.adapter.layers", "1"] if adapter == "frozen" else []
    assert main([*tiny_fit, "--model.adapter", adapter, *extra]) == 0
    record = read(tmp_path / "run")
    trained = adapter != "untuned"
    assert ("fit/step_time" in record["readings"]) == trained
    assert (record["readings"]["params/trainable"]["value"] > 0) == trained
    twin = record["readings"]["latency/merged/batch_1/p50"]
    assert "same modules as unmerged" in twin["how"]["text"]
    assert (tmp_path / "run" / "adapter" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "adapter" / "learned.safetensors").is_file() == (adapter != "full")


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "llama"])
def test_every_architecture_gives_a_row(kind, tiny_fit, tiny_models, tmp_path):
    assert main([*tiny_fit, "--model.pretrained", tiny_models[kind]]) == 0
    record = read(tmp_path / "run")
    assert record["check"]["same_predictions"] == record["check"]["rows"]
    assert "latency/merged/batch_1/over_base" in record["readings"]


def test_early_stopping_is_lightnings_own(tiny_fit, tmp_path):
    stopping = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
    stopping += ["--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=100"]
    assert main([*tiny_fit, "--trainer.max_epochs", "9", *stopping]) == 0
    assert read(tmp_path / "run")["readings"]["fit/steps"]["value"] == 2 * 7


def test_accumulation_and_clipping_reach_the_trainer(tiny_fit, tmp_path):
    options = ["--trainer.accumulate_grad_batches", "4", "--trainer.gradient_clip_val", "0.1"]
    assert main([*tiny_fit, *options]) == 0
    record = read(tmp_path / "run")
    assert record["best_checkpoint"]["path"].endswith(("step=2.ckpt", "step=4.ckpt"))
    assert record["comparability"]["batch"] == 64


def test_validation_every_second_epoch_is_enough(tiny_fit, tmp_path):
    options = ["--trainer.check_val_every_n_epoch", "2", "--trainer.max_epochs", "4"]
    assert main([*tiny_fit, *options]) == 0
    saved = {path.name for path in (tmp_path / "run" / "checkpoints").glob("*.ckpt")}
    assert {"epoch=2-step=21.ckpt", "epoch=3-step=28.ckpt"} <= saved  # the newest two
    best = read(tmp_path / "run")["best_checkpoint"]["path"]
    assert best.endswith(("epoch=1-step=14.ckpt", "epoch=3-step=28.ckpt"))


def test_double_precision_is_double_everywhere(tiny_fit, tmp_path):
    assert main([*tiny_fit, "--trainer.precision", "64-true"]) == 0
    record = read(tmp_path / "run")
    assert record["model"]["dtype"] == "float64"
    assert record["check"]["max_abs_difference"] < 1e-4


def test_a_resumed_run_says_so(tiny_fit, finished, tmp_path):
    first = next((finished / "checkpoints").glob("epoch=0*.ckpt"))
    assert main([*tiny_fit, "--ckpt_path", str(first)]) == 0
    record = read(tmp_path / "run")
    assert record["resumed_from"]["path"] == str(first)
    assert (record["resumed_from"]["step"], record["resumed_from"]["epoch"]) == (7, 0)
    assert record["comparability"]["resumed"] is True
    assert record["readings"]["fit/steps"]["value"] == 7


def test_switching_the_adapter_takes_its_own_learning_rate(tiny_fit, tmp_path):
    rate = ["--model.adapter.learning_rate", "0.5"]
    assert main([*tiny_fit, *rate, "--model.adapter", "full", "--trainer.max_epochs", "1"]) == 0
    assert read(tmp_path / "run")["adapter"]["learning_rate"] == 5e-5


def test_the_rank_is_set_by_one_flag(tiny_fit, tmp_path):
    assert main([*tiny_fit, "--model.adapter.rank", "4"]) == 0
    config = read(tmp_path / "run" / "adapter", "adapter_config.json")
    assert config["r"] == 4


def test_bf16_true_trains_the_adapter_in_fp32(tiny_fit, tmp_path):
    assert main([*tiny_fit, "--trainer.precision", "bf16-true"]) == 0
    record = read(tmp_path / "run")
    assert (record["precision"], record["model"]["dtype"]) == ("bf16-true", "bfloat16")
    checkpoint = next((tmp_path / "run" / "checkpoints").glob("*.ckpt"))
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


NUMBERED = "".join(["body,topic\n", *(f"storm {i},{'ab'[i % 2]}\n" for i in range(40))])


@pytest.fixture
def own_fit(tiny_models, tmp_path, monkeypatch):
    """The arguments of a fit on a file of the user's own, which needs a path."""
    speed_up(monkeypatch)
    arguments = tiny_arguments(tiny_models, "no.csv", tmp_path / "run")
    arguments[arguments.index("quickstart")] = "text/files"
    del arguments[arguments.index("--data.path") : arguments.index("--model.pretrained")]
    return [*arguments, "--data.text_column", "body", "--data.label_column", "topic"]


@pytest.fixture
def own_csv(tmp_path):
    """Ninety texts of three topics, with a byte order mark, quotes, line ends and an empty text."""
    path = tmp_path / "own.csv"
    words = {"calm": ("sunny", "picnic"), "water": ("flood", "storm"), "fire, and smoke": ("fire",)}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["nr", "body", "topic"])
        for row in range(90):
            topic, mine = list(words.items())[row % 3]
            text = f'the "{mine[row % len(mine)]}"\nis near, today {row}' if row else ""
            writer.writerow([row, text, topic])
    return path


def test_a_file_of_ones_own_gives_a_row_and_predicts(own_fit, own_csv, tmp_path, capsys):
    given = ["--data.path", str(own_csv), "--data.class_weights", "balanced"]
    assert main([*own_fit, *given]) == 0
    printed = capsys.readouterr()
    assert "data: empty texts kept 1; a byte order mark left out" in printed.err
    record = read(tmp_path / "run")
    labels = ["calm", "fire, and smoke", "water"]
    matrix = read_record(tmp_path / "run").exhibit("confusion_matrix")
    assert record["model"]["labels"] == list(matrix.labels) == labels
    assert (
        f"commonest class: accuracy {record['data']['majority_class_accuracy']:.4f}" in printed.out
    )
    assert record["data"]["class_weights"] == pytest.approx(dict.fromkeys(labels, 1.0), abs=0.1)
    exported = read(tmp_path / "run" / "adapter" / "classifier", "config.json")
    assert list(exported["id2label"].values()) == labels
    with (tmp_path / "run" / "predictions.csv").open(newline="") as file:
        expected = {int(row["row_id"]): row for row in csv.DictReader(file)}
    for column in ([], ["--column", "body"]):
        assert main(["predict", str(tmp_path / "run"), "--file", str(own_csv), *column]) == 0
        found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert len(found) == 90
        assert all(found[i]["text"] == row["text"] for i, row in expected.items())
        assert all(found[i]["prediction"] == row["prediction"] for i, row in expected.items())


def test_an_empty_text_is_read_alike_where_the_tokenizer_adds_nothing(
    own_fit, tiny_models, tmp_path, capsys
):
    model, data, test = tmp_path / "llama", tmp_path / "own.csv", tmp_path / "test.csv"
    shutil.copytree(tiny_models["llama"], model)
    tokenizer = read(model, "tokenizer.json") | {"post_processor": None}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    data.write_text(NUMBERED)
    test.write_text('body,topic\n"",a\nflood near town,b\n"  ",b\n')
    given = ["--data.path", str(data), "--data.test_path", str(test), "--trainer.max_epochs", "1"]
    assert main([*own_fit, *given, "--model.pretrained", str(model)]) == 0
    run = str(tmp_path / "run")
    with (tmp_path / "run" / "predictions.csv").open(newline="") as file:
        expected = [float(row["p(a)"]) for row in csv.DictReader(file)]
    capsys.readouterr()
    for asked in (["--file", str(test)], ["--text", ""]):
        assert main(["predict", run, *asked]) == 0
        found = csv.DictReader(io.StringIO(capsys.readouterr().out))
        shares = [float(row["p(a)"]) for row in found]
        assert shares == pytest.approx(expected[: len(shares)], abs=1e-4)


@pytest.mark.parametrize(
    ("content", "arguments", "code", "told"),
    [
        ("body,topic\nx,a\ny,b\n", ["--data.text_column", "text"], 3, "by --data.text_column"),
        ("body,topic\nx,a\ny,\n", [], 3, "1 of 2 rows have no label, the first in line 3"),
        ("body;topic\nx;a\ny;b\n", [], 3, "or set --data.delimiter semicolon"),
        (NUMBERED, ["--data.delimiter", "::"], 2, "--data.delimiter is '::'; give comma"),
        (NUMBERED, ["--data.encoding", "klingon"], 2, "no text encoding of Python"),
        ("body,topic\nx,a\ny,a\n", [], 3, "has the one label 'a'"),
        ("body,topic\nx,a\ny,b\n", [], 3, "2 different labels in 2 rows"),
        (NUMBERED, ["--data.class_weights", "{c: 2}"], 2, "has 'c', which is no class"),
        ("body,topic\n" + 'x,a\n"",b\n' * 9, ["--data.empty_texts", "error"], 3, "9 empty texts"),
        ("body,topic\nx,a\ny,b\n", ["--data.empty_texts", "skip"], 2, "empty_texts"),
        ("body,topic\nx,a\ny,b\n", ["--data.label_names", "[a, a]"], 2, "has an entry twice"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_sentence(
    content, arguments, code, told, own_fit, tmp_path, capsys
):
    path = tmp_path / "own.csv"
    path.write_text(content)
    assert main([*own_fit, "--data.path", str(path), *arguments]) == code
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hwlit: ")]
    assert told in error


def test_a_refused_file_leaves_no_directory(own_fit, tmp_path, capsys):
    assert main([*own_fit, "--data.path", str(tmp_path / "no.csv")]) == 3
    assert "no.csv does not exist" in capsys.readouterr().err
    assert main(own_fit) == 2
    assert "give yours by --data.path" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_predict_reads_what_the_run_put_before_its_texts(tmp_path):
    record = replace(NO_RECORD, data=Data(text_column="text", before=("keyword",)))
    path = tmp_path / "x.csv"
    path.write_text("keyword,text\nwild%20fire,near town\n,calm\n")
    assert read_texts(path, record) == ["keyword: wild fire | near town", "calm"]
    path.write_text("text\ncalm\n")
    with pytest.raises(DataError, match=r"no column 'keyword', .*the run reads keyword too"):
        read_texts(path, record)
    assert read_texts(path, NO_RECORD) == ["calm"]


def test_predict_reads_files_as_the_run_read_its_own(tmp_path):
    dialect = {"encoding": "cp1252", "delimiter": None, "quotes": "none"}
    columns = {"columns": ["id", "label", "body"]}
    data = Data(text_column="body", rest={"dialect": dialect | columns})
    record, path = replace(NO_RECORD, data=data), tmp_path / "x.tsv"
    for content in ('7\t1\t"café\n', 'body\n"café\n', 'id\tbody\n7\t"café\n'):
        for encoding in ("utf-8", "cp1252", "utf-16"):
            path.write_bytes(content.encode(encoding))
            assert read_texts(path, record) == ['"café']
    (tmp_path / "x.json").write_text('[{"body": "a"}]')
    assert read_texts(tmp_path / "x.json", record) == ["a"]
    (tmp_path / "x.txt").write_bytes("café\n\nb\n".encode("utf-16"))
    assert read_texts(tmp_path / "x.txt", record) == ["café", "", "b"]
    path.write_text("id;body\n7;a\n")
    with pytest.raises(DataError, match=r"part its columns by commas \(\.csv\) or tabs \(\.tsv\)$"):
        read_texts(path, NO_RECORD, "body")
    damaged = replace(NO_RECORD, data=Data(rest={"dialect": {"quotes": 5}}))
    with pytest.raises(IntegrityError, match=r"data\.dialect is damaged"):
        read_texts(path, damaged)


def test_a_loss_that_is_no_number_stops_before_the_update(tiny_fit, tmp_path, monkeypatch, capsys):
    from hwlit.tasks import text_classification

    losses = iter([1.0, 1.0, float("nan")])
    real = text_classification.functional.cross_entropy

    def spoiled(logits, labels, **kwargs):
        return real(logits, labels, **kwargs) * next(losses)

    monkeypatch.setattr(text_classification.functional, "cross_entropy", spoiled)
    assert main(tiny_fit) == 4
    assert "the loss became nan at step 2; nothing was updated" in capsys.readouterr().err
    record = read(tmp_path / "run")
    assert record["status"] == "failed"
    assert "nan at step 2" in record["error"]
    assert not list((tmp_path / "run" / "checkpoints").glob("*.ckpt"))


def test_an_export_that_does_not_reload_equal_fails_the_run(
    tiny_fit, tmp_path, monkeypatch, capsys
):
    from hwlit.exports import reload, stock_classifier

    def shifted(job, folder, timeout):
        alone, batch = stock_classifier.logits(**job)
        return alone, [[logit + 0.01 for logit in row] for row in batch]

    monkeypatch.setattr(reload, "_run", shifted)
    assert main(tiny_fit) == 5
    assert "its logits differ by 0.01" in capsys.readouterr().err
    assert read(tmp_path / "run")["status"] == "failed"


def test_a_picture_that_cannot_be_drawn_fails_no_run(tiny_fit, tmp_path, monkeypatch, capsys):
    def broken(self):
        raise ValueError("no such font")

    monkeypatch.setattr("hwlit.callbacks.predictions.Predictions.picture", broken)
    assert main([*tiny_fit, "--trainer.max_epochs", "1"]) == 0
    record = read(tmp_path / "run")
    assert record["status"] == "ok"
    assert record["absent"]["tensorboard"] == "ValueError: no such font"
    assert "tensorboard: ValueError: no such font" in capsys.readouterr().out


def test_a_run_stopped_before_its_record_can_go_on(tiny_fit, tmp_path, monkeypatch, capsys):
    def interrupt(self):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("hwlit.callbacks.predictions.Predictions.picture", interrupt)
        assert main([*tiny_fit, "--trainer.max_epochs", "1"]) == 130
    assert "go on with: hwlit fit --resume" in capsys.readouterr().err
    assert read(tmp_path / "run")["status"] == "interrupted"
    assert main(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert read(tmp_path / "run")["status"] == "ok"


def test_the_config_is_printed_and_nothing_is_run(tiny_fit, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*tiny_fit, "--print_config"])
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["init_args"]["adapter"]["init_args"]["rank"] == 8
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_is_evaluated_again(command, finished, tiny_fit, capsys):
    record = read(finished)
    best = finished / record["best_checkpoint"]["path"]
    arguments = [command, *tiny_fit[1 : tiny_fit.index("--output")], "--ckpt_path", str(best)]
    capsys.readouterr()
    assert main(arguments) == 0
    told = capsys.readouterr().out
    metrics = json.loads(told[told.index("{") :])
    if command == "test":
        expected = record["readings"]["test/loss"]["value"]
        assert metrics["test/loss"] == pytest.approx(expected, rel=1e-5)
    else:
        assert metrics["val/accuracy"] == pytest.approx(record["best_checkpoint"]["score"])


def test_a_checkpoint_of_another_adapter_is_refused(finished, tiny_fit, capsys):
    best = finished / read(finished)["best_checkpoint"]["path"]
    arguments = ["test", *tiny_fit[1 : tiny_fit.index("--output")], "--ckpt_path", str(best)]
    assert main([*arguments, "--model.adapter", "head_only"]) == 5
    told = capsys.readouterr().err
    assert "the checkpoint was learned under Lora, and here the adapter is HeadOnly" in told


@pytest.mark.parametrize(
    "name",
    [n for n in config_names() if not n.startswith(("adapters/", "prompts/", "studies/"))],
)
def test_every_shipped_config_parses(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", name, "--print_config"])
    assert stop.value.code == 0


def test_a_list_of_prompts_replaces_nothing_else(capsys):
    found = []
    for more in ([], ["--config", "prompts/dreambooth_objects"]):
        with pytest.raises(SystemExit) as stop:
            main(["fit", "--config", "pocket/dreambooth_lora", *more, "--print_config"])
        assert stop.value.code == 0
        found.append(yaml.safe_load(capsys.readouterr().out))
    own, replaced = (config["data"]["init_args"].pop("test_prompts") for config in found)
    assert (len(own), len(replaced)) == (4, 25)
    assert found[0] == found[1]


@pytest.mark.parametrize("option", ["--config", "-c"])
def test_names_become_paths(option):
    path = str(config_root() / "quickstart.yaml")
    assert with_shipped_configs([option, "quickstart"]) == [option, path]
    assert with_shipped_configs([f"{option}=quickstart"]) == [f"{option}={path}"]


def test_class_paths_and_json_are_left_alone():
    for value in ("hwlit.adapters.full.Full", '{"class_path": "x"}', "null"):
        assert with_shipped_configs(["--model.adapter", value]) == ["--model.adapter", value]
    with pytest.raises(UsageError):
        with_shipped_configs(["--model.adapter", "nothing"])


@pytest.mark.slow
def test_two_processes_write_one_record(tiny_models, tiny_csv, tmp_path):
    arguments = [*tiny_arguments(tiny_models, tiny_csv, tmp_path / "run"), "--trainer.devices", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "hwlit", *arguments, "--trainer.strategy", "ddp"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = read(tmp_path / "run")
    assert record["readings"]["test/accuracy"]["n"] == record["data"]["rows"]["test"]
    assert record["comparability"]["batch"] == 32
    ranks = [record["readings"][f"fit/peak_memory/rank_{rank}"]["value"] for rank in (0, 1)]
    assert record["readings"]["fit/peak_memory"]["value"] == sum(ranks)
    assert max(ranks) < 1.5 * min(ranks), "the first must not count the one that it started"
    assert record["ranks"][1]["energy"] == {}, "the first of a node counts for all"
    assert "launch" in {phase["name"] for phase in record["phases"]}
    with (tmp_path / "run" / "predictions.csv").open(newline="") as file:
        rows = [int(row["row_id"]) for row in csv.DictReader(file)]
    assert rows == sorted(set(rows))
    assert len(rows) == record["data"]["rows"]["test"]
