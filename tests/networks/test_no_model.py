"""What is given in place of a model is told from a model."""

import importlib.util
import json

import pytest

from hwlit.errors import UsageError
from hwlit.networks import no_model, text
from hwlit.networks.text import find_pretrained, load_tokenizer


def test_an_adapter_names_its_base_and_the_way_on(tmp_path):
    adapter = tmp_path / "run" / "adapter"
    adapter.mkdir(parents=True)
    config = {"base_model_name_or_path": "someone/bert", "peft_type": "LORA"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"an adapter of PEFT of someone/bert.*merge_and_unload"):
        find_pretrained(str(adapter))
    (tmp_path / "run" / "record.json").write_text("{}")
    merge = rf"hwlit export {tmp_path}/run --merged DIR"
    with pytest.raises(UsageError, match=rf"someone/bert, and no whole model.*{merge}"):
        find_pretrained(str(adapter))
    with pytest.raises(UsageError, match=rf"is the directory of a run; give .*{merge}"):
        find_pretrained(str(tmp_path / "run"))
    (adapter / "adapter_config.json").unlink()
    (adapter / "quantized.safetensors").touch()
    with pytest.raises(UsageError, match=rf"that hwlit quantised; give .*{merge}"):
        find_pretrained(str(adapter))


@pytest.mark.parametrize("base", [None, 7, "", ["a"]])
def test_an_adapter_of_no_one_is_one_all_the_same(base, tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    with pytest.raises(UsageError, match="an adapter of PEFT, and no whole model"):
        find_pretrained(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "told"), [(b"\n\x05\n\x03the", r"hwlit\[sentencepiece\]"), (b"YQ== 0\n", "model")]
)
def test_a_tokenizer_of_sentencepiece_alone_says_what_to_install(
    content, told, tiny_models, tmp_path, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        no_model.importlib.util, "find_spec",
        lambda name, *more: None if name == "sentencepiece" else find(name, *more),
    )  # fmt: skip

    def without(*given, **more):
        raise ImportError("`tiktoken` is required to read a `tiktoken` file")

    # What transformers does where the packages are not installed, as they may be here.
    monkeypatch.setattr(text.AutoTokenizer, "from_pretrained", without)
    config = {"model_type": "deberta-v2", "vocab_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "spm.model").write_bytes(content)
    with pytest.raises(UsageError, match=told) as raised:
        load_tokenizer(str(tmp_path))
    assert ("hwlit[sentencepiece]" in str(raised.value)) == content.startswith(b"\n")
