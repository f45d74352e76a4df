"""The zoo: its families can be built and adapted, and a cell that fails is told."""

import json

import pytest
import torch
import transformers

from hwlit.adapters.lora import Lora
from hwlit.networks.text import find_heads
from tools import model_zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return model_zoo.Zoo(tmp_path_factory.mktemp("zoo"))


@pytest.mark.parametrize("family", model_zoo.FAMILIES)
def test_every_family_has_layers_for_lora(family):
    config, _, settings = model_zoo.FAMILIES[family]
    with torch.device("meta"):
        network = transformers.AutoModelForSequenceClassification.from_config(
            getattr(transformers, config)(vocab_size=model_zoo.VOCABULARY, **settings)
        )
    adapter = Lora().settle(find_heads(network), torch.device("cpu"))
    adapter.attach(network)
    layers = adapter.sites(network)
    assert layers
    heads = find_heads(network)
    assert not any(f"{name}.".startswith(tuple(h + "." for h in heads)) for name in layers)


def test_a_family_is_saved_with_its_tokenizer(zoo):
    folder = zoo.model("llama3")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    assert tokenizer("storm near Leeds").input_ids[0] == tokenizer.bos_token_id == 0
    assert len(tokenizer) == network.config.vocab_size == model_zoo.VOCABULARY
    assert tokenizer.pad_token is None


def write_cell(zoo, codes, shares=()):
    run = zoo.out / "runs" / "bert-lora"
    run.mkdir(exist_ok=True)
    zoo.cell("bert", "lora").write_text(json.dumps({"codes": codes}))
    (zoo.out / "logs" / "bert-lora.txt").write_text("hwlit: no usual targets are known\n")
    for size, value in shares:
        table = f"text,prediction,p(event),p(other)\na,event,{value},{1 - value}\n"
        (run / f"predicted_{size}.csv").write_text(table)


def test_a_cell_that_ends_with_an_error_says_which(zoo):
    write_cell(zoo, {"fit": 2})
    found = model_zoo.judge(zoo, ("bert", "lora"), {})
    assert found == {"fit": "{'fit': 2} hwlit: no usual targets are known"}


def test_a_cell_is_well_where_all_agree(zoo):
    write_cell(zoo, {"fit": 0, "predict_1": 0, "predict_16": 0}, [(1, 0.7), (16, 0.7)])
    given = [[0.7001, 0.2999]]
    stranger = {"stock": [given, given], "usual": [given]}
    found = model_zoo.judge(zoo, ("bert", "lora"), stranger)
    assert set(found) == set(model_zoo.CHECKS)
    assert all(told.startswith("ok") for told in found.values())


def test_a_cell_fails_where_batches_or_strangers_differ(zoo):
    write_cell(zoo, {"fit": 0, "predict_1": 0, "predict_16": 0}, [(1, 0.7), (16, 0.6)])
    stranger = {"stock": [[[0.7, 0.3]], [[0.6, 0.4]]], "usual": "OSError: no file"}
    found = model_zoo.judge(zoo, ("bert", "lora"), stranger)
    assert found["fit"] == "ok"
    assert found["predict"] == "differs: 1e-01"
    assert found["stock"] == "differs: 1e-01"
    assert found["usual"] == "OSError: no file"


def test_a_family_that_cannot_be_built_does_not_stop_the_others(zoo, monkeypatch):
    def work(family, method):
        (zoo.out / "logs" / f"{family}-{method}.txt").write_text("")
        zoo.cell(family, method).write_text('{"codes": {"fit": 0}}')

    broken = model_zoo.Family("BertConfig", model_zoo.wordpiece, {"hidden_size": 7})
    monkeypatch.setitem(model_zoo.FAMILIES, "broken", broken)
    monkeypatch.setattr(zoo, "work", work)
    model_zoo.run_cells(zoo, [("broken", "lora"), ("llama3", "full")])
    assert "the model is not built" in model_zoo.judge(zoo, ("broken", "lora"), {})["fit"]
    assert zoo.well("llama3", "full")
    assert not zoo.well("broken", "lora")
