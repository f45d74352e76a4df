from hwlit.adapters.full import Full
from hwlit.adapters.head_only import HeadOnly
from hwlit.adapters.untuned import Untuned
from hwlit.tasks.text_classification import TextClassification


def learning(adapter, pretrained):
    task = TextClassification(adapter=adapter, pretrained=pretrained)
    task.configure_model()
    return {n for n, p in task.network.named_parameters() if p.requires_grad}, task.network


def test_everything_learns_under_full(tiny_models):
    found, network = learning(Full(), tiny_models["bert"])
    assert found == {name for name, _ in network.named_parameters()}


def test_only_the_head_learns_under_head_only(tiny_models):
    found, _ = learning(HeadOnly(), tiny_models["distilbert"])
    heads = ("pre_classifier", "classifier")
    assert found == {f"{head}.{part}" for head in heads for part in ("weight", "bias")}


def test_nothing_learns_under_untuned(tiny_models):
    found, _ = learning(Untuned(), tiny_models["bert"])
    assert found == set()
