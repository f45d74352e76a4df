"""The benchmark of SVDiff's forms: what it measures, and that both sides do the same work."""

import json

import torch

from hwlit.adapters.spectral import SpectralMatrix
from tests.pipelines import tiny_unet
from tools import bench_svdiff


def test_it_prints_settings_forms_and_ratios(monkeypatch, capsys):
    monkeypatch.setattr(
        bench_svdiff.diffusers.UNet2DConditionModel,
        "from_config",
        lambda config: tiny_unet("sd"),
    )
    bench_svdiff.main(["--rounds", "2", "--calls", "1"])
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["rounds"] == 2
    assert sum(found["forms"].values()) > 50
    for name in ("step/chosen_over_recomposed", "latency/folded_over_base"):
        assert 0 < found[name]["least"] <= found[name]["median"] <= found[name]["most"]


def test_recomposing_changes_the_form_and_nothing_else():
    layer = bench_svdiff.SVDiff
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    layer().attach(network)
    x = torch.randn(2, 4)
    chosen = network(x)
    bench_svdiff.recompose(network, always=True)
    (wrapped,) = (m for m in network.modules() if isinstance(m, SpectralMatrix))
    assert wrapped.forward == wrapped.recomposed
    torch.testing.assert_close(network(x), chosen)
    bench_svdiff.recompose(network, always=False)
    network(torch.randn(2, 4))
    assert wrapped.learned_in == "factored"
