import copy

import pytest
import torch

from hwlit.adapters.int8_kernels import FLOAT, KERNELS
from hwlit.adapters.kernel_choice import Chooser
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8, OneDnnLinear
from hwlit.adapters.ptq import Ptq
from hwlit.tasks.text_classification import TextClassification

FORMATS = pytest.mark.parametrize("format", [OneDnnInt8(), OneDnnInt4()], ids=lambda f: f.name)
BATCH = {
    "input_ids": torch.arange(4, 28).view(2, 12),
    "attention_mask": torch.ones(2, 12, dtype=torch.long),
}


def rounded(format, folder):
    task = TextClassification(adapter=Ptq(format=format), pretrained=folder, seed=1)
    task.configure_model()
    return task.eval()


def logits(task):
    converted = copy.deepcopy(task.network)
    task.adapter.merge(converted)
    with torch.inference_mode():
        return task.logits(converted.eval(), BATCH)


@FORMATS
@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_logits_do_not_depend_on_the_kernel(format, kind, tiny_models, monkeypatch):
    task = rounded(format, tiny_models[kind])
    found = []
    for kernel in KERNELS["cpu"]:
        # By a clock that stands still the first is taken, unless it is not exact here.
        chooser = Chooser({"cpu": (kernel, FLOAT)}, lambda device: 0.0)
        monkeypatch.setattr(OneDnnLinear, "chooser", chooser)
        found.append(logits(task))
    assert all(torch.equal(each, found[-1]) for each in found)


@FORMATS
def test_the_record_has_the_choice_for_every_shape(format, tiny_models, monkeypatch):
    monkeypatch.setattr(OneDnnLinear, "chooser", Chooser())
    task = rounded(format, tiny_models["bert"])
    assert "kernels" not in task.adapter_facts()["converts_to"]
    logits(task)
    told = task.adapter_facts()["converts_to"]
    sites = [task.network.get_submodule(name) for name in task.sites]
    shapes = {(layer.in_features, layer.out_features) for layer in sites}
    assert {(row["in_features"], row["out_features"]) for row in told["kernels"]} == shapes
    assert all((row["rows"], row["up_to_rows"]) == (24, 64) for row in told["kernels"])
    assert all(row["kernel"] in row["seconds"] for row in told["kernels"])
    slow = [row for row in told["kernels"] if not row["integer"]]
    assert bool(slow) == ("multiply as fp32" in told["why"])
