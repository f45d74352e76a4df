"""Logits of texts in windows: the mean over the windows, whatever goes through at once."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.errors import UsageError
from hwlit.tasks.text_classification import TextClassification


def batch_of(counts, seed=0):
    """Windows of 12 tokens of a vocabulary of 32, none padded."""
    draw = torch.Generator().manual_seed(seed)
    windows = sum(counts)
    ids = torch.randint(4, 32, (windows, 12), generator=draw)
    return {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "windows": torch.tensor(counts),
        "labels": torch.arange(len(counts)) % 2, "row_id": torch.arange(len(counts)),
    }  # fmt: skip


@pytest.fixture
def task(tiny_models):
    made = TextClassification(adapter=Lora(rank=2), pretrained=tiny_models["bert"])
    made.configure_model()
    return made


@pytest.mark.parametrize("counts", [[1, 1], [3, 1, 2], [1, 23, 2]])
def test_logits_are_the_mean_over_the_windows_of_a_text(task, counts):
    task.network.eval()
    batch = batch_of(counts)
    with torch.inference_mode():
        each = task.network(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
        found = task(batch)
    wanted = torch.stack([part.mean(0) for part in each.split(counts)])
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_one_window_a_text_is_the_text_itself(task):
    task.network.eval()
    batch = batch_of([1, 1, 1])
    plain = {name: values for name, values in batch.items() if name != "windows"}
    with torch.inference_mode():
        assert torch.equal(task(batch), task(plain))


def test_many_windows_go_through_in_turns(task, monkeypatch):
    """Memory has a bound: four windows a text, in training by computing turns again."""
    seen = []
    monkeypatch.setattr(task, "network", task.network.eval())
    hook = task.network.register_forward_pre_hook(
        lambda module, args, given: seen.append(len(given["input_ids"])), with_kwargs=True
    )
    batch = batch_of([1, 17])
    with torch.inference_mode():
        task(batch)
    assert seen == [8, 8, 2]
    seen.clear()
    task(batch).sum().backward()
    assert sorted(seen) == [2, 2, 8, 8, 8, 8]
    hook.remove()


def gradients(task, batch):
    task.zero_grad()
    torch.manual_seed(0)
    torch.nn.functional.cross_entropy(task(batch), batch["labels"]).backward()
    learned = task.network.named_parameters()
    return {name: p.grad.clone() for name, p in learned if p.grad is not None}


def test_turns_that_are_computed_again_give_the_same_gradients(task, monkeypatch):
    """Dropout draws the same numbers again."""
    task.network.train()
    batch = batch_of([2, 18])
    again = gradients(task, batch)
    monkeypatch.setattr(
        "hwlit.tasks.text_classification.checkpoint", lambda f, given, use_reentrant: f(given)
    )
    kept = gradients(task, batch)
    assert again.keys() == kept.keys() != set()
    assert all(torch.equal(again[name], kept[name]) for name in kept)


def test_turns_give_the_gradients_of_all_windows_at_once(task, monkeypatch):
    task.network.eval()  # dropout would draw other numbers for other turns
    batch = batch_of([2, 18])
    turns = gradients(task, batch)
    for module in ("hwlit.exports.stock_classifier", "hwlit.tasks.text_classification"):
        monkeypatch.setattr(f"{module}.WINDOWS_AT_ONCE", 1000)
    for name, gradient in gradients(task, batch).items():
        torch.testing.assert_close(turns[name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("known", "largest", "fine"), [(2, 1, True), (2, 2, False), (1, 1, False)])
def test_token_types_that_the_network_lacks_are_refused(
    known, largest, fine, tiny_tokenizer, tmp_path
):
    config = BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=40, type_vocab_size=known, pad_token_id=0,
    )  # fmt: skip
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    task = TextClassification(adapter=Full(), pretrained=str(tmp_path))
    task.configure_model()
    if fine:
        task.check_token_types(largest)
        return
    with pytest.raises(UsageError, match=rf"types up to {largest}, .* knows {known} \(type_vocab"):
        task.check_token_types(largest)
