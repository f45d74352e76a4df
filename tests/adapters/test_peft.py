import pytest
import torch
from peft import (
    AdaLoraConfig,
    BeftConfig,
    FourierFTConfig,
    IA3Config,
    LNTuningConfig,
    LoHaConfig,
    LoraConfig,
    OFTConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    ShiraConfig,
    TinyLoraConfig,
    VeraConfig,
    XLoraConfig,
)  # fmt: skip
from transformers import BertConfig, DistilBertConfig

from hwlit.adapters.base import NoSiteError
from hwlit.adapters.peft import Peft
from hwlit.errors import UsageError
from hwlit.tasks.text_classification import TextClassification
from tests.adapters.test_lora import LLAMA_1B, counts, on_meta


@pytest.mark.parametrize(
    ("config", "network", "alone"),
    [
        # keys and values; the inputs of two dense layers, which PEFT's "output.dense" matches
        (IA3Config(), BertConfig(), 12 * (768 + 768 + 768 + 3072)),
        (IA3Config(), DistilBertConfig(), 6 * (768 + 768 + 3072)),
        (IA3Config(), LLAMA_1B, 16 * (512 + 512 + 8192)),
        # b has the width of the output, d that of the rank, on query and value
        (VeraConfig(r=256), BertConfig(), 24 * (768 + 256)),
        # scale and shift: one norm after the embeddings, two per layer; Llama has no shift
        (LNTuningConfig(), BertConfig(), 25 * 2 * 768),
        (LNTuningConfig(), DistilBertConfig(), 13 * 2 * 768),
        (LNTuningConfig(), LLAMA_1B, 33 * 2048),
        # 24 blocks of 32 per layer, each a skew-symmetric matrix
        (OFTConfig(oft_block_size=32), BertConfig(), 24 * 24 * (32 * 31 // 2)),
        (LoHaConfig(r=8), BertConfig(), 2 * 294_912),
        (AdaLoraConfig(total_step=100), BertConfig(), 24 * 12 * (768 + 768 + 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_learns_is_counted_exactly(config, network, alone):
    assert counts(on_meta(network), Peft(config=config))[0] == alone


def test_sparse_entries_are_as_many_as_loras():
    network = torch.nn.Sequential(torch.nn.Linear(32, 24))
    Peft(config=ShiraConfig(r=2), targets=("0",)).attach(network)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 2 * (32 + 24)


def test_feedforward_modules_are_globs_inside_the_targets():
    network = on_meta(DistilBertConfig())
    config = IA3Config(feedforward_modules=["*.lin1"])
    found = Peft(config=config, targets=("*.k_lin", "*.ffn.lin1")).injected_config(network)
    assert found.feedforward_modules == {
        f"distilbert.transformer.layer.{i}.ffn.lin1" for i in range(6)
    }
    with pytest.raises(NoSiteError, match="lin2"):
        Peft(config=IA3Config(feedforward_modules=["*.lin2"]), targets=("*.k_lin",)).attach(network)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (PromptTuningConfig(num_virtual_tokens=4), "PromptTuningConfig learns a prompt"),
        (PrefixTuningConfig(num_virtual_tokens=4), "PrefixTuningConfig learns a prompt"),
        (LoHaConfig(target_modules=["query"]), r"target_modules is not .*adapter\.targets"),
        (LoHaConfig(exclude_modules=["query"]), "exclude_modules"),
        (LoHaConfig(modules_to_save=["classifier"]), "modules_to_save.*heads always learn"),
        (LoHaConfig(layers_to_transform=0), "layers_to_transform"),
        (LoHaConfig(task_type="CAUSAL_LM"), "task_type"),
        (LoHaConfig(inference_mode=True), "inference_mode.*learn nothing"),
        (XLoraConfig(hidden_size=32, adapters={"a": "b"}), "XLoraConfig names no layers"),
        (OFTConfig(bias="all"), "bias must be 'none'.*chain BitFit"),
        (LoHaConfig(alpha=0), "alpha must be above 0"),
        (LoraConfig(lora_alpha=-1), "lora_alpha must be above 0"),
        (LoraConfig(lora_dropout=1.0), "lora_dropout must be at least 0 and below 1, got 1.0"),
        (LoHaConfig(module_dropout=-0.1), "module_dropout"),
        (AdaLoraConfig(total_step=9, init_r=8, target_r=8), "target_r must be above 0 and below"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_settings_that_would_be_ignored_or_learn_nothing_are_refused(config, told):
    with pytest.raises(UsageError, match=told):
        Peft(config=config)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (OFTConfig(oft_block_size=7), "OFTConfig cannot be used on this network: Invalid .*7"),
        (ShiraConfig(r=400), "ShiraConfig cannot be used on this network: .*rank 400"),
        (VeraConfig(r=0), "VeraConfig cannot be used on this network"),
        (LoraConfig(init_lora_weights="pissa"), "changes .*query.weight itself.*Lora with pissa"),
        (TinyLoraConfig(), "TinyLoraConfig learns .*does not save"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_peft_refuses_or_cannot_save_is_refused_before_training(config, told, tiny_models):
    adapter = Peft(config=config)
    task = TextClassification(adapter=adapter, pretrained=tiny_models["bert"])
    with pytest.raises(UsageError, match=told):
        task.configure_model()


def test_a_layer_that_peft_cannot_wrap_is_refused(tiny_models):
    adapter = Peft(config=OFTConfig(), targets=("*.LayerNorm",))
    with pytest.raises(UsageError, match="OFTConfig cannot be used on this network"):
        TextClassification(adapter=adapter, pretrained=tiny_models["bert"]).configure_model()


def test_a_target_inside_the_head_is_refused(tiny_models):
    adapter = Peft(config=LoHaConfig(), targets=("*.dense",))
    task = TextClassification(adapter=adapter, pretrained=tiny_models["roberta"])
    with pytest.raises(UsageError, match=r"a target matches classifier\.dense.*narrow"):
        task.configure_model()


def test_a_start_of_ones_own_is_not_called_lossless():
    assert Peft(config=VeraConfig()).lossless
    assert not Peft(config=FourierFTConfig()).lossless  # PEFT's default there is a random start
    assert not Peft(config=LoHaConfig(init_weights=False)).lossless


def test_a_method_without_a_shipped_config_works_by_class_path():
    network = on_meta(BertConfig())
    assert counts(network, Peft(config=BeftConfig()))[0] == 12 * 768


def test_a_layer_whose_name_ends_like_a_target_is_not_taken_in_silence():
    linear = torch.nn.Linear
    network = torch.nn.ModuleDict(
        {"up": linear(4, 4), "more": torch.nn.ModuleDict({"up": linear(4, 4)})}
    )
    with pytest.raises(UsageError, match=r"does not wrap the targets alone: more\.up"):
        Peft(config=LoHaConfig(), targets=("up",)).attach(network)
