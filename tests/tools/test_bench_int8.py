"""The benchmark of the integer layers: it compares networks that compute nearly the same."""

import json

from transformers import DistilBertConfig

from tools import bench_int8

TINY = DistilBertConfig(vocab_size=20000, dim=32, n_layers=2, n_heads=2, hidden_dim=64)


def test_it_prints_settings_processor_and_ratios(monkeypatch, capsys):
    monkeypatch.setitem(bench_int8.SHAPES, "distilbert", TINY)
    bench_int8.main(["--rounds", "2", "--calls", "1", "--tokens", "8"])
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["rounds"] == 2
    assert isinstance(found["processor"]["multiplies integers"], bool)
    for name, limit in (("bf16", 0.1), ("int8", 0.1), ("int4", 0.5)):
        one = found["speed-up over fp32"][name]
        assert 0 < one["least"] <= one["median"] <= one["most"]
        assert one["logits off by"] < limit
