import csv
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hwlit.callbacks.loggers import MetricsFile, TensorBoard
from hwlit.callbacks.predictions import Predictions
from hwlit.records import Reading, encoded, measured, record_of


def test_columns_that_come_later_are_kept(tmp_path):
    logger = MetricsFile(tmp_path / "metrics.csv")
    logger.log_metrics({"train/loss": 1.0}, 0)
    logger.log_metrics({"val/loss": 2.0}, 5)
    logger.finalize("success")
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"step": "0", "train/loss": "1.0", "val/loss": ""},
        {"step": "5", "train/loss": "", "val/loss": "2.0"},
    ]


@pytest.fixture
def predictions():
    monitor = Predictions(("no", "yes"))
    monitor.row_ids, monitor.targets = torch.tensor([4, 7]), torch.tensor([0, 1])
    monitor.logits = torch.tensor([[2.0, 0.0], [3.0, 0.0]])
    return monitor


def recorded(facts):
    reading = encoded(Reading(0.5, "1", measured("test rows")))
    row = {"schema": 2, "status": "ok", "absent": {}, "readings": {"test/accuracy": reading}}
    return record_of(row | facts, Path("record.json"))


def test_tensorboard_has_the_final_row_the_picture_and_samples(tmp_path, predictions):
    logger = TensorBoard(tmp_path)
    facts = {
        "adapter": {"name": "Lora", "rank": 8, "sites": ["a"]},
        "model": {"hub_id": "tiny"},
        "device": {"name": "cpu"},
        "seed": 3,
    }
    record = recorded(facts)
    logger.add_row(record)
    logger.add_predictions(predictions, {4: "calm", 7: "storm"})
    assert not list(tmp_path.rglob("hparams.yaml"))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Scalars("final/test/accuracy")[0].value == 0.5
    assert events.Images("test/confusion_matrix")[0].width > 100
    assert events.Images("test/reliability")[0].width > 100
    assert "test/precision_recall/yes" in events.Tags()["tensors"]
    text = events.Tensors("test/sample_predictions/text_summary")[0].tensor_proto.string_val[0]
    assert b"| storm | yes | no |" in text
    plugins = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert plugins.plugin_name == "hparams"
    assert b"rank" in plugins.content


@pytest.mark.parametrize("name", ["$HOME-x", "~", "${HOME}", "~root"])
def test_a_directory_is_taken_as_it_is_called(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    logger = TensorBoard(tmp_path / name)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    assert list((tmp_path / name / "tensorboard").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_event_file_tells_of_the_host(tmp_path, monkeypatch):
    """People upload them."""
    monkeypatch.setattr("socket.gethostname", lambda: "zorbax")
    logger = TensorBoard(tmp_path)
    logger.log_metrics({"loss": 3.0}, 0)
    logger.log_metrics({"loss": 2.0}, 5)
    logger.finalize("success")
    facts = {"adapter": {"name": "Lora"}, "device": {"name": "cpu"}, "seed": 3}
    facts["model"] = {"hub_id": "/home/zorbax/bert"}
    logger.add_row(recorded(facts))  # opens another file, as after the fit
    again = TensorBoard(tmp_path, resumed_at=4)
    again.log_metrics({"loss": 1.0}, 5)
    again.finalize("success")
    paths = list((tmp_path / "tensorboard").iterdir())
    assert len(paths) == 3
    for path in paths:
        assert path.name.startswith("events.out.tfevents.")
        assert b"zorbax" not in path.name.encode() + path.read_bytes()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    assert [(e.step, e.value) for e in read.Reload().Scalars("loss")] == [(0, 3.0), (5, 1.0)]
