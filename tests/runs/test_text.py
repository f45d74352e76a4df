"""A run of text classification says before it trains what does not belong together."""

import csv
import io
import json
import shutil

import pytest

from hwlit.__main__ import main
from tests.conftest import speed_up, tiny_arguments


@pytest.fixture(scope="module")
def finished(tiny_models, tiny_csv, tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        speed_up(patch)
        words = tiny_arguments(tiny_models, tiny_csv, folder / "run")
        words += ["--model.adapter", "full", "--trainer.logger", "false"]
        assert main([*words, "--trainer.max_epochs", "1"]) == 0
    return folder / "run"


def with_file(folder, to, file, change):
    """Copy a model's folder and change one of its JSON files."""
    shutil.copytree(folder, to)
    found = json.loads((to / file).read_text())
    change(found)
    (to / file).write_text(json.dumps(found))
    return str(to)


def test_fewer_positions_than_max_length(tiny_fit, tiny_models, tmp_path, capsys):
    """Whatever the tokenizer says: it may know no limit."""
    name = with_file(
        tiny_models["roberta"], tmp_path / "model", "tokenizer_config.json",
        lambda found: found.update(model_max_length=10**30),
    )  # fmt: skip
    more = ["--model.pretrained", name, "--data.max_length", "42"]
    for command in ("fit", "check"):
        assert main([command, *tiny_fit[1:], *more]) == 2
        error = capsys.readouterr().err
        assert f"--data.max_length is 42, but {name} has 41 positions; lower" in error
    assert not (tmp_path / "run").exists()


def test_a_text_with_a_token_that_has_no_row(tiny_fit, tiny_models, tiny_csv, tmp_path, capsys):
    """The tokenizer has more tokens than the network, which does no harm until one is used."""

    def add(found):
        found["model"]["vocab"] |= {f"w{i}": i for i in range(len(found["model"]["vocab"]), 32)}
        found["added_tokens"].append(
            {"id": 32, "content": "<picture>", "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
        )  # fmt: skip

    name = with_file(tiny_models["bert"], tmp_path / "model", "tokenizer.json", add)
    words = [*tiny_fit, "--model.pretrained", name, "--trainer.logger", "false"]
    with open(tiny_csv, newline="") as file:
        rows = list(csv.reader(file))
    rows[5][3] += " <picture>"
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    own = ["--data.path", str(tmp_path / "own.csv")]
    for command in ("fit", "check"):
        assert main([command, *words[1:], *own]) == 2
        error = capsys.readouterr().err
        assert "gives token 32 ('<picture>')" in error
        assert "embedding of the model has 32 rows" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("failed", "its status is failed (logits differ); train it again"),
        ("interrupted", "go on with it: hwlit fit --resume"),
        ("oom", "its status is oom"),
    ],
)
def test_what_a_run_exported_before_it_failed_is_not_used(status, told, finished, tmp_path, capsys):
    run = with_file(
        finished, tmp_path / "run", "record.json",
        lambda found: found.update(status=status, error="logits differ"),
    )  # fmt: skip
    for words in (["predict", run, "--text", "storm"], ["export", run, "--merged", "merged"]):
        assert main(words) == 5
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("adapter", ["untuned", "lora"])
def test_the_head_of_a_finished_run_is_known_by_its_names(
    adapter, finished, tiny_fit, tiny_csv, tmp_path, capsys
):
    """Begun from what it learned, with the names in another order: the same answers from the
    first step, and the record says why."""
    assert main(["export", str(finished), "--merged", str(tmp_path / "merged")]) == 0
    with open(tiny_csv, newline="") as file:
        rows = [(row["text"], row["target"]) for row in csv.DictReader(file)]
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    names = json.loads((finished / "record.json").read_text())["model"]["labels"]
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert list(config["id2label"].values()) == names
    own = [
        "fit", "--config", "text/files", *tiny_fit[3:], "--data.path", str(tmp_path / "own.csv"),
        "--data.label_names", json.dumps({"1": names[1], "0": names[0]}), "--model.adapter",
        adapter, "--model.pretrained", str(tmp_path / "merged"), "--trainer.logger", "false",
    ]  # fmt: skip
    if adapter == "lora":
        own += ["--trainer.max_epochs", "1", "--model.adapter.learning_rate", "1e-9"]
    assert main(own) == 0
    told = capsys.readouterr().err
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["model"]["labels"] == names[::-1]
    assert "put in the data's order by name" in record["model"]["head"]
    assert f"head: {record['model']['head']}" in told
    shares = []
    for run in (finished, tmp_path / "run"):
        assert main(["predict", str(run), "--text", rows[0][0]]) == 0
        header, row = csv.reader(io.StringIO(capsys.readouterr().out))
        shares.append({n: float(p) for n, p in zip(header[2:], row[2:], strict=True)})
    assert shares[0] == pytest.approx(shares[1], abs=1e-4)
    assert len(set(shares[0].values())) == 2
