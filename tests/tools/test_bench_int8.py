"""The benchmark of the integer layers: it compares networks that compute nearly the same."""

import json

import pytest
from transformers import DistilBertConfig

from tools import bench_int8

TINY = DistilBertConfig(vocab_size=20000, dim=32, n_layers=2, n_heads=2, hidden_dim=64)


@pytest.mark.parametrize("clock", ["wall", "processor"])
def test_it_prints_settings_processor_and_ratios(clock, monkeypatch, capsys):
    monkeypatch.setitem(bench_int8.SHAPES, "distilbert", TINY)
    words = ["--rounds", "2", "--calls", "1", "--tokens", "8", "--clock", clock]
    bench_int8.main([*words, "--kernel", "fp32"])
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["rounds"] == 2
    assert isinstance(found["processor"]["multiplies integers"], bool)
    shapes = {(row["in_features"], row["out_features"]) for row in found["kernels"]}
    assert {(32, 32), (32, 64), (64, 32)} <= shapes
    for name, limit in (("bf16", 0.1), ("int8", 0.1), ("int8 by fp32", 0.1), ("int4", 0.5)):
        one = found["speed-up over fp32"][name]
        assert 0 < one["least"] <= one["median"] <= one["most"]
        assert one["logits off by"] < limit
