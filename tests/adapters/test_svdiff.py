"""SVDiff: known counts and costs, forms that agree, the SVD's cache, files that come back."""

from copy import deepcopy

import diffusers
import pytest
import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from hwlit.adapters.decomposition import decompose_all
from hwlit.adapters.spectral import factored_cost, recomposed_cost
from hwlit.adapters.svdiff import SVDiff, load_shifts, set_strength
from hwlit.errors import IntegrityError, UsageError
from hwlit.networks.diffusion import DiffusionNetwork
from tests.drawing import drawn, learnable, loaded, moved
from tests.networks.test_diffusion import UNETS, learning
from tests.pipelines import tiny_unet

# https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/blob/main/text_encoder/config.json
CLIP_L = CLIPTextConfig(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    projection_dim=768,
)  # fmt: skip
PER_CHANNEL = SVDiff(norms=True, norms_per_channel=True)
LAYERS = {
    "wide": (nn.Linear(6, 4), (3, 5, 6)),
    "tall": (nn.Linear(4, 6, bias=False), (7, 4)),
    "conv": (nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, 9, 7)),
    "dilated": (nn.Conv2d(8, 3, (3, 1), padding=(2, 0), dilation=2), (2, 8, 5, 4)),
    "layer_norm": (nn.LayerNorm(6), (3, 6)),
    "group_norm": (nn.GroupNorm(2, 6), (3, 6, 4)),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HWLIT_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    return tmp_path / "cache" / "svd"


def attached(layer, adapter=None):
    """A network of one layer, wrapped, and the wrapper."""
    network = nn.Sequential(deepcopy(layer))
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    bare = deepcopy(network)
    (adapter or SVDiff(norms=True, norm_rate=1.0)).attach(network)
    return network, network[0], bare


@pytest.mark.parametrize(("name", "matrices", "norms"), [
    ("sd15", 222_696, 100_160), ("sd21", 225_768, 100_160), ("sdxl", 909_800, 294_080),
])  # fmt: skip
def test_counts_of_the_public_networks(name, matrices, norms):
    with torch.device("meta"):
        found = [DiffusionNetwork(diffusers.UNet2DConditionModel(**UNETS[name])) for _ in range(2)]
        SVDiff().attach(found[0])
        PER_CHANNEL.attach(found[1])
    assert tuple(map(learning, found)) == (matrices, matrices + norms)


def test_counts_with_the_text_encoder_are_the_studys_four_in_ten_thousand():
    with torch.device("meta"):
        one, other = (
            DiffusionNetwork(
                diffusers.UNet2DConditionModel(**UNETS["sd15"]),
                {"text_encoder": CLIPTextModel(CLIP_L)},
            )
            for _ in range(2)
        )
        PER_CHANNEL.attach(one)
        SVDiff(norms=True).attach(other)
    assert learning(one) == 222_696 + 100_160 + 55_296 + 19_200 == 397_352
    assert learning(other) == 222_696 + 109 + 55_296 + 25
    frozen = sum(p.numel() for p in one.parameters() if not p.requires_grad)
    assert frozen == 859_520_964 + 123_060_480
    assert learning(one) / frozen == pytest.approx(0.40e-3, abs=0.005e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_no_shift_is_the_base(name):
    network, _, bare = attached(LAYERS[name][0])
    x = torch.randn(LAYERS[name][1])
    torch.testing.assert_close(network(x), bare(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["wide", "tall", "conv", "dilated"])
def test_all_forms_agree_with_the_weight_that_they_stand_for(name):
    network, layer, bare = attached(LAYERS[name][0])
    moved(network, 4.0)  # some values fall below 0, where the relu holds
    x = torch.randn(LAYERS[name][1])
    found = {}
    weight = bare[0].weight.detach().flatten(1)
    u, s, vt = torch.linalg.svd(weight, full_matrices=False)
    delta = layer.delta.detach().requires_grad_()
    dense = (u @ torch.diag(torch.relu(s + delta)) @ vt).view_as(bare[0].weight)
    plain = torch.func.functional_call(bare[0], {"weight": dense}, (x,))
    target = torch.randn_like(plain)
    wanted = plain, torch.autograd.grad((plain * target).sum(), delta)[0]
    assert bool((s + delta < 0).any())
    for form in (layer.factored, layer.recomposed, layer.residual):
        output = form(x)
        gradient = torch.autograd.grad((output * target).sum(), layer.delta)[0]
        found[form.__name__] = output, gradient
    for pair in found.values():
        torch.testing.assert_close(pair, wanted, atol=2e-4, rtol=2e-4)
    with torch.no_grad():
        assert layer.positions(x) == plain.numel() // layer.shape[0]


@pytest.mark.parametrize("name", LAYERS)
def test_folding_keeps_the_function_and_the_class(name):
    network, _, bare = attached(LAYERS[name][0])
    adapter = SVDiff(norms=True)
    moved(network, 0.5)
    x = torch.randn(LAYERS[name][1])
    before = network(x)
    assert not torch.allclose(before, bare(x), atol=1e-3)
    adapter.merge(network)
    torch.testing.assert_close(network(x), before, atol=1e-5, rtol=1e-5)
    assert type(network[0]) is type(bare[0])


def test_half_precision_is_exact_at_no_shift_in_the_residual_form():
    linear = nn.Linear(6, 4).bfloat16()
    network, layer, bare = attached(linear, SVDiff(residual=True))
    x = torch.randn(5, 6, dtype=torch.bfloat16)
    assert torch.equal(network(x), bare(x))
    assert layer.delta.dtype == layer.s.dtype == torch.float32
    assert layer.learned_in == "residual"


def test_a_norm_has_one_shift_or_one_for_each_channel():
    norm = nn.LayerNorm(6)
    network, layer, bare = attached(norm)
    with torch.no_grad():
        layer.delta.fill_(0.5)
    length = bare[0].weight.norm()
    SVDiff().merge(network)
    expected = bare[0].weight * (length + 0.5) / length
    torch.testing.assert_close(network[0].weight, expected)
    network, layer, bare = attached(norm, SVDiff(norms=True, norms_per_channel=True, norm_rate=0.1))
    with torch.no_grad():
        layer.delta.copy_(torch.tensor([1.0, 0, 0, 0, 0, -100.0]))
    SVDiff().merge(network)
    weight = bare[0].weight
    torch.testing.assert_close(network[0].weight[0], weight[0] + 0.1 * weight[0].sign())
    torch.testing.assert_close(network[0].weight[1:5], weight[1:5])
    assert network[0].weight[5] == 0


def test_costs_are_the_products_multiplied_out():
    # 4 x 6, of rank 4, at 10 positions: V^T x is 4 * 6 and U h 4 * 4 products for each.
    assert factored_cost(4, 6, 10, learning=False) == 10 * (4 * 6 + 4 * 4)
    assert factored_cost(4, 6, 10, learning=True) == 2 * 10 * (4 * 6 + 4 * 4)
    # U V^T once, then the weight; learning adds G V once and two more passes over the weight.
    assert recomposed_cost(4, 6, 10, learning=False) == 4 * 6 * 4 + 10 * 4 * 6
    assert recomposed_cost(4, 6, 10, learning=True) == 2 * 4 * 6 * 4 + 3 * 10 * 4 * 6
    # A square layer pays for the rebuilding from twice its width in positions on.
    for positions, factored in ((639, True), (640, True), (641, False)):
        costs = [cost(320, 320, positions, True) for cost in (factored_cost, recomposed_cost)]
        assert (costs[0] <= costs[1]) == factored


def test_each_layer_takes_its_cheapest_form_and_the_record_counts_them():
    network = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(0, (-1, 1)), nn.Conv1d(1, 1, 1))
    adapter = SVDiff()
    adapter.attach(network)
    assert adapter.facts(network) == {"forms": {}, "svd": {"computed": 1}}
    network(torch.randn(8, 4))
    assert adapter.facts(network)["forms"] == {"factored": 1}
    network(torch.randn(9, 4))
    assert adapter.facts(network)["forms"] == {"recomposed": 1}
    with torch.no_grad():
        network(torch.randn(2, 4))
    assert adapter.facts(network)["forms"] == {"recomposed": 1}


def test_the_svd_is_read_again_and_a_damaged_one_computed_again(cache, capsys):
    weights = {"a": torch.randn(4, 6), "b": torch.randn(3, 2, 3, 3)}
    first = decompose_all(weights)
    assert [svd.source for svd in first.values()] == ["computed", "computed"]
    assert len(list(cache.glob("*.safetensors"))) == 2
    again = decompose_all({"other name": weights["a"], "c": weights["a"] + 1})
    assert [svd.source for svd in again.values()] == ["read", "computed"]
    assert torch.equal(again["other name"].u, first["a"].u)
    for file in cache.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    third = decompose_all({"b": weights["b"]})
    assert third["b"].source == "damaged"
    assert "damaged; it is computed again" in capsys.readouterr().err
    assert torch.equal(third["b"].vt, first["b"].vt)
    assert decompose_all({"b": weights["b"]})["b"].source == "read"


def test_shifts_come_back_from_their_files(tiny_pipelines):
    network = DiffusionNetwork(tiny_unet("sd"), {"text_encoder": CLIPTextModel(small_clip())})
    other = deepcopy(network)
    adapter = SVDiff(norms=True)
    adapter.attach(network)
    adapter.attach(other)
    moved(network)
    files = adapter.files(network)
    assert sorted(files) == ["spectral_shifts.safetensors", "spectral_shifts_te.safetensors"]
    assert "conv_in.delta" in files["spectral_shifts.safetensors"]
    layer = "text_model.encoder.layers.0.self_attn.q_proj.delta"
    assert layer in files["spectral_shifts_te.safetensors"]
    load_shifts(other, files)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    del files["spectral_shifts.safetensors"]["conv_in.delta"]
    with pytest.raises(IntegrityError, match=r"1 shifts differ, such as conv_in\.delta"):
        load_shifts(other, files)


def small_clip():
    return CLIPTextConfig(
        vocab_size=50, hidden_size=16, intermediate_size=20, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=8, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip


def test_no_strength_is_the_base_to_the_last_bit_once_folded():
    network, _, bare = attached(nn.Linear(6, 4))
    moved(network)
    set_strength(network, 0.0)
    SVDiff().merge(network)
    assert torch.equal(network[0].weight, bare[0].weight)


def test_convolutions_with_groups_are_refused():
    with pytest.raises(UsageError, match="of one group"):
        SVDiff().attach(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)))


@pytest.mark.parametrize("wrong", [{"norm_rate": 0.0}, {"norms_per_channel": True}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SVDiff(**wrong)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_stock_pipelines_draw_with_wrapped_layers(tiny_pipelines, kind):
    pipeline = loaded(tiny_pipelines[kind])
    base = drawn(pipeline)
    SVDiff(norms=True).attach(learnable(pipeline, "unet", "text_encoder"))
    assert abs(drawn(pipeline) - base).max() < 1e-3
