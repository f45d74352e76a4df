"""What a pretrained head is to the classes of the data, told by their names."""

import json

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertForTokenClassification,
    ModernBertConfig,
    T5Config,
)

from hwlit.networks.label_names import match_names, plan_head, renew
from hwlit.networks.text import load_classifier, load_tokenizer
from tests.conftest import CONFIGS

SENTIMENT = {"id2label": {"0": "POSITIVE", "1": "NEGATIVE"}}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MORE = {
    "modernbert": ModernBertConfig(
        vocab_size=32, intermediate_size=48, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        cls_token_id=1, sep_token_id=2, **SIZES,
    ),
    "t5": T5Config(
        vocab_size=32, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=2, pad_token_id=0,
        eos_token_id=2, decoder_start_token_id=0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "labels", "order"),
    [
        (["b", "a"], ["a", "b"], (1, 0)),
        (["NEGATIVE", "POSITIVE"], ["positive", "negative"], (1, 0)),
        (["not_entailment", "Entailment "], ["entailment", "Not entailment"], (1, 0)),
        (["non-toxic", "toxic"], ["toxic", "Non Toxic"], (1, 0)),
        (["a", "A"], ["A", "a"], (1, 0)),  # exactly, or not at all
        (["a", "A"], ["A", "A "], None),
        (["-1", "1"], ["1", "-1"], (1, 0)),
        (["-1", "1"], ["1", "2"], None),
        (["positive", "negative"], ["pos", "neg"], None),
        (["a", "b", "c"], ["a", "b"], None),
    ],
)
def test_names_match_one_to_one(names, labels, order):
    assert match_names(names, labels) == order


@pytest.mark.parametrize(
    ("config", "labels", "order", "told"),
    [
        (SENTIMENT, ["NEGATIVE", "POSITIVE"], (1, 0), "by name: POSITIVE, NEGATIVE"),
        (SENTIMENT, ["positive", "negative"], (0, 1), "in the same order"),
        (SENTIMENT, ["0", "1"], None, "name the data's classes as the model does"),
        ({"id2label": {0: "x", 1: "y"}}, ["y", "x"], (1, 0), "by name"),
        ({"label2id": {"x": 1, "y": 0}}, ["x", "y"], (1, 0), "by name"),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"x": 1, "y": 0}},
         ["x", "y"], (1, 0), "by name"),
        ({}, ["neg", "pos"], (0, 1), "a guess"),
        ({}, ["1", "0"], (1, 0), "kept"),
        ({"id2label": {"0": "0", "1": "1"}}, ["neg", "pos"], (0, 1), "a guess"),
        ({"id2label": {"0": "1", "1": "2"}}, ["0", "1"], None, "1, 2"),
        ({"id2label": {"0": "LABEL_1", "1": "LABEL_0"}}, ["neg", "pos"], None, "LABEL_1"),
        ({**SENTIMENT, "label2id": {"POSITIVE": 1, "NEGATIVE": 0}}, ["NEGATIVE", "POSITIVE"],
         None, "contradicts itself"),
        ({"id2label": {"0": "x", "1": "x"}}, ["x", "y"], None, "contradicts itself"),
        ({"id2label": {"0": "x", "1": "y", "2": "z"}}, ["x", "y"], None, "contradicts itself"),
        ({"id2label": {"0": "x", "5": "y"}}, ["x", "y"], None, "contradicts itself"),
        ({**SENTIMENT, "problem_type": "multi_label_classification"}, ["NEGATIVE", "POSITIVE"],
         None, "multi_label"),
        ({"problem_type": "regression"}, ["0", "1"], None, "regression"),
        ({"architectures": ["BertForTokenClassification"]}, ["0", "1"], None, "TokenClassif"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_head_is_told(config, labels, order, told):
    plan = plan_head(config, labels)
    assert plan.order == order
    assert told in plan.told


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": [1, 2]},
        {"id2label": {"0": ["a"], "1": None}},
        {"id2label": {"x": "a", "y": "b"}},
        {"label2id": {"a": {}, "b": float("inf")}},
        {"architectures": {"a": 1}, "problem_type": ["regression"]},
    ],
)
def test_whatever_a_config_holds_is_told(config):
    assert plan_head(config, ["a", "b"]).told


@pytest.fixture(params=["bert", "distilbert", "roberta", "llama", *MORE])
def named(request, tmp_path, tiny_models):
    """A folder with a classifier that knows the classes yes and no, and its network."""
    config = (CONFIGS | MORE)[request.param].__class__.from_dict(
        (CONFIGS | MORE)[request.param].to_dict()
        | {"id2label": {0: "YES", 1: "NO"}, "label2id": {"YES": 0, "NO": 1}, "num_labels": 2}
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for name, bias in network.named_parameters():
            if name.endswith("bias"):  # of a trained model none is 0
                bias.normal_(std=0.1)
    network.save_pretrained(tmp_path)
    load_tokenizer(tiny_models["bert"]).save_pretrained(tmp_path)
    return tmp_path, network


def test_rows_follow_their_names(named):
    folder, network = named
    loaded = load_classifier(str(folder), ("no", "yes"))
    ids = torch.tensor([[1, 5, 6, 2]])
    with torch.no_grad():
        wanted = network(ids).logits
        found = loaded.network.eval()(ids).logits
    torch.testing.assert_close(found, wanted[:, [1, 0]])
    assert loaded.network.config.id2label == {0: "no", 1: "yes"}
    assert "by name" in loaded.head
    assert loaded.remarks == (f"head: {loaded.head}",)
    assert not loaded.fresh


def test_a_head_for_other_classes_is_made_anew_and_nothing_else(named):
    folder, network = named
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = load_classifier(str(folder), ("maybe", "never"))
        torch.manual_seed(3)
        second = load_classifier(str(folder), ("maybe", "never"))
    before, after = network.state_dict(), first.network.state_dict()
    assert {n for n in before if not torch.equal(before[n], after[n])} == set(first.fresh)
    assert all(torch.equal(after[n], second.network.state_dict()[n]) for n in after)
    assert first.fresh
    assert "YES, NO" in first.head


@pytest.mark.parametrize("kind", ["bert", "t5", "modernbert", "llama"])
def test_a_new_layer_has_the_values_that_its_class_gives(kind):
    """The same spread as where the loader itself makes one."""
    config = (CONFIGS | MORE)[kind]
    name = {"t5": "classification_head.out_proj", "llama": "score"}.get(kind, "classifier")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForSequenceClassification.from_config(config)
        spread = float(network.get_submodule(name).weight.detach().std())
        assert renew(network, name)[0] == f"{name}.weight"
    layer = network.get_submodule(name)
    assert float(layer.weight.detach().std()) == pytest.approx(spread, rel=0.5)
    assert layer.bias is None or not layer.bias.any()


def test_a_head_of_tokens_is_no_head_of_texts(tiny_models, tmp_path):
    """Its layer has the same name and, by chance, the same shape."""
    with torch.random.fork_rng():
        BertForTokenClassification(CONFIGS["bert"]).save_pretrained(tmp_path)
    load_tokenizer(tiny_models["bert"]).save_pretrained(tmp_path)
    loaded = load_classifier(str(tmp_path), ("0", "1"))
    assert {"classifier.weight", "classifier.bias"} <= set(loaded.fresh)
    assert "BertForTokenClassification" in loaded.head


def test_a_head_of_another_size_and_none_at_all_are_told(tiny_models, tmp_path):
    assert load_classifier(tiny_models["bert"], ("a", "b")).remarks == ()
    network = load_classifier(tiny_models["bert"], ("a", "b", "c")).network
    network.save_pretrained(tmp_path)
    load_tokenizer(tiny_models["bert"]).save_pretrained(tmp_path)
    assert "has 3 rows, the data 2 classes" in load_classifier(str(tmp_path), ("a", "b")).head
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"id2label": {"0": "stars"}, "label2id": {"stars": 0}, "problem_type": "regression"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "has 3 rows" in load_classifier(str(tmp_path), ("a", "b")).head
