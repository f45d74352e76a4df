from pathlib import Path

import pytest
import yaml

from hwlit.errors import UsageError
from hwlit.shipped import config_names, config_root
from hwlit.study.plan import find_study, read_study

STUDIES = [name for name in config_names() if name.startswith("studies/")]


def plan(folder, really=False, changes=None, **keys):
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"base": "quickstart", **keys}, sort_keys=False))
    return read_study(path, really, changes)


def names(study):
    return [cell.name for cell in study.cells]


def test_axes_are_multiplied_out_in_order(tmp_path):
    study = plan(tmp_path, axes={"adapter": ["lora", "full"], "seed": [0, 1]})
    assert names(study) == ["lora-seed0", "lora-seed1", "full-seed0", "full-seed1"]
    first = study.cells[0]
    assert first.values == {"adapter": "lora", "seed": "seed0"}
    adapter = str(config_root() / "adapters/text/lora.yaml")
    assert first.overrides == {"model.adapter": adapter, "seed_everything": 0}


def test_excluded_cells_leave_and_included_ones_come(tmp_path):
    ranks = {"r4": {"model.adapter.rank": 4}, "r8": {"model.adapter.rank": 8}}
    study = plan(
        tmp_path,
        axes={"adapter": ["untuned", "lora"], "rank": ranks, "seed": [0, 1]},
        exclude=[{"adapter": "untuned"}, {"rank": "r4", "seed": 1}],
        include=[{"adapter": "untuned", "seed": [0, 1]}],
    )
    assert names(study) == [
        "lora-r4-seed0", "lora-r8-seed0", "lora-r8-seed1", "untuned-seed0", "untuned-seed1",
    ]  # fmt: skip
    assert "model.adapter.rank" not in study.cells[-1].overrides


def test_a_change_of_rank_comes_after_the_adapter_on_the_command_line(tmp_path):
    study = plan(tmp_path, axes={"model.adapter.rank": [4], "adapter": ["lora"]})
    words = study.cells[0].arguments(tmp_path)
    assert words.index("--model.adapter") < words.index("--model.adapter.rank")


def test_a_cell_that_quantises_names_the_one_that_trains(tmp_path):
    methods = {"full": {"adapter": "full"}, "int8": {"adapter": "full", "quantize": "int8"}}
    study = plan(tmp_path, axes={"method": methods, "seed": [0, 1]})
    cell = next(cell for cell in study.cells if cell.name == "int8-seed1")
    assert cell.source == "full-seed1"
    source = str(tmp_path / "full-seed1")
    assert cell.arguments(tmp_path) == ["quantize", source, "--format", "int8"]
    assert cell.config_hash() != study.cells[1].config_hash()
    with pytest.raises(UsageError, match="give int8, int4, nf4"):
        plan(tmp_path, axes={"method": {**methods, "int9": {"adapter": "full", "quantize": 9}}})
    with pytest.raises(UsageError, match="both search and quantize"):
        plan(tmp_path, axes={"method": methods}, search={"key": "data.batch_size", "high": 4})
    with pytest.raises(UsageError, match="did you mean 'quantize'"):
        plan(tmp_path, set={"quantise": "int8"}, axes={"seed": [0]})
    with pytest.raises(UsageError, match="quantises a run that no cell trains"):
        plan(tmp_path, set={"quantize": "int8"}, axes={"seed": [0]})


def test_a_setting_of_the_command_line_goes_before_the_files_own(tmp_path):
    study = plan(
        tmp_path, changes={"data.batch_size": 4}, set={"data.batch_size": 8}, axes={"seed": [0]}
    )
    assert study.cells[0].overrides["data.batch_size"] == 4


def test_real_lays_the_real_model_over_the_rest(tmp_path):
    keys = {"set": {"data.batch_size": 8}, "axes": {"seed": [0]}}
    keys["real"] = {"set": {"model.pretrained": "distilbert/distilbert-base-uncased"}}
    study = plan(tmp_path, really=True, **keys)
    assert study.name == "grid-real"
    assert study.cells[0].overrides == {
        "data.batch_size": 8, "model.pretrained": "distilbert/distilbert-base-uncased",
        "seed_everything": 0,
    }  # fmt: skip
    assert "model.pretrained" not in plan(tmp_path, **keys).cells[0].overrides


def test_the_hash_follows_what_is_asked_for_and_not_its_order_or_place(tmp_path):
    one = plan(tmp_path, axes={"seed": [0], "data.batch_size": [8]}).cells[0]
    two = plan(tmp_path, axes={"data.batch_size": [8], "seed": [0]}).cells[0]
    other = plan(tmp_path, axes={"data.batch_size": [8], "seed": [1]}).cells[0]
    assert one.config_hash() == two.config_hash() != other.config_hash()


def test_the_hash_follows_the_content_of_configs_and_of_those_they_name(tmp_path):
    (tmp_path / "adapter.yaml").write_text("class_path: hwlit.adapters.lora.Lora\n")
    (tmp_path / "base.yaml").write_text("model: {init_args: {adapter: adapter.yaml}}\n")
    keys = {"base": "base.yaml", "axes": {"seed": [0]}}
    before = plan(tmp_path, **keys).cells[0].config_hash()
    assert before == plan(tmp_path, **keys).cells[0].config_hash()
    (tmp_path / "adapter.yaml").write_text("class_path: hwlit.adapters.full.Full\n")
    assert plan(tmp_path, **keys).cells[0].config_hash() != before


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"axes": {"adaptor": ["lora"]}}, "did you mean 'adapter'"),
        ({"axes": {"rank": [4]}}, "unknown key 'rank'; use adapter"),
        ({"axis": {}}, "did you mean 'axes'"),
        ({"axes": {"seed": []}}, "axis seed has no values"),
        ({"axes": {"seed": [0, 0]}}, "axis seed has 'seed0' twice"),
        ({"axes": {"seed": [0]}, "exclude": [{"seed": 0}]}, "leaves no run"),
        ({"axes": {"seed": [0]}, "exclude": [{"seed": 7}]}, "axis seed has no 7; it has seed0"),
        ({"axes": {"seed": [0]}, "exclude": [{"seeds": 0}]}, "did you mean 'seed'"),
        ({"axes": {"seed": [0]}, "include": [{"seed": 0}]}, "two cells of .* are called 'seed0'"),
        ({"axes": {"adapter": ["lorra"]}}, "did you mean 'lora'"),
        ({"axes": {"seed": [0], "s": {"a": {"seed": 1}}}}, "both axes seed and s set seed_every"),
        ({"axes": {"seed": [0]}, "budget": {"time": "soon"}}, "budget.time 'soon' is no quantity"),
        ({"axes": {"seed": [0]}, "budget": {"memory": "8 apples"}}, "give a number and B or KiB"),
        ({"axes": {"seed": [0]}, "mode": "best"}, "give max or min"),
        ({"axes": {"seed": [0]}, "base": None}, "has no base"),
        ({"axes": [1]}, "not a mapping"),
        ({"axes": {f"data.k{i}": [48 * "x"] for i in range(6)}}, "name of 299 letters"),
        ({"axes": {"seed": [0]}, "search": {"key": "data.batch_size", "low": "8"}}, "a whole num"),
        ({"axes": {"seed": [0]}, "search": {"key": "batch"}}, "search has the unknown key 'batch'"),
    ],
)  # fmt: skip
def test_a_study_that_says_nothing_sensible_is_refused_in_a_sentence(keys, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        plan(tmp_path, **keys)


def test_a_real_part_that_sets_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"real\.set is 'null', not a mapping"):
        plan(tmp_path, really=True, axes={"seed": [0]}, real={"set": None})


def test_a_setting_that_is_an_axis_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is what the axis seed changes; use --only"):
        plan(tmp_path, changes={"seed_everything": 3}, axes={"seed": [0]})


def test_an_unknown_study_lists_the_shipped_ones():
    with pytest.raises(UsageError, match=r"shipped ones are .*imdb_lora.*tweets_full_vs_lora"):
        find_study("zzz")


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("real", [False, True])
def test_a_shipped_study_is_whole_and_names_its_real_model(name, real):
    study = read_study(config_root() / f"{name}.yaml", real)
    assert study.budget.time is not None
    for cell in study.cells:
        models = str(cell.overrides.get("model.pretrained", "")) + "".join(
            Path(config).read_text() for config in cell.configs
        )
        hub = any(part in models for part in ("distilbert/", "google-bert/", "meta-", "/stable-"))
        assert hub or not real
    labels = {label for cell in study.cells for label in cell.values.values()}
    assert study.baseline is None or study.baseline in labels


def test_the_mission_is_covered():
    assert {name.removeprefix("studies/") for name in STUDIES} >= {
        "tweets_full_vs_lora", "imdb_lora", "ag_news_grid", "imdb_llama_frozen_vs_lora",
        "llama_batch_size", "quantisation", "personalization",
    }  # fmt: skip


def test_labels_that_are_one_in_a_files_name_are_refused(tmp_path):
    ranks = {"r 8": {"model.adapter.rank": 8}, "r-8": {"model.adapter.rank": 9}}
    with pytest.raises(UsageError, match="axis rank has 'r-8' twice"):
        plan(tmp_path, axes={"rank": ranks})


def test_a_config_may_name_itself(tmp_path):
    (tmp_path / "base.yaml").write_text("# hwlit fit --config base.yaml\ntrainer: {}\n")
    assert plan(tmp_path, base="base.yaml", axes={"seed": [0]}).cells[0].config_hash()
