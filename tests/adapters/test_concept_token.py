"""New tokens: their rows learn beside a table that does not, and reload in stock diffusers."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hwlit.adapters.base import NoSiteError, NotMergeableError
from hwlit.adapters.chain import Chain
from hwlit.adapters.concept_token import ConceptToken
from hwlit.adapters.cross_attention_kv import WEIGHTS, CrossAttentionKV
from hwlit.errors import UsageError
from hwlit.networks.diffusion import load_diffusion, load_pipeline, token_ids
from hwlit.tasks.image_export import write_export
from hwlit.tasks.optimizers import make_optimizer
from tests.drawing import drawn, loaded
from tests.stock import drawn_elsewhere

PROMPT = "photo of <new1> dog"


def token(**changes):
    return ConceptToken(**{"tokens": {"<new1>": "mug"}} | changes)


def attached(pretrained, adapter):
    network = load_diffusion(pretrained, torch.float32, train_text_encoder=True)
    adapter.attach(network)
    return network.eval()


def said(network, prompt=PROMPT):
    tokenizers = network.tokenizers.values()
    return network.encode_prompts([token_ids(t, [prompt]) for t in tokenizers]).embeds


def moved(network, by=0.3):
    """Change what learns, each row in another way."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * by)
    return network


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@pytest.mark.parametrize("vectors", [1, 3])
def test_a_new_token_begins_as_the_word_that_it_is_given(kind, vectors, tiny_pipelines):
    network = attached(tiny_pipelines[kind], token(vectors=vectors))
    bare = load_diffusion(tiny_pipelines[kind], torch.float32, train_text_encoder=True).eval()
    written = f"photo of {'mug ' * vectors}dog"
    assert torch.equal(said(network), said(bare, written))
    learned = [tuple(p.shape) for p in network.parameters() if p.requires_grad]
    assert learned == [(32,)] * vectors * (2 if kind == "sdxl" else 1)


def test_only_the_rows_of_a_prompt_get_a_gradient(tiny_pipelines):
    adapter = token(tokens={"<new1>": "mug", "<new2>": "dog"}, vectors=2)
    network = attached(tiny_pipelines["sd"], adapter)
    said(network, "photo of <new2>").square().sum().backward()
    rows = network.text_encoder.get_input_embeddings().rows
    assert [bool(row.grad.any()) for row in rows] == [False, False, True, True]
    one = attached(tiny_pipelines["sd"], adapter)
    table = one.text_encoder.get_input_embeddings().table.weight.requires_grad_(True)
    said(one, "photo of dog dog").square().sum().backward()
    dog = one.tokenizers["text_encoder"].convert_tokens_to_ids("dog</w>")
    torch.testing.assert_close(rows[2].grad + rows[3].grad, table.grad[dog])


def test_weight_decay_shrinks_no_row(tiny_pipelines):
    network = attached(tiny_pipelines["sd"], token(vectors=2))
    embedding = network.text_encoder.get_input_embeddings()
    table, rows = embedding.table.weight.clone(), embedding.stacked().detach()
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = make_optimizer(
        lambda groups: torch.optim.AdamW(groups, weight_decay=0.5), learned, 0.1
    )
    for parameter in learned:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(embedding.stacked(), rows)
    said(network).square().sum().backward()
    optimizer.step()
    assert torch.equal(embedding.table.weight, table)
    assert not torch.equal(embedding.stacked(), rows)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_merged_the_table_is_plain_and_longer(kind, tiny_pipelines):
    network = moved(attached(tiny_pipelines[kind], token(vectors=2)))
    wanted, adapter = said(network), token(vectors=2)
    merged = copy.deepcopy(network)
    adapter.merge(merged)
    assert torch.equal(said(merged), wanted)
    table = merged.text_encoder.get_input_embeddings()
    assert type(table) is torch.nn.Embedding
    own = network.text_encoder.get_input_embeddings()
    assert torch.equal(table.weight[:-2], own.table.weight)
    assert len(table.weight) == merged.text_encoder.config.vocab_size == own.first + 2
    with pytest.raises(NotMergeableError, match="attach before merging"):
        adapter.merge(merged)


def test_a_table_with_spare_rows_keeps_its_length(tiny_pipelines):
    network = load_diffusion(tiny_pipelines["sd"], torch.float32, train_text_encoder=True)
    encoder = network.text_encoder
    encoder.resize_token_embeddings(encoder.config.vocab_size + 5)
    before = encoder.get_input_embeddings().weight.clone()
    token().attach(network)
    moved(network)
    wanted = said(network)
    token().merge(network)
    after = encoder.get_input_embeddings().weight
    assert [int(row) for row in (after != before).any(dim=1).nonzero()] == [len(before) - 5]
    assert torch.equal(said(network), wanted)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@pytest.mark.parametrize("vectors", [1, 2])
def test_the_file_loads_as_a_textual_inversion(kind, vectors, tiny_pipelines, tmp_path):
    adapter, pretrained = token(vectors=vectors), tiny_pipelines[kind]
    network = moved(attached(pretrained, adapter))
    live = drawn(load_pipeline(pretrained, torch.float32, "cpu", network), PROMPT)
    state = adapter.state(network)
    device = torch.device("cpu")
    paths = write_export(tmp_path, adapter, network, state, pretrained, torch.float32, device)
    assert [path.name for path in paths] == ["learned.safetensors"]
    stock = loaded(pretrained)
    if kind == "sd":
        stock.load_textual_inversion(tmp_path / "%3Cnew1%3E.safetensors")
    else:
        rows = load_file(tmp_path / "learned_embeds.safetensors")
        for name, encoder in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2")):
            stock.load_textual_inversion(
                rows[name], token="<new1>",
                text_encoder=stock.components[encoder],
                tokenizer=stock.components[encoder.replace("text_encoder", "tokenizer")],
            )  # fmt: skip
    assert np.abs(drawn(stock, PROMPT) - live).max() < 1e-4
    assert np.abs(drawn(loaded(tmp_path), PROMPT) - live).max() < 1e-4  # the whole pipeline
    assert np.abs(drawn(loaded(pretrained), PROMPT) - live).max() > 1e-2


@pytest.mark.slow
def test_custom_diffusion_reloads_where_there_is_no_hwlit(tiny_pipelines, tmp_path):
    adapter = Chain(adapters={"kv": CrossAttentionKV(), "token": token()})
    pretrained = tiny_pipelines["sd"]
    network = moved(attached(pretrained, adapter), 0.2)
    live = drawn(load_pipeline(pretrained, torch.float32, "cpu", network), PROMPT)
    state, device = adapter.state(network), torch.device("cpu")
    write_export(tmp_path, adapter, network, state, pretrained, torch.float32, device)
    code = (
        "pipe.load_textual_inversion(folder, weight_name='%3Cnew1%3E.safetensors')\n"
        f"pipe.unet.load_attn_procs(folder, weight_name={WEIGHTS!r}, _pipeline=pipe)"
    )
    found = drawn_elsewhere(pretrained, tmp_path, code, PROMPT)
    assert np.abs(found - live).max() < 1e-4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tokens": {"<new1>": "ktnx"}}, r"cannot begin as 'ktnx', which is \d tokens here \(.*t"),
        ({"tokens": {"<new1>": ""}}, "cannot begin as '', which is 0 tokens here"),
        ({"tokens": {"dog": "mug"}}, "'dog' is a word of the tokenizer already"),
    ],
)
def test_words_that_do_not_suit_are_refused(settings, told, tiny_pipelines):
    with pytest.raises(UsageError, match=told):
        attached(tiny_pipelines["sd"], ConceptToken(**settings))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tokens": {}}, "tokens is empty"),
        ({"tokens": {"<New1>": "dog"}}, "must be one word in lower case"),
        ({"tokens": {"my dog": "dog"}}, "must be one word in lower case"),
        ({"tokens": {"<" + "a" * 250 + ">": "dog"}}, "is too long for the name of a file"),
        ({"tokens": {"new": "dog", "new1": "dog"}}, "'new' is part of another"),
        ({"tokens": {"learned": "dog"}}, "'learned' would be the name of another file"),
        ({"tokens": {"spectral_shifts": "dog"}}, "would be the name of another file"),
        ({"tokens": {'a"b': "dog"}}, "must be one word in lower case"),
        ({"vectors": 0}, "vectors must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, told):
    with pytest.raises(UsageError, match=told):
        ConceptToken(**settings)


def test_without_a_text_encoder_there_is_nothing_to_learn(tiny_pipelines):
    with pytest.raises(NoSiteError, match="holds no text encoder with its tokenizer"):
        token().attach(load_diffusion(tiny_pipelines["sd"], torch.float32))
