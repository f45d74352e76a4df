"""Seeds are pooled, and what is left has names of its own."""

from hwlit.study.collect import collect
from hwlit.study.methods import methods
from tests.study.records import write_run, write_study


def labels(tmp_path):
    return {m.label: [run.seed for run in m.runs] for m in methods(collect([tmp_path]).runs)}


def test_seeds_of_one_config_are_one_method(tmp_path):
    for seed in (2, 0, 1):
        write_run(tmp_path / f"lora-{seed}", seed=seed, key={"data": f"split {seed}"})
    write_run(tmp_path / "full", "Full", config="full\n")
    write_run(tmp_path / "broken", status="failed")
    assert labels(tmp_path) == {"Lora": [0, 1, 2], "Full": [0]}


def test_settings_that_differ_are_named_and_no_others(tmp_path):
    for rank in (8, 16):
        settings = {"rank": rank, "alpha": 16, "sites": [str(rank)]}
        write_run(tmp_path / f"r{rank}", settings=settings, config=f"rank: {rank}\n")
    write_run(tmp_path / "full", "Full", settings={"learning_rate": 1e-5}, config="x: 1\n")
    assert set(labels(tmp_path)) == {"Lora (rank 8)", "Lora (rank 16)", "Full"}


def test_hardware_is_named_everywhere(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Full", key={"device": "A GPU"})
    assert set(labels(tmp_path)) == {"Lora (device A CPU)", "Full (device A GPU)"}


def test_what_only_the_config_knows_is_named(tmp_path):
    for epochs in (1, 2):
        config = f"trainer:\n  max_epochs: {epochs}\n"
        write_run(tmp_path / f"e{epochs}", settings={"rank": 8}, config=config)
    assert set(labels(tmp_path)) == {"Lora (max_epochs 1)", "Lora (max_epochs 2)"}


def test_the_directory_is_the_last_resort(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name, config=f"{name}: : not yaml")
    assert set(labels(tmp_path)) == {"Lora (a)", "Lora (b)"}


def test_a_number_is_no_name(tmp_path):
    cells = {f"b{size}": ({"data.batch_size": size}, "ok") for size in (2, 16)}
    write_study(tmp_path, cells)
    for name in cells:
        write_run(tmp_path / "runs" / name)
    assert set(labels(tmp_path)) == {"batch_size 2", "batch_size 16"}


def test_a_studys_axes_are_the_names(tmp_path):
    cells = {
        f"{adapter}-{device}-{seed}": ({"adapter": adapter, "hardware": device, "data": "same",
                                        "seed": seed}, "ok")
        for adapter in ("full", "lora") for device in ("cpu", "gpu") for seed in (0, 1)
    }  # fmt: skip
    write_study(tmp_path, cells)
    for name in cells:
        write_run(tmp_path / "runs" / name, seed=int(name[-1]))
    expected = ["full (cpu)", "full (gpu)", "lora (cpu)", "lora (gpu)"]
    assert labels(tmp_path) == {name: [0, 1] for name in expected}


def test_one_label_in_two_studies_is_two_methods(tmp_path):
    for name, rate in (("a", 1), ("b", 2)):
        write_study(tmp_path / name, {"lora": ({"adapter": "lora"}, "ok")})
        write_run(tmp_path / name / "runs" / "lora", config=f"lr: {rate}\n")
    assert labels(tmp_path) == {"Lora (lr 1)": [0], "Lora (lr 2)": [0]}


def test_what_turns_the_writing_round_is_no_part_of_a_label(tmp_path):
    names = {"a": "\u202eevil", "b": "日本\u3000語"}
    write_study(tmp_path, {cell: ({"m": name}, "ok") for cell, name in names.items()})
    for cell in names:
        write_run(tmp_path / "runs" / cell)
    assert [m.label for m in methods(collect([tmp_path]).runs)] == ["?evil", "日本 語"]
