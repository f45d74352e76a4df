"""The contract that every adapter keeps, over every config in configs/adapters and every shape."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from hwlit.adapters.base import Adapter, NoSiteError, NotMergeableError
from hwlit.adapters.quantized import dequantize
from hwlit.adapters.quantized_state import quantized_layers, restore
from hwlit.exports import stock_classifier
from hwlit.exports.quantized_folder import read_quantized
from hwlit.networks.empty import empty_classifier
from hwlit.networks.text import load_classifier
from hwlit.shipped import config_root
from hwlit.tasks.text_classification import TextClassification

CASES = sorted((config_root() / "adapters" / "text").glob("*.yaml"))
# The small networks have two layers, are 32 wide, and Llama's values 16.
SMALLER = {"frozen": {"layers": 1}, "rslora": {"rank": 8}, "shira": {"config.r": 2}}
KINDS = ["bert", "distilbert", "roberta", "llama"]


def read_adapter(path: Path) -> Adapter:
    config = yaml.safe_load(path.read_text())
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--adapter", type=Adapter)
    changes = [f"--adapter.{key}={value}" for key, value in SMALLER.get(path.stem, {}).items()]
    return parser.instantiate(
        parser.parse_args([f"--adapter={json.dumps(config)}", *changes])
    ).adapter


@pytest.fixture(scope="module", params=CASES, ids=lambda path: path.stem)
def adapter(request):
    return read_adapter(request.param)


@pytest.fixture(scope="module", params=KINDS)
def built(request, tiny_models, adapter):
    """A task with its network built, and a copy of the network as it was before attaching.

    Shared by the tests of a case; those that change it take `own`.
    """
    task = TextClassification(adapter=adapter, pretrained=tiny_models[request.param], seed=3)
    if request.param == "llama" and "BitFit" in adapter.title:
        with pytest.raises(NoSiteError, match="has no biases"):
            task.configure_model()
        pytest.skip("Llama has no biases, and BitFit says so")
    task.configure_model()
    with torch.random.fork_rng():
        bare = load_classifier(tiny_models[request.param], task.labels).network
    heads = {n: t for n, t in task.learned_state().items() if n in bare.state_dict()}
    bare.load_state_dict(heads, strict=False)
    return task, bare


@pytest.fixture
def own(built):
    return deepcopy(built)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    rows = torch.randint(4, 16, (4, 10))
    mask = torch.ones_like(rows)
    rows[0, 6:], mask[0, 6:] = 0, 0
    return {"input_ids": rows, "attention_mask": mask, "labels": torch.tensor([0, 1, 0, 1])}


def outputs(network, batch):
    network.eval()
    with torch.no_grad():
        return network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def learn_a_little(task, batch):
    """Move everything that learns, so that a merge that does nothing would show."""
    task.network.train()
    optimizer = torch.optim.SGD([p for p in task.network.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(task(batch), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_attaching_leaves_the_outputs_as_they_were(built, adapter, batch):
    task, bare = built
    difference = (outputs(task.network, batch) - outputs(bare, batch)).abs().max()
    if task.adapter.rounds:
        assert 0 < difference < 0.05  # of these small networks; see test_quantized.py
    else:
        # Eight bits hardly show in logits as small as these, but they do show.
        tolerance = 0.0 if adapter.converts else adapter.tolerance
        assert (difference <= tolerance) == adapter.lossless


def test_what_learns_lies_inside_sites_and_heads(built, adapter):
    task, _ = built
    allowed = tuple(name + "." for name in (*task.adapter.sites(task.network), *task.heads))
    learning = [name for name, p in task.network.named_parameters() if p.requires_grad]
    assert all(name.startswith(allowed) for name in learning)


def test_heads_learn_under_every_adapter_but_untuned(built, adapter):
    task, _ = built
    for head in task.heads:
        learns = [p.requires_grad for p in task.network.get_submodule(head).parameters()]
        assert learns
        assert set(learns) == {adapter.trains_heads}
    assert task.learns == adapter.trains_heads


def test_sites_stay_the_same_once_attached(built, adapter):
    task, bare = built
    assert task.adapter.sites(task.network) == task.adapter.sites(bare) == task.sites


def test_merging_keeps_the_function_and_leaves_plain_modules(own, adapter, batch):
    task, bare = own
    if task.learns:
        learn_a_little(task, batch)
    before = outputs(task.network, batch)
    try:
        adapter.merge(task.network)
    except NotMergeableError:
        return
    exact = 5e-2 if adapter.rounds else 1e-5  # LLM.int8 rounds its inputs as well
    torch.testing.assert_close(outputs(task.network, batch), before, atol=exact, rtol=exact)
    if adapter.converts:
        assert quantized_layers(task.network)
        dequantize(task.network)
    kinds = [[(n, type(m)) for n, m in net.named_modules()] for net in (task.network, bare)]
    assert kinds[0] == kinds[1]


def test_the_learned_state_is_all_that_is_needed(own, adapter, batch, tiny_models):
    task, _ = own
    if not task.learns:
        pytest.skip("nothing learns")
    fresh = TextClassification(adapter=adapter, pretrained=task.pretrained, seed=4)
    fresh.configure_model()
    learn_a_little(task, batch)
    learned = outputs(task.network, batch)
    assert not torch.allclose(outputs(fresh.network, batch), learned)
    checkpoint = {}
    checkpoint["state_dict"] = task.state_dict()
    task.on_save_checkpoint(checkpoint)
    saved = deepcopy(checkpoint)
    fresh.on_load_checkpoint(saved)
    fresh.load_state_dict(saved["state_dict"], strict=False)
    torch.testing.assert_close(outputs(fresh.network, batch), learned)


def test_the_export_reloads_equal_with_stock_loaders(own, adapter, batch, tmp_path):
    task, _ = own
    if task.learns:
        learn_a_little(task, batch)
    task.export(tmp_path)
    if adapter.converts:  # no stock loader knows these layers
        network = restore(empty_classifier(tmp_path), *read_quantized(tmp_path))
    else:
        network = stock_classifier.load(str(tmp_path), task.pretrained)
    exact = {"atol": 5e-2, "rtol": 5e-2} if adapter.rounds else {}
    torch.testing.assert_close(outputs(network, batch), outputs(task.network, batch), **exact)


def test_targets_that_match_nothing_are_refused(built, adapter):
    task, _ = built
    if "targets" not in vars(adapter):
        pytest.skip("the adapter takes no targets")
    right, *_ = adapter.sites(task.network)
    wrong = replace(adapter, targets=(right, "*.no_such_layer"))
    with pytest.raises(NoSiteError, match=r"no_such_layer.*nearest"):
        wrong.sites(task.network)


def test_what_learns_is_fp32(built):
    task, _ = built
    assert {p.dtype for p in task.network.parameters() if p.requires_grad} <= {torch.float32}
