"""K and V of the cross-attention: what learns, what does not, and what other tools read."""

import diffusers
import numpy as np
import pytest
import torch
from torch.nn import functional

from hwlit.adapters.base import NoSiteError
from hwlit.adapters.cross_attention_kv import CrossAttentionKV
from hwlit.networks.diffusion import DiffusionNetwork, load_diffusion
from tests.drawing import drawn, learnable, loaded, moved
from tests.networks.test_diffusion import UNETS, learning

COUNTS = {"sd15": (19_169_280, 43_962_560), "sd21": (25_559_040, 50_352_320),
          "sdxl": (340_787_200, 545_670_400)}  # fmt: skip


@pytest.mark.parametrize("name", UNETS)
def test_counts_of_the_public_networks(name):
    with torch.device("meta"):
        network = DiffusionNetwork(diffusers.UNet2DConditionModel(**UNETS[name]))
    found = []
    for queries in (False, True):
        CrossAttentionKV(queries=queries).attach(network)
        found.append(learning(network))
    assert tuple(found) == COUNTS[name]


def predicted(network, text):
    """The loss of a prediction, and the gradients that it gives to what learns."""
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    out = network.unet(latents, torch.tensor([10, 900]), encoder_hidden_states=text).sample
    loss = out.square().mean()
    loss.backward()
    grads = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), grads


def test_the_first_position_gives_no_gradient(tiny_pipelines, monkeypatch):
    text = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, detach in (("hooked", True), ("plain", False)):
        network = load_diffusion(tiny_pipelines["sd"], torch.float32)
        CrossAttentionKV(detach_bos=detach).attach(network)
        found[name] = predicted(network, text)
    # The reference: the product for the first position alone, with weights that do not learn.
    network = load_diffusion(tiny_pipelines["sd"], torch.float32)
    CrossAttentionKV(detach_bos=False).attach(network)
    for name in CrossAttentionKV().sites(network):
        layer = network.get_submodule(name)

        def forward(given, layer=layer):
            first = functional.linear(given[:, :1], layer.weight.detach()).detach()
            return torch.cat([first, functional.linear(given[:, 1:], layer.weight)], dim=1)

        monkeypatch.setattr(layer, "forward", forward)
    wanted = predicted(network, text)
    assert found["hooked"][0] == found["plain"][0]
    torch.testing.assert_close(found["hooked"][1], wanted[1])
    assert set(wanted[1]) == {f"{name}.weight" for name in CrossAttentionKV().sites(network)}
    differ = [not torch.allclose(g, found["plain"][1][n]) for n, g in wanted[1].items()]
    assert all(differ)


def test_everything_else_stays_bit_identical(tiny_pipelines):
    network = load_diffusion(tiny_pipelines["sd"], torch.float32, train_text_encoder=True)
    before = {name: p.clone() for name, p in network.named_parameters()}
    adapter = CrossAttentionKV(learning_rate=1e-2)
    adapter.attach(network)
    sites = adapter.sites(network)
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=adapter.learning_rate)
    for _ in range(2):
        predicted(network, torch.randn(2, 7, 32))
        optimizer.step()
        optimizer.zero_grad()
    for name, parameter in network.named_parameters():
        same = torch.equal(parameter, before[name])
        assert same == (name.removesuffix(".weight") not in sites), name


@pytest.mark.parametrize("queries", [False, True])
def test_diffusers_installs_what_the_file_holds(queries, tiny_pipelines, tmp_path):
    pipeline = loaded(tiny_pipelines["sd"])
    base = drawn(pipeline)
    network = learnable(pipeline, "unet")
    adapter = CrossAttentionKV(queries=queries)
    adapter.attach(network)
    moved(network, 0.2)
    live = drawn(pipeline)
    ((name, tensors),) = adapter.files(network).items()
    torch.save({n: t.detach() for n, t in tensors.items()}, tmp_path / name)
    stock = loaded(tiny_pipelines["sd"])
    stock.unet.load_attn_procs(tmp_path, weight_name=name, _pipeline=stock)
    assert np.abs(drawn(stock) - live).max() < 1e-4
    assert np.abs(base - live).max() > 1e-2


def test_a_network_without_cross_attention_is_refused():
    with pytest.raises(NoSiteError, match="Linear has no cross-attention"):
        CrossAttentionKV().attach(torch.nn.Linear(2, 2))
