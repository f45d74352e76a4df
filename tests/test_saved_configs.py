"""The two seeds as a user meets them, and what an older run's files mean."""

import csv
import json
import re
import shutil

import pytest
import torch
import yaml

from hwlit import cli
from hwlit.__main__ import main
from hwlit.saved_configs import load_config
from hwlit.yaml_files import config_text

TEXTS = {"class_path": "hwlit.data.tweets.Tweets", "init_args": {"path": "bundled"}}
PICTURES = {"class_path": "hwlit.data.concept_images.ConceptImages", "init_args": {"path": "x"}}
HEADING = "# hwlit fit --config run/config.yaml\n"
WHOLE = {"trainer": {}, "model": {}, "checkpoint": {}, "ckpt_path": None}


@pytest.mark.parametrize(
    ("heading", "said", "seed"),
    [
        (HEADING, {"seed_everything": 3, "data": TEXTS}, 3),
        (HEADING, {"data": TEXTS}, 0),
        ('# hwlit quantize "run" --format int8\n', {"seed_everything": 3, "data": TEXTS}, 3),
        ("", {"seed_everything": 3, "data": TEXTS, **WHOLE}, 3),  # printed by --print_config
        ("# mine\n", {"seed_everything": 3, "data": TEXTS, **WHOLE}, 3),
        ("", {"seed_everything": 3, "data": TEXTS}, None),  # written by hand
        (HEADING, {"seed_everything": 3, "data": PICTURES}, None),
        (HEADING, {"seed_everything": 3, "data": "Tweets"}, None),
        (HEADING, {"seed_everything": 3, "data": {"class_path": "mine.Data"}}, None),
        (
            HEADING,
            {"seed_everything": 3,
             "data": {"class_path": "mine.Data", "init_args": {"validation_size": 9}}},
            3,
        ),
    ],
)  # fmt: skip
def test_an_older_config_says_how_its_data_was_divided(heading, said, seed):
    found = load_config(heading + yaml.safe_dump(said))
    if seed is None:
        assert found == said
    else:
        assert found["data"]["init_args"].pop("seed") == seed
        assert found == said


@pytest.mark.parametrize("stated", [5, None])
def test_what_a_config_states_stays(stated):
    data = {**TEXTS, "init_args": {"seed": stated}}
    said = {"seed_everything": 3, "data": data}
    assert load_config(HEADING + yaml.safe_dump(said)) == said


@pytest.fixture
def parsed(tiny_fit, tmp_path, monkeypatch):
    """Parses a command line of fit, and returns the task and the data that it makes."""
    made = []
    monkeypatch.setattr(
        cli.HwlitCLI, "fit", lambda self, model, datamodule, **_: made.append((model, datamodule))
    )

    def parse(*words):
        output = tmp_path / f"parsed-{len(made)}"
        assert main([*tiny_fit[:-1], str(output), *words]) == 0
        return made[-1]

    return parse


def seen(model, data):
    """What was drawn: test and training rows, their order, and the fresh weights."""
    model.configure_model()
    order = [
        data._ready().parts["train"].row_ids[i] for b in data.train_dataloader().order for i in b
    ]
    test = [row for row, *_ in data.test_rows()]
    return test, data._ready().split.train, order, model.learned_state()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_each_seed_decides_its_own_and_nothing_else(parsed):
    test, train, order, weights = seen(*parsed())
    other = seen(*parsed("--seed_everything", "1"))
    assert (other[0], other[1]) == (test, train)
    assert sorted(other[2]) == sorted(order)
    assert other[2] != order
    assert not same(other[3], weights)
    divided = seen(*parsed("--data.seed", "1"))
    assert divided[0] != test
    assert divided[1] != train
    assert same(divided[3], weights)


def row_ids(folder):
    lines = (folder / "predictions.csv").read_text().splitlines()
    return [line["row_id"] for line in csv.DictReader(lines)]


def make_older(run):
    """Leave out of a run's files what no run had while `seed_everything` divided the data."""
    text = config_text(run / "config.yaml")
    text, n = re.subn(r"^    seed: 3\n", "", text, flags=re.MULTILINE)
    assert n == 1
    (run / "config.yaml").write_text(text)
    record = json.loads((run / "record.json").read_text())
    del record["comparability"]["data_seed"], record["data"]["seed"]
    (run / "record.json").write_text(json.dumps(record))


@pytest.fixture
def older(tiny_fit, tmp_path):
    words = ["--seed_everything=3", "--data.seed=3", "--trainer.logger=false"]
    assert main([*tiny_fit, *words]) == 0
    make_older(tmp_path / "run")
    return tmp_path / "run"


def test_an_older_run_keeps_its_test_rows(older, tmp_path, capsys):
    """By its config, with another seed of training, quantised, and gone on with."""
    rows = row_ids(older)
    again = ["fit", "--config", str(older / "config.yaml"), "--output", str(tmp_path / "again")]
    assert main([*again, "--seed_everything", "4", "--trainer.max_epochs=1"]) == 0
    assert row_ids(tmp_path / "again") == rows
    record = json.loads((tmp_path / "again/record.json").read_text())
    assert (record["seed"], record["data"]["seed"]) == (4, 3)
    assert record["comparability"]["data_seed"] == 3
    assert (
        yaml.safe_load(config_text(tmp_path / "again/config.yaml"))["data"]["init_args"]["seed"]
        == 3
    )
    assert main(["quantize", str(older), "--format", "int8"]) == 0
    assert row_ids(tmp_path / "run-int8") == rows
    assert "seed 3, data.seed 3" in capsys.readouterr().out
    shutil.copytree(older, tmp_path / "stopped")
    for name in ("record.json", "predictions.csv"):
        (tmp_path / "stopped" / name).unlink()
    assert main(["fit", "--resume", str(tmp_path / "stopped")]) == 0
    assert row_ids(tmp_path / "stopped") == rows
    record = json.loads((tmp_path / "stopped/record.json").read_text())
    assert record["resumed_from"]["not_bit_exact"] == []


def test_a_config_of_ones_own_is_divided_by_a_fixed_seed(parsed):
    _, data = parsed("--seed_everything", "3")
    assert (data.seed, data.shuffle_seed) == (0, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("quickstart", "--data.shuffle_seed", "3"), "follows from --seed_everything"),
        (("quickstart", "--data.init_args.shuffle_seed=3"), "follows from --seed_everything"),
        (("quickstart", "--data.seeds", "3"), "did you mean --data.seed?"),
        (("quickstart", "--data.seed", "-1"), "--data.seed is -1"),
        (("quickstart", "--data.seed", str(2**32)), "from 0 to 4294967295"),
        (("pocket/dreambooth_lora", "--data.seed", "3"), "are not divided"),
        (("pocket/dreambooth_lora", "--data.init_args.seed=3"), "are not divided"),
    ],
)
def test_a_seed_that_decides_nothing_is_refused(words, told, tmp_path, capsys):
    assert main(["fit", "--config", *words, "--output", str(tmp_path / "run")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["shuffle_seed", "tokenizer"])
def test_what_follows_from_another_key_is_refused_in_a_file_too(key, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"data": {"class_path": "Tweets", "init_args": {key: 3}}}))
    assert main(["fit", "--config", "quickstart", "--config", str(path)]) == 2
    assert f"data.init_args.{key} follows from" in capsys.readouterr().err
