"""Which layers are changed where nobody names them: by PEFT's table, by shape, all linear ones."""

import json
import re

import pytest
import torch
from peft import IA3Config, LNTuningConfig, LoHaConfig, OFTConfig, VeraConfig
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    CTRLConfig,
    DeepseekV3Config,
    FalconConfig,
    FlaubertConfig,
    FNetConfig,
    FunnelConfig,
    GPT2Config,
    IBertConfig,
    LlamaConfig,
    LukeConfig,
    MixtralConfig,
    ModernBertConfig,
    MPNetConfig,
    OpenAIGPTConfig,
    Phi3Config,
    Qwen2MoeConfig,
    SqueezeBertConfig,
    T5Config,
    XLNetConfig,
)

from hwlit.adapters.base import NoSiteError
from hwlit.adapters.bitfit import BitFit
from hwlit.adapters.bitsandbytes_linear import NF4
from hwlit.adapters.chain import Chain
from hwlit.adapters.frozen import Frozen, layer_names
from hwlit.adapters.lora import Lora
from hwlit.adapters.peft import Peft
from hwlit.adapters.qat import Qat
from hwlit.adapters.quantized import Quantized
from hwlit.errors import UsageError
from hwlit.networks.text import find_heads
from hwlit.parsing import Parser

B = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64,
}  # fmt: skip
CPU = torch.device("cpu")
SPECIAL = {"bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
MODERNBERT = ModernBertConfig(**{**B, "num_hidden_layers": 4}, pad_token_id=0, **SPECIAL)
ALBERT = AlbertConfig(**B, embedding_size=32)
SQUEEZEBERT = SqueezeBertConfig(**B, embedding_size=32)
XLNET = XLNetConfig(vocab_size=40, d_model=32, n_layer=2, n_head=4, d_inner=64, pad_token_id=0)
FNET = FNetConfig(
    vocab_size=40, hidden_size=32, num_hidden_layers=2, intermediate_size=64, pad_token_id=0
)
FUNNEL = FunnelConfig(
    vocab_size=40, block_sizes=[2, 1], d_model=32, n_head=4, d_head=8, d_inner=64, pad_token_id=0
)
FLAUBERT = FlaubertConfig(
    vocab_size=40, emb_dim=32, n_layers=2, n_heads=4, pad_index=0, pad_token_id=0
)
PHI3 = Phi3Config(**B, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2)
MIXTRAL = MixtralConfig(**B, num_key_value_heads=2, num_local_experts=2, pad_token_id=0)
QWEN2MOE = Qwen2MoeConfig(
    **B, num_key_value_heads=2, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16,
    shared_expert_intermediate_size=64, pad_token_id=0,
)  # fmt: skip
T5 = T5Config(
    vocab_size=40, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0,
    num_decoder_layers=3, decoder_start_token_id=1,
)  # fmt: skip
FALCON = FalconConfig(
    vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, pad_token_id=0
)
GPT2 = GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4, pad_token_id=0)
CTRL = CTRLConfig(vocab_size=40, n_embd=32, n_layer=2, n_head=4, dff=64)
LUKE = LukeConfig(**B, entity_vocab_size=8)
OPENAI = OpenAIGPTConfig(vocab_size=40, n_embd=32, n_layer=2, n_head=4)
DEEPSEEK = DeepseekV3Config(
    **B, num_key_value_heads=4, q_lora_rank=16, kv_lora_rank=8, qk_rope_head_dim=8,
    qk_nope_head_dim=8, v_head_dim=8, n_routed_experts=2, moe_intermediate_size=16, n_group=1,
    topk_group=1, num_experts_per_tok=1, first_k_dense_replace=1,
)  # fmt: skip


def built(config, device="cpu"):
    """A classifier of random weights."""
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config)


def settled(adapter, network):
    return adapter.settle(find_heads(network), CPU)


def ends(names):
    """The last parts of the names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


# What PEFT's table lacks; the rule reads shapes, so any name of a model will do.
@pytest.mark.parametrize(
    ("config", "found"),
    [
        (MODERNBERT, ["Wqkv"]),
        (ALBERT, ["query", "value"]),
        (MPNetConfig(**B), ["q", "v"]),
        (PHI3, ["qkv_proj"]),
        (SQUEEZEBERT, ["query", "value"]),
        (FUNNEL, ["q_head", "v_head"]),
        (FLAUBERT, ["q_lin", "v_lin"]),
        (QWEN2MOE, ["q_proj", "v_proj"]),
        (CTRL, ["Wq", "Wv"]),
        (OPENAI, ["c_attn"]),
        (LUKE, ["query", "value", "w2e_query", "e2w_query", "e2e_query"]),
        (DEEPSEEK, ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"]),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)  # fmt: skip
def test_attention_projections_are_found_by_shape(config, found):
    network = built(config, "meta")
    adapter = settled(Lora(rank=1), network)
    assert ends(adapter.sites(network)) == found
    assert adapter.facts(network) == {"targets_rule": "by shape: attention projections"}
    (told,) = adapter.remarks(network)
    assert "by shape: attention projections" in told
    assert f"'*.{found[0]}'" in told


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (FNET, ["projection", "dense"]),
        (XLNET, ["layer_1", "layer_2"]),
    ],
    ids=["fnet", "xlnet"],
)
def test_all_linear_layers_where_no_layer_projects_for_attention(config, found):
    network = built(config, "meta")
    adapter = settled(Lora(), network)
    assert ends(adapter.sites(network)) == found
    facts = adapter.facts(network)
    assert facts["targets_rule"] == "all linear layers"
    if config is XLNET:  # whose projections are parameters
        assert "transformer.layer.*.rel_attn.q" in facts["targets_left_out"]


@pytest.mark.parametrize(
    ("config", "endings"),
    [
        (BertConfig(**B), ("query", "value")),
        (LlamaConfig(**B), ("q_proj", "v_proj")),
        (GPT2, ("c_attn",)),
        (FALCON, ("query_key_value",)),
        (MIXTRAL, ("q_proj", "v_proj")),
        (T5, ("q", "v")),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_what_pefts_table_knows_stays_as_it_was(config, endings):
    network = built(config, "meta")
    base, ends = network.base_model_prefix + ".", tuple("." + each for each in endings)
    inside = (name for name, _ in network.named_modules() if name.startswith(base))
    names = [name for name in inside if name.endswith(ends)]
    adapter = settled(Lora(), network)
    assert list(adapter.sites(network)) == names
    assert adapter.facts(network) == {"targets_rule": f"PEFT's table for {config.model_type}"}
    assert adapter.remarks(network) == ()


@pytest.mark.parametrize(
    "config",
    [MODERNBERT, ALBERT, SQUEEZEBERT, FNET, XLNET, FUNNEL, PHI3],
    ids=lambda config: config.model_type,
)
def test_lora_learns_by_default_where_peft_knows_nothing(config):
    network = built(config).train()
    settled(Lora(rank=4), network).attach(network)
    rows = torch.randint(3, 40, (4, 8), generator=torch.Generator().manual_seed(0))
    loss = network(input_ids=rows, labels=torch.tensor([0, 1, 0, 1])).loss
    loss.backward()
    learning = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert learning
    assert all(p.grad is not None for p in learning.values())
    # B begins at 0, so that only it has a gradient at first.
    assert all(p.grad.abs().max() > 0 for n, p in learning.items() if ".lora_B." in n)


def parsed(targets):
    parser = Parser(exit_on_error=False)
    parser.add_argument("--adapter", type=Lora)
    given = parser.parse_args(
        ["--adapter", "hwlit.adapters.lora.Lora", f"--adapter.targets={targets}"]
    )
    return parser.instantiate_classes(given).adapter  # fmt: skip


@pytest.mark.parametrize("targets", ["all-linear", "[all-linear]", '["All-Linear"]'])
def test_all_linear_is_every_linear_layer_but_the_heads(targets):
    network = built(BertConfig(**B), "meta")
    adapter = parsed(targets).settle(("classifier", "bert.pooler"), CPU)
    linear = [n for n, m in network.named_modules() if isinstance(m, torch.nn.Linear)]
    assert [*adapter.sites(network), "bert.pooler.dense", "classifier"] == linear
    assert adapter.facts(network) == {"targets_rule": "all linear layers"}


def test_one_glob_may_stand_alone_and_beside_all_linear():
    network = built(GPT2, "meta")
    assert ends(parsed("*.c_fc").sites(network)) == ["c_fc"]
    both = Lora(targets=("all-linear", "*.wte"))
    assert ends(both.sites(network)) == ["wte", "c_attn", "c_proj", "c_fc"]


def test_a_list_without_quotes_is_refused():
    with pytest.raises(UsageError, match="quote each one"):
        parsed("[*.q,*.v]").sites(built(T5, "meta"))


def test_experts_and_gates_that_all_linear_leaves_out_are_named():
    network = built(QWEN2MOE, "meta")
    adapter = settled(Lora(targets="all-linear"), network)
    left = adapter.facts(network)["targets_left_out"]
    assert "model.layers.*.mlp.experts.gate_up_proj" in left
    assert "model.layers.*.mlp.shared_expert_gate (narrower than 8)" in left
    assert "mlp.experts.down_proj" in adapter.remarks(network)[0]


def test_sites_are_the_same_once_wrapped():
    network = built(QWEN2MOE)
    adapter = settled(Lora(targets="all-linear"), network)
    before = adapter.find_targets(network)
    adapter.attach(network)
    assert adapter.find_targets(network) == before


@pytest.mark.parametrize(
    ("config", "scaled", "inputs"),
    [
        (MODERNBERT, ["Wqkv", "Wo"], "mlp.Wo"),
        (PHI3, ["qkv_proj", "down_proj"], "mlp.down_proj"),
        (ALBERT, ["key", "value", "ffn_output"], "ffn_output"),
        (QWEN2MOE, ["k_proj", "v_proj", "down_proj"], "shared_expert.down_proj"),
        (FNET, ["dense"], "output.dense"),
        (XLNET, ["layer_2"], "ff.layer_2"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_ia3_scales_keys_values_and_the_inputs_of_second_feed_forward_layers(
    config, scaled, inputs
):
    network = built(config, "meta")
    adapter = settled(Peft(config=IA3Config()), network)
    assert ends(adapter.sites(network)) == scaled
    found = adapter.injected_config(network).feedforward_modules
    assert found
    assert all(name.endswith("." + inputs) for name in found)
    assert "second feed-forward layers" in adapter.facts(network)["targets_rule"]


@pytest.mark.parametrize(
    "config",
    [VeraConfig(r=8), OFTConfig(oft_block_size=8), LoHaConfig()],
    ids=lambda config: type(config).__name__,
)
def test_other_methods_of_peft_take_the_same_layers(config):
    network = built(MODERNBERT)
    adapter = settled(Peft(config=config), network)
    adapter.attach(network)
    assert ends(adapter.sites(network)) == ["Wqkv"]


def test_a_layer_of_pefts_table_that_is_not_there_is_named():
    network = built(MIXTRAL, "meta")
    facts = settled(Peft(config=IA3Config()), network).facts(network)
    assert facts["targets_left_out"] == ["*.w2"]  # experts are no layers any more


def test_norms_of_heads_are_left_to_the_head():
    network = built(MODERNBERT)
    adapter = settled(Peft(config=LNTuningConfig()), network)
    adapter.attach(network)
    assert "model.final_norm" in adapter.sites(network)
    assert not any(name.startswith("head") for name in adapter.sites(network))


def test_where_nothing_is_found_flag_and_layers_are_named():
    network = built(IBertConfig(**B))  # its layers are classes of its own
    with pytest.raises(NoSiteError, match="takes no layer of it, give another adapter") as told:
        settled(Lora(), network).sites(network)
    assert "*.dense" not in str(told.value)  # that of the head
    with pytest.raises(NoSiteError, match=r"Sequential; give --model\.adapter\.targets"):
        Lora().sites(torch.nn.Sequential(torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("config", [MODERNBERT, T5], ids=["modernbert", "t5"])
def test_bitfit_is_refused_where_only_the_head_has_biases(config):
    network = built(config, "meta")
    with pytest.raises(NoSiteError, match="no biases below its head"):
        settled(BitFit(), network).attach(network)


def test_layers_of_lists_side_by_side_and_of_lists_in_a_list():
    assert layer_names(built(FLAUBERT, "meta"))[0] == tuple(
        f"transformer.{part}.0" for part in ("attentions", "layer_norm1", "ffns", "layer_norm2")
    )
    blocks = "funnel.encoder.blocks"
    wanted = ((f"{blocks}.0.0",), (f"{blocks}.0.1",), (f"{blocks}.1.0",))
    assert layer_names(built(FUNNEL, "meta")) == wanted


def test_an_encoder_is_frozen_before_its_decoder():
    network = built(T5, "meta")
    assert [names[0].split(".")[1] for names in layer_names(network)] == ["encoder"] * 2 + [
        "decoder"
    ] * 3
    Frozen(layers=2).attach(network)
    assert not any(p.requires_grad for p in network.transformer.encoder.block.parameters())
    assert all(p.requires_grad for p in network.transformer.decoder.block.parameters())


def test_shared_layers_cannot_be_frozen_one_by_one():
    with pytest.raises(NoSiteError, match=r"shares its layers.*take lora"):
        layer_names(built(ALBERT, "meta"))


@pytest.mark.parametrize("adapter", [Quantized(format=NF4()), Qat()], ids=["nf4", "qat"])
@pytest.mark.parametrize("config", [GPT2, SQUEEZEBERT], ids=["gpt2", "squeezebert"])
def test_networks_without_linear_layers_are_not_rounded(config, adapter):
    network = built(config)
    heads = (*find_heads(network), *(["transformer.pooler"] if config is SQUEEZEBERT else []))
    with pytest.raises(NoSiteError, match=r"no torch\.nn\.Linear outside its heads.*take lora"):
        adapter.settle(heads, CPU).attach(network)


def test_falcons_own_linear_layers_learn_under_rounding_but_have_no_quantised_base():
    network = built(FALCON)
    rows = torch.randint(3, 40, (2, 6), generator=torch.Generator().manual_seed(0))
    with pytest.raises(UsageError, match=r"FalconLinear.*take lora"):
        settled(Quantized(format=NF4()), network).attach(network)
    network = built(FALCON)
    adapter = settled(Qat(), network)
    adapter.attach(network)
    before = network.eval()(input_ids=rows).logits
    adapter.merge(network)
    torch.testing.assert_close(network(input_ids=rows).logits, before, rtol=0, atol=0)


def test_experts_that_stay_in_full_precision_are_told():
    network = built(MIXTRAL)
    adapter = settled(Qat(), network)
    adapter.attach(network)
    facts = adapter.facts(network)["converts_to"]
    assert "model.layers.*.mlp.experts.gate_up_proj" in facts["whole"]
    sizes = {n: p.numel() for n, p in network.model.named_parameters()}
    own = sum(v for n, v in sizes.items() if re.search(r"experts|mlp\.gate", n))
    assert facts["whole_share"] == round(own / sum(sizes.values()), 4)
    assert "stays as it is" in adapter.remarks(network)[0]
    json.dumps(facts)


def test_what_a_chain_could_not_export_is_refused_before_it_learns():
    chain = Chain(adapters={"bitfit": BitFit(), "lora": Lora(rank=4)})
    network = built(SQUEEZEBERT)
    with pytest.raises(UsageError, match=r"query is a convolution in 4 groups.*one of its members"):
        settled(chain, network).attach(network)


def test_a_chain_tells_what_its_members_tell():
    network = built(MODERNBERT, "meta")
    chain = settled(Chain(adapters={"base": Quantized(), "lora": Lora()}), network)
    assert any("'*.Wqkv'" in told for told in chain.remarks(network))
