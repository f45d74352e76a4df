import copy

import pytest
import torch
from transformers import T5Config, T5ForSequenceClassification

from hwlit.adapters.bitsandbytes_linear import NF4
from hwlit.adapters.ptq import Ptq
from hwlit.adapters.qat import Qat
from hwlit.adapters.quantized import Quantized

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", [Quantized, Ptq])
def test_layers_whose_type_the_network_reads_stay_as_they_are(kind):
    if reason := NF4().unsupported(CPU):
        pytest.skip(reason)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=50, d_model=64, d_kv=16, d_ff=64, num_layers=2, num_heads=4, num_labels=2,
            decoder_start_token_id=0,
        )  # fmt: skip
        network = T5ForSequenceClassification(config).eval()
    ids = torch.arange(2, 18).view(2, 8)
    ids[:, -1] = config.eos_token_id
    rounded = copy.deepcopy(network)
    adapter = kind(format=NF4()).settle(("classification_head",), CPU)
    adapter.attach(rounded)
    if kind is Ptq:
        adapter.merge(rounded)
    with torch.no_grad():
        wanted, found = network(input_ids=ids).logits, rounded(input_ids=ids).logits
    assert not any(".wo" in site for site in adapter.sites(rounded))
    assert (found - wanted).norm() < 0.5 * wanted.norm()


def test_qat_leaves_them_alone_too():
    config = T5Config(d_model=64, d_kv=16, d_ff=64, num_layers=2, num_heads=4, vocab_size=50)
    with torch.device("meta"):
        network = T5ForSequenceClassification(config)
    rounded = Qat().settle(("classification_head",), CPU).rounded(network)
    assert any(name.endswith(".wi") for name in rounded)
    assert not any(name.endswith(".wo") for name in rounded)
