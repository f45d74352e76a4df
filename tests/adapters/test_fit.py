"""Every shipped text adapter through a whole run: train, test, export, reload, record."""

import json

import pytest

from hwlit.__main__ import main
from hwlit.adapters.base import Adapter
from tests.adapters.test_contract import CASES, SMALLER, read_adapter

NAMES = [path.stem for path in CASES]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_runs_from_data_to_checked_export(name, tiny_fit, tmp_path):
    changes = ["--trainer.max_epochs=1", "--trainer.logger=false"]
    changes += [f"--model.adapter.{key}={value}" for key, value in SMALLER.get(name, {}).items()]
    assert main([*tiny_fit, "--model.adapter", name, *changes]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    adapter: Adapter = read_adapter(next(path for path in CASES if path.stem == name))
    assert record["adapter"]["name"] == adapter.title
    assert record["check"]["max_abs_difference"] < 1e-4
    assert record["check"]["rows"] == record["check"]["same_predictions"]
    assert ("adapter/merge_difference" in record["readings"]) == adapter.wraps
    peft = (tmp_path / "run" / "adapter" / "adapter_config.json").exists()
    assert peft == (adapter.wraps and name != "bitfit_lora")
