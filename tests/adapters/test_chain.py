import pytest
import torch
from peft import IA3Config, LNTuningConfig
from transformers import BertConfig

from hwlit.adapters.base import NotMergeableError
from hwlit.adapters.bitfit import BitFit
from hwlit.adapters.chain import Chain
from hwlit.adapters.frozen import Frozen
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.peft import Peft
from hwlit.adapters.untuned import Untuned
from hwlit.errors import UsageError
from tests.adapters.test_lora import counts, on_meta

BIASES, LORA = 102_914, 294_912  # of BERT-base with two labels, query and value at rank 8


def test_biases_and_update_learn_together():
    chain = Chain(adapters={"bitfit": BitFit(), "lora": Lora()})
    network = on_meta(BertConfig())
    assert counts(network, chain)[0] == BIASES + LORA
    assert set(chain.state(network)) == {
        n for n, p in network.named_parameters() if p.requires_grad
    }


def test_what_a_member_lets_learn_is_not_frozen_by_the_next():
    network = on_meta(BertConfig())
    Chain(adapters={"top": Frozen(layers=11), "lora": Lora()}).attach(network)
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert "bert.encoder.layer.11.attention.self.query.base_layer.weight" in learning
    assert "bert.encoder.layer.0.attention.self.query.lora_A.default.weight" in learning
    assert "bert.encoder.layer.0.attention.self.query.base_layer.weight" not in learning


def test_a_chain_of_full_and_lora_learns_both():
    assert counts(on_meta(BertConfig()), Chain(adapters={"a": Full(), "b": Lora()}))[0] == (
        sum(p.numel() for p in on_meta(BertConfig()).parameters()) + LORA
    )


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, "two adapters or more"),
        ({"one": Lora()}, r"two adapters or more, got \['one'\]"),
        ({"none": Untuned(), "lora": Lora()}, "none .Untuned. learns nothing"),
        (
            {"lora": Lora(), "ia3": Peft(config=IA3Config())},
            "lora .Lora. wraps .* after it comes ia3",
        ),
        ({"lora": Lora(), "bitfit": BitFit()}, "must be the last"),
        ({"bitfit": BitFit(learning_rate=0.1), "lora": Lora()}, "bitfit has learning_rate 0.1"),
    ],
)
def test_members_that_cannot_go_together_are_refused(members, told):
    with pytest.raises(UsageError, match=told):
        Chain(adapters=members)


def test_two_members_that_learn_one_norm_are_refused():
    chain = Chain(adapters={"bitfit": BitFit(), "norms": Peft(config=LNTuningConfig())})
    with pytest.raises(UsageError, match=r"two members learn .*LayerNorm.*narrow the targets"):
        chain.attach(on_meta(BertConfig()))
    narrow = Chain(
        adapters={"bitfit": BitFit(targets=("*.query",)), "norms": Peft(config=LNTuningConfig())}
    )
    narrow.attach(on_meta(BertConfig()))


def test_merging_what_was_not_attached_is_refused():
    with pytest.raises(NotMergeableError):
        Chain(adapters={"bitfit": BitFit(), "lora": Lora()}).merge(torch.nn.Linear(2, 2))
