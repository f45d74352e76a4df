import json

import pytest

from hwlit.__main__ import main
from hwlit.callbacks.weights_and_biases import WeightsAndBiases
from hwlit.errors import UsageError

wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_run_is_kept_offline_with_its_curves_and_its_row(tiny_fit, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert main([*tiny_fit, "--wandb", "costs", "--trainer.log_every_n_steps", "1"]) == 0
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert "weightsandbiases" not in record["absent"]
    (kept,) = (tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb")
    content = kept.read_bytes()
    for part in (b"val/accuracy", b"final/test/accuracy", b"costs"):
        assert part in content


def test_an_empty_project_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--wandb is empty"):
        WeightsAndBiases(" ", tmp_path, {})
