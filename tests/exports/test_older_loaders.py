"""What is written for older loaders, and that the newer ones read it as before."""

import json

import pytest
from peft import AdaLoraConfig, LoraConfig, OFTConfig, PeftConfig
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GPTNeoXConfig,
    LlamaConfig,
    ModernBertConfig,
    PhiConfig,
)

from hwlit.exports.older_loaders import save_adapter_config, save_config, save_tokenizer

PLAIN = {"rope_type": "default", "rope_theta": 7.0}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "older"),
    [
        (
            LlamaConfig(rope_parameters=LLAMA3),
            {"rope_theta": 5e5, "rope_scaling": {k: LLAMA3[k] for k in LLAMA3 if "theta" not in k}},
        ),
        (
            PhiConfig(rope_parameters=PLAIN | {"partial_rotary_factor": 0.25}),
            {"rope_theta": 7.0, "partial_rotary_factor": 0.25},
        ),
        (
            GPTNeoXConfig(rope_parameters=PLAIN | {"partial_rotary_factor": 0.5}),
            {"rotary_emb_base": 7.0, "rotary_pct": 0.5},
        ),
        (ModernBertConfig(), {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0}),
    ],
    ids=["llama3", "phi", "neox", "modernbert"],
)  # fmt: skip
def test_positions_have_their_older_names_and_are_read_as_before(config, older, tmp_path):
    save_config(config, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert {name: written.get(name) for name in older} == older
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == config.rope_parameters


def test_a_tokenizer_is_read_as_before_and_has_names_that_older_ones_know(tiny_tokenizer, tmp_path):
    tiny_tokenizer.save_pretrained(tmp_path)
    own = AutoTokenizer.from_pretrained(tmp_path, extra_special_tokens=["<a>", "<b>"])
    save_tokenizer(own, tmp_path)
    written = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "extra_special_tokens" not in written
    assert not {"is_local", "local_files_only"} & set(written)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.all_special_tokens == own.all_special_tokens
    assert type(again) is type(own)
    text = "storm <a> near town"
    assert again(text)["input_ids"] == own(text)["input_ids"]
    assert set(again(text)) == set(own(text))


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, target_modules=["a"], use_rslora=True),
        OFTConfig(r=0, oft_block_size=4, target_modules=["a"]),
        AdaLoraConfig(total_step=9, target_modules=["a"]),
    ],
    ids=lambda config: type(config).__name__,
)
def test_an_adapter_is_read_as_before_without_what_is_off(config, tmp_path):
    save_adapter_config(config, tmp_path)
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert not {"corda_config", "use_qalora", "qalora_group_size"} & set(written)
    read = vars(PeftConfig.from_pretrained(str(tmp_path)))
    assert {**read, "runtime_config": None} == {**vars(config), "runtime_config": None}
    if isinstance(config, OFTConfig):
        assert written["r"] == 0  # which was no default before
