import pytest
from transformers import BertConfig, LlamaConfig

from hwlit.adapters.base import NoSiteError
from hwlit.adapters.bitfit import BitFit
from tests.adapters.test_lora import counts, on_meta


def test_every_bias_of_bert_base_learns_and_nothing_else():
    network = on_meta(BertConfig())
    alone, learning, _ = counts(network, BitFit())
    # per layer: four projections and two norms of 768, 3,072 between and 768 after it; 768 each
    # for the first norm and the pooler; two labels
    assert alone == 12 * (4 * 768 + 2 * 768 + 3072 + 768) + 2 * 768 + 2 == 102_914
    assert learning == 102_912 + 2 * 768 + 2
    assert all(
        name.endswith(".bias")
        for name, p in network.base_model.named_parameters()
        if p.requires_grad
    )


def test_the_smaller_variant_has_query_and_first_feed_forward_layer():
    adapter = BitFit(targets=("*.query", "*.intermediate.dense"))
    assert counts(on_meta(BertConfig()), adapter)[0] == 12 * (768 + 3072)


def test_a_network_without_biases_is_refused():
    network = on_meta(LlamaConfig(num_hidden_layers=1, hidden_size=32, intermediate_size=64))
    with pytest.raises(NoSiteError, match="LlamaForSequenceClassification has no biases"):
        BitFit().attach(network)


def test_a_module_without_a_bias_is_no_target():
    with pytest.raises(NoSiteError, match="word_embeddings"):
        BitFit(targets=("*.query", "*.word_embeddings")).sites(on_meta(BertConfig()))
