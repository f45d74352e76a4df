import json

import pytest
import yaml

from hwlit.errors import UsageError
from hwlit.study.collect import collect
from hwlit.study.flags import flags
from hwlit.study.methods import methods
from hwlit.study.plan import find_study, read_study
from hwlit.study.store import Store
from tests.study.records import write_run
from tests.study.test_run import calls, rows, run


def plan(folder, changes=None, **keys):
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"base": "quickstart", **keys}, sort_keys=False))
    return read_study(path, changes=changes)


def names(study):
    return [cell.name for cell in study.cells]


def test_three_seeds_where_the_file_names_none(tmp_path):
    study = plan(tmp_path, axes={"adapter": ["full", "lora"]}, exclude=[{"adapter": "full"}],
                 include=[{"adapter": "full"}])  # fmt: skip
    assert names(study) == [f"{a}-seed{s}" for a in ("lora", "full") for s in range(3)]
    assert [cell.overrides["seed_everything"] for cell in study.cells] == [0, 1, 2, 0, 1, 2]
    assert study.seeds == 3
    assert names(plan(tmp_path, axes={})) == ["seed0", "seed1", "seed2"]


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"seeds": 1}, 1),
        ({"seeds": 5}, 5),
        ({"axes": {"seed": [7]}}, 1),
        ({"axes": {"seed_everything": [0, 1]}}, 2),
        ({"axes": {"data.seed": [0, 1]}}, 2),
        ({"axes": {"data.seed": [0, 1], "seed": [0, 1]}}, 4),
        ({"axes": {"s": {"a": {"seed": 1}, "b": {"data.seed": 2}}}}, 2),
        ({"set": {"seed": 4}}, 1),
        ({"set": {"data.seed": 4}}, 3),
        ({"changes": {"seed_everything": 4}}, 1),
        ({"search": {"key": "data.batch_size"}}, 1),
    ],
)
def test_seeds_that_are_named_are_those(tmp_path, keys, count):
    study = plan(tmp_path, **keys)
    assert len(study.cells) == count
    assert study.seeds == (3 if keys == {"set": {"data.seed": 4}} else None)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": "three"}, "seeds is 'three'"),
        ({"seeds": True}, "seeds is True"),
        ({"seeds": 2, "axes": {"seed": [0]}}, "seeds: 2, and the axis seed names them too"),
        ({"seeds": 2, "set": {"seed": 1}}, "seeds: 2, and seed names them too"),
        ({"axes": {"data.batch_size": list(range(4000))}}, "12,000 runs"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(tmp_path, keys, told):
    with pytest.raises(UsageError, match=told):
        plan(tmp_path, **keys)


def test_both_seeds_are_told_apart_in_names(tmp_path):
    study = plan(tmp_path, axes={"seed": [0, 1], "data.seed": [0, 1]})
    assert names(study)[1] == "seed0-data.seed1"
    assert study.cells[1].overrides == {"seed_everything": 0, "data.seed": 1}
    only = plan(tmp_path, axes={"seed": [0], "data.seed": [0, 1]}, exclude=[{"data.seed": 1}])
    assert names(only) == ["seed0-data.seed0"]


@pytest.mark.parametrize(
    ("name", "count"),
    [("ag_news_grid", 21), ("personalization", 30), ("llama_batch_size", 2), ("imdb_lora", 6)],
)
def test_shipped_studies_have_three_seeds_but_for_a_search(name, count):
    assert len(read_study(find_study(name)).cells) == count


def older(out):
    """Make a study's file what it was while `seed_everything` divided the data."""
    facts = json.loads((out / "study.json").read_text())
    assert facts.pop("divided_by") == "data.seed"
    (out / "study.json").write_text(json.dumps(facts))


def study_file(folder, **keys):
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"base": "quickstart", **keys}))
    return path


def test_an_older_study_goes_on_as_it_was_begun(tmp_path, capsys):
    out = tmp_path / "out"
    run(study_file(tmp_path, axes={"data": ["ok"], "seed": [0, 1]}), out)
    assert "--data.seed" not in calls(out, "ok-seed1")[0]
    older(out)
    capsys.readouterr()
    more = study_file(tmp_path, axes={"data": ["ok"], "seed": [0, 1, 2]})
    assert run(more, out, "--dry-run") == 0
    assert "--seed_everything 2 --data.seed 2" in capsys.readouterr().out
    for _ in range(2):  # it stays one
        assert run(more, out) == 0
        assert "was begun when seed_everything divided the data" in capsys.readouterr().out
    assert [len(calls(out, f"ok-seed{seed}")) for seed in range(3)] == [1, 1, 1]
    assert json.loads((out / "runs/ok-seed2/record.json").read_text())["data"]["seed"] == 2
    assert Store(out).facts()["divided_by"] == "seed_everything"


def test_an_older_study_of_one_seed_keeps_it(tmp_path, capsys):
    out = tmp_path / "out"
    run(study_file(tmp_path, axes={"data": ["ok"]}, set={"seed": 0}), out)
    before = rows(out)
    older(out)
    (cell,) = read_study(study_file(tmp_path, axes={"data": ["ok"]}), seeds=None).cells
    row = before["ok"] | {"config_hash": cell.config_hash()}
    (out / "rows/ok.json").write_text(json.dumps(row))
    capsys.readouterr()
    assert run(tmp_path / "grid.yaml", out) == 0
    assert rows(out) == {"ok": row}
    assert len(calls(out, "ok")) == 1
    assert "no seeds are added" in capsys.readouterr().out


def test_without_its_file_the_runs_tell_how_a_study_was_divided(tmp_path):
    config = {"seed_everything": 3, "data": {"class_path": "Tweets", "init_args": {}}}
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    assert not Store(tmp_path).divided_by_run_seed
    (folder / "config.yaml").write_text("# hwlit fit --config c\n" + yaml.safe_dump(config))
    assert Store(tmp_path).divided_by_run_seed
    config["data"]["init_args"]["seed"] = 0
    (folder / "config.yaml").write_text("# hwlit fit --config c\n" + yaml.safe_dump(config))
    assert not Store(tmp_path).divided_by_run_seed


def test_pictures_have_no_division_to_keep(tmp_path, capsys):
    out = tmp_path / "out"
    path = study_file(tmp_path, base="pocket/svdiff", axes={"seed": [1]})
    out.mkdir()
    (out / "study.json").write_text(
        json.dumps({"name": "grid", "metric": "m", "mode": "max", "cells": ["seed1"]})
    )
    assert run(path, out, "--dry-run") == 0
    assert "--data.seed" not in capsys.readouterr().out


DATA = (
    "data:\n  class_path: hwlit.data.tweets.Tweets\n  init_args:\n    path: bundled\n    seed: {}\n"
)


def test_runs_that_differ_in_either_seed_are_one_method(tmp_path):
    for seed, divided in ((0, 0), (1, 0), (0, 1)):
        write_run(tmp_path / f"{seed}-{divided}", seed=seed, config=DATA.format(divided),
                  data={"source": ["bundled"], "seed": divided})  # fmt: skip
    older = DATA.replace("    seed: {}\n", "")
    write_run(tmp_path / "older", seed=3, config=older, data={"source": ["bundled"], "seed": 3})
    (method,) = methods(collect([tmp_path]).runs)
    assert [run.seeds for run in method.runs] == [(0, 0), (0, 1), (1, 0), (3, 3)]


def test_another_setting_called_seed_is_no_seed_of_the_run(tmp_path):
    for seed in (0, 1):
        config = f"trainer:\n  plugins:\n    seed: {seed}\n"
        write_run(tmp_path / f"{seed}", config=config)
    assert len(methods(collect([tmp_path]).runs)) == 2


def test_another_division_is_told_and_an_older_record_says_its_own(tmp_path):
    """Held against the run of the same seeds; where there is none, the division differs."""
    for name, adapter, seed, divided in (
        ("a", "Full", 1, 0), ("b", "Lora", 1, 0), ("c", "Lora", 1, 1), ("d", "Full", 1, 1),
        ("e", "Bitfit", 1, 2),
    ):  # fmt: skip
        write_run(tmp_path / name, adapter, seed, data={"source": ["x"], "seed": divided},
                  key={"data_seed": divided} if name != "d" else None)  # fmt: skip
    full, lora, bitfit = methods(collect([tmp_path]).runs)
    assert flags(lora, full) == []
    assert flags(bitfit, full) == ["data_seed 2, baseline 0"]
