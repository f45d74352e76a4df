import json

import pytest
import yaml

from hwlit.__main__ import main
from tests.study.test_run import rows


@pytest.mark.slow
def test_a_study_of_real_runs_goes_from_its_file_to_rows_and_sessions(
    tiny_models, tiny_csv, tmp_path, capsys
):
    settings = {
        "model.pretrained": tiny_models["bert"], "data.path": tiny_csv, "data.max_length": 32,
        "trainer.max_epochs": 2, "trainer.accelerator": "cpu", "seed": 0,
    }  # fmt: skip
    study, out = tmp_path / "tiny.yaml", tmp_path / "out"
    adapters = {
        "int8": {"adapter": "lora", "quantize": "int8"},
        "lora": "lora",
        "broken": {"adapter": "lora", "model.adapter.rank": 0},
    }
    study.write_text(yaml.safe_dump(
        {"base": "quickstart", "set": settings, "axes": {"adapter": adapters},
         "budget": {"time": "10min", "memory": "16GiB"}, "choose": "val/loss", "mode": "min"}
    ))  # fmt: skip
    words = ["study", "run", str(study), "--output", str(out)]
    assert main(words) == 1
    found = rows(out)
    assert {name: row["status"] for name, row in found.items()} == {
        "lora": "ok",
        "int8": "ok",
        "broken": "config",
    }
    assert "rank must be at least 1, got 0" in found["broken"]["reason"]
    record = json.loads((out / "runs/lora/record.json").read_text())
    assert record["adapter"]["rank"] == 8
    assert record["check"]["max_abs_difference"] < 1e-4  # in a process that knows no hwlit
    said = (out / "logs" / "lora.log").read_text()
    assert "reload check: " in said
    assert "Warning" not in said
    assert (out / "tensorboard/lora").is_dir()
    assert found["lora"]["exit_code"] == 0
    before = record["started"]
    assert main(words) == 1  # at once: both rows are there
    assert json.loads((out / "runs/lora/record.json").read_text())["started"] == before
    assert "3 of 3 done, 1 not ok" in capsys.readouterr().out
    source = json.loads((out / "runs/int8/record.json").read_text())["source"]
    assert source["run"] == str(out / "runs/lora")
