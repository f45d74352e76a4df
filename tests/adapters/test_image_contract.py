"""The contract that every adapter for images keeps, over every config in configs/adapters/image."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from hwlit.adapters.base import NoSiteError
from hwlit.data.encoding import tokenised
from hwlit.networks.diffusion import load_diffusion
from hwlit.shipped import config_root
from hwlit.tasks.personalization import Personalization
from tests.adapters.test_contract import read_adapter

CASES = sorted((config_root() / "adapters" / "image").glob("*.yaml"))


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def adapter(request):
    return read_adapter(request.param)


@pytest.fixture(params=["sd", "sdxl"])
def built(request, tiny_pipelines, adapter):
    """A task with its network built, and the network as it was before attaching."""
    task = Personalization(adapter=adapter, pretrained=tiny_pipelines[request.param])
    task.configure_model()
    return task, load_diffusion(task.pretrained, torch.float32, task.prompts_learn)


@pytest.fixture
def batch(built):
    generator = torch.Generator().manual_seed(0)
    config = built[1].unet.config
    xl = config.addition_embed_type is not None
    more = {"time_ids": torch.ones(2, 6)} if xl else {}
    more["latents"] = torch.randn(2, 4, 8, 8, generator=generator)
    if built[0].prompts_learn:
        return more | tokenised(built[0].network.tokenizers.values(), ["photo of <new1> dog"] * 2)
    if xl:
        more["pooled"] = torch.randn(2, 32, generator=generator)
    embeds = torch.randn(2, 7, config.cross_attention_dim, generator=generator)
    return more | {"prompt_embeds": embeds}


def outputs(task, network, batch):
    network.eval()
    with torch.no_grad():
        return task.predictions(network, batch, batch["latents"], torch.tensor([10, 900]))


def learn_a_little(task, batch):
    task.network.train()
    learned = [p for p in task.network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.5)
    for _ in range(3):
        task(batch, batch["latents"], torch.tensor([10, 900])).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_attaching_leaves_the_outputs_as_they_were(built, adapter, batch):
    task, bare = built
    before = batch
    if adapter.new_tokens:  # of which the bare network knows only what they begin as
        tokens = adapter.adapters["token"].tokens if "adapters" in vars(adapter) else adapter.tokens
        written = " ".join([tokens["<new1>"]] * adapter.new_tokens["<new1>"])
        prompt = f"photo of {written} dog"
        before = batch | tokenised(bare.tokenizers.values(), [prompt] * 2)
    off = (outputs(task, task.network, batch) - outputs(task, bare, before)).abs().max()
    if adapter.rounds:
        assert 0 < off < 0.5
    else:
        assert (off <= adapter.tolerance) == adapter.lossless


def test_what_learns_lies_inside_sites_and_is_fp32(built, adapter):
    task, _ = built
    sites = tuple(name + "." for name in task.sites)
    learned = {n: p for n, p in task.network.named_parameters() if p.requires_grad}
    assert all(name.startswith(sites) for name in learned)
    assert {p.dtype for p in learned.values()} <= {torch.float32}
    assert task.learns == bool(learned) == adapter.trains_heads


def test_merging_keeps_the_function_and_leaves_plain_modules(built, adapter, batch):
    task, bare = built
    if task.learns:
        learn_a_little(task, batch)
    before = outputs(task, task.network, batch)
    merged = deepcopy(task.network)
    adapter.merge(merged)
    torch.testing.assert_close(outputs(task, merged, batch), before, atol=1e-5, rtol=1e-5)
    kinds = [[(n, type(m)) for n, m in network.named_modules()] for network in (merged, bare)]
    assert kinds[0] == kinds[1]


def test_the_learned_state_is_all_that_is_needed(built, adapter, batch):
    task, _ = built
    if not task.learns:
        pytest.skip("nothing learns")
    learn_a_little(task, batch)
    fresh = Personalization(adapter=adapter, pretrained=task.pretrained, seed=4)
    fresh.configure_model()
    learned = outputs(task, task.network, batch)
    assert not torch.allclose(outputs(fresh, fresh.network, batch), learned)
    saved = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(saved)
    fresh.on_load_checkpoint(saved)
    fresh.load_state_dict(saved["state_dict"], strict=False)
    torch.testing.assert_close(outputs(fresh, fresh.network, batch), learned)


def test_targets_that_match_nothing_are_refused(built, adapter):
    task, _ = built
    if "targets" not in vars(adapter):
        pytest.skip("the adapter takes no targets")
    with pytest.raises(NoSiteError, match=r"no_such_layer"):
        replace(adapter, targets=("unet.*.to_q", "unet.*.no_such_layer")).sites(task.network)
