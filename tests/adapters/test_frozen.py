import pytest
from transformers import AutoModelForSequenceClassification

from hwlit.adapters.base import NoSiteError
from hwlit.adapters.frozen import Frozen, embeddings_name, layer_names
from hwlit.errors import UsageError
from tests.conftest import CONFIGS

STACKS = {
    "bert": ("bert.encoder.layer", "bert.embeddings"),
    "distilbert": ("distilbert.transformer.layer", "distilbert.embeddings"),
    "roberta": ("roberta.encoder.layer", "roberta.embeddings"),
    "llama": ("model.layers", "model.embed_tokens"),
}


@pytest.fixture(params=STACKS)
def kind(request):
    return request.param


@pytest.fixture
def network(kind):
    return AutoModelForSequenceClassification.from_config(CONFIGS[kind])


def test_layers_and_embeddings_are_found(kind, network):
    stack, embeddings = STACKS[kind]
    assert layer_names(network) == ((f"{stack}.0",), (f"{stack}.1",))
    assert embeddings_name(network) == embeddings


@pytest.mark.parametrize("embeddings", [True, False])
def test_the_first_layers_are_frozen_and_the_rest_learns(kind, network, embeddings):
    Frozen(layers=1, embeddings=embeddings).attach(network)
    stack, embedding_name = STACKS[kind]
    for name, parameter in network.named_parameters():
        frozen = name.startswith(f"{stack}.0.") or (embeddings and name.startswith(embedding_name))
        assert parameter.requires_grad != frozen, name


def test_more_layers_than_there_are_is_refused(network):
    with pytest.raises(UsageError, match="layers is 3, but the network has only 2"):
        Frozen(layers=3).attach(network)


def test_a_network_without_layers_is_refused():
    import torch

    with pytest.raises(NoSiteError):
        Frozen(layers=1).attach(torch.nn.Linear(2, 2))
