"""What harmless configs may say, and where a stranger's files are looked at at all."""

import json

import pytest
import torch
from safetensors.torch import save_file

from hwlit.errors import IntegrityError, UsageError
from hwlit.networks import hub
from hwlit.networks.loading import check_size
from hwlit.networks.text import load_classifier, load_tokenizer
from hwlit.networks.vetting import held_sizes, vet, vet_lora, vet_values
from tools.faults.workload import write_model

HARMLESS = {
    "attn_implementation": "sdpa", "_attn_implementation": None, "experts_implementation": "eager",
    "torch_dtype": "bfloat16", "quantization_config": None, "use_timm_backbone": False,
    "tokenizer_class": "PreTrainedTokenizerFast", "num_hidden_layers": 80, "vocab_size": 256_000,
    "text_config": {"attn_implementation": {"": "eager", "vision_config": "sdpa"}},
    "max_position_embeddings": 10_485_760, "rope_theta": 5e8, "id2label": {"0": "a"},
    "adapters": {"adapters": {}}, "image_processor_type": "CLIPImageProcessor",
}  # fmt: skip


@pytest.fixture
def model(tmp_path):
    write_model(tmp_path / "model")
    return tmp_path / "model"


def change(folder, file="config.json", **values):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_loads_nothing_is_let_through():
    vet_values("config.json", HARMLESS)


@pytest.mark.parametrize("name", ["BertTokenizer", "LlamaTokenizerFast", "TokenizersBackend", None])
def test_classes_of_tokenizers_are_let_through(name):
    vet_values("tokenizer_config.json", {"tokenizer_class": name})


@pytest.mark.parametrize("name", ["AutoTokenizer", "AutoModel", "pipeline", "os.system", 3, ["a"]])
def test_other_classes_are_not(name):
    with pytest.raises(UsageError, match="which is no class of a tokenizer"):
        vet_values("tokenizer_config.json", {"tokenizer_class": name})


def test_files_that_no_library_reads_may_hold_anything(model):
    (model / "notes.json").write_text("{nope")
    (model / "data.json").write_text('{"quantization_config": 1}')
    vet(model)


def test_code_beside_a_known_network_is_told_and_not_run(model, tmp_path, capsys):
    (model / "modeling_mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    names = ("AutoConfig", "AutoModelForSequenceClassification", "AutoTokenizer")
    change(model, auto_map=dict.fromkeys(names, "modeling_mine.Mine"))
    load_tokenizer(str(model))
    assert type(load_classifier(str(model), ("a", "b")).network).__module__.startswith("transf")
    assert "names code of its own (auto_map), which is not run" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_change_of_a_folder_is_seen(model):
    vet(model)
    change(model, attn_implementation="some/kernel")
    with pytest.raises(UsageError, match="some/kernel"):
        vet(model)


def test_a_model_of_the_hub_is_looked_at_before_it_is_loaded(model, tmp_path, monkeypatch):
    """And what is loaded then is the commit that was looked at."""
    snapshot = tmp_path / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir()
    model.rename(snapshot)
    asked, given = [], {}

    def download(location, allow_patterns):
        asked.append((location, allow_patterns))
        return str(snapshot)

    def load(location, **settings):
        given.update(settings, location=location)
        raise ValueError("enough")

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr(hub, "is_offline_mode", lambda: True)
    monkeypatch.setattr("hwlit.networks.text.AutoTokenizer.from_pretrained", load)
    hub._fetched.cache_clear()
    with pytest.raises(UsageError, match="enough"):
        load_tokenizer("some/model")
    assert {"config.json", "tokenizer_config.json"} <= set(asked[0][1])
    assert given["location"] == "some/model"
    assert given["revision"] == "a" * 40
    change(snapshot, attn_implementation="some/kernel")
    with pytest.raises(UsageError, match="some/kernel"):
        load_classifier("some/model", ("a", "b"))
    hub._fetched.cache_clear()


def test_a_network_may_be_somewhat_larger_than_its_weights(tmp_path):
    """For heads and poolers are in no file."""
    save_file({"weight": torch.zeros(10, 10)}, tmp_path / "model.safetensors")
    assert sum(held_sizes(tmp_path)) == 100
    check_size(lambda: torch.nn.Linear(1000, 1000), tmp_path, "it")
    with pytest.raises(UsageError, match="asks for 100,010,000 values, but its weights hold 100"):
        check_size(lambda: torch.nn.Linear(10_000, 10_000), tmp_path, "it")


def test_shards_beside_their_list_are_let_through(model):
    names = {"a": "model-00001-of-00001.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    vet(model)
    names["b"] = "../other.safetensors"
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(IntegrityError, match=r"names '\.\./other\.safetensors'"):
        vet(model)


@pytest.mark.parametrize(
    ("header", "kind", "told"),
    [
        ({"unet.megatron_config": {"a": 1}}, UsageError, "imports or fetches code"),
        ({"text_encoder.corda_config": {"cache_file": "x.pt"}}, UsageError, "opens other files"),
        ({"unet.init_lora_weights": "eva"}, UsageError, "made anew"),
        ({"unet.r": 10**9}, IntegrityError, "no tensor beside it is so wide"),
        ({"unet.target_modules": r"(\w+)+X"}, UsageError, "takes for a pattern"),
        ({"unet.rank_pattern": {r"(\w+)+X": 4}}, UsageError, "takes for a pattern"),
        ([1], IntegrityError, "damaged"),
    ],
)
def test_the_header_of_a_lora_file_is_looked_at(header, kind, told, tmp_path):
    """PEFT makes a config of it, as of adapter_config.json."""
    path = tmp_path / "lora.safetensors"
    save_file({"a": torch.zeros(4, 8)}, path, {"lora_adapter_metadata": json.dumps(header)})
    with pytest.raises(kind, match=told):
        vet_lora(path)


def test_a_lora_file_of_ours_is_let_through(tmp_path):
    settings = {"unet.r": 4, "unet.lora_alpha": 8, "unet.target_modules": ["to_q"]}
    path = tmp_path / "lora.safetensors"
    save_file({"a": torch.zeros(4, 8)}, path, {"lora_adapter_metadata": json.dumps(settings)})
    vet_lora(path)
