import copy

import pytest
import torch
from peft import AdaLoraConfig, get_peft_model

from hwlit.adapters.injection import wrapped_layers
from hwlit.adapters.peft import Peft
from hwlit.errors import UsageError

STEPS = 20


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.Tanh(), torch.nn.Linear(10, 3))


def config(**changes):
    schedule = {"total_step": 10, "tinit": 2, "tfinal": 3, "init_r": 6, "target_r": 2}
    return AdaLoraConfig(**(schedule | changes))


def adapter(**changes):
    return Peft(config=config(**changes), targets=("0", "2"))


def train(model, step, penalty=lambda: 0.0, first=0, steps=STEPS):
    """Take updates on random rows, each followed by what the method does after it."""
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.5)
    for index in range(first, steps):
        torch.manual_seed(index)
        loss = (model(torch.randn(16, 12)) - torch.randn(16, 3)).square().mean() + penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step(index + 1)


def ranks(model):
    return [int((layer.lora_E["default"] != 0).sum()) for _, layer in wrapped_layers(model)]


def test_the_allocation_is_pefts(monkeypatch):
    """Step by step as a PeftModel with its own allocator, its schedule given in real steps."""
    ours, method = network(), adapter()
    method.attach(ours)
    stretched = config(total_step=STEPS, tinit=4, tfinal=6, target_modules=["0", "2"])
    theirs = get_peft_model(network(), stretched)
    theirs.base_model.model.load_state_dict(
        {name: tensor for name, tensor in ours.state_dict().items() if "memory" not in name}
    )
    train(ours, lambda step: method.on_step(ours, step, STEPS))
    train(theirs, theirs.base_model.update_and_allocate)
    found = theirs.base_model.model.state_dict()
    assert sum(ranks(ours)) == 2 * 2
    for name, tensor in ours.state_dict().items():
        if "memory" not in name:
            torch.testing.assert_close(tensor, found[name], msg=name)


def test_the_rank_shrinks_from_the_warm_up_to_the_final_phase():
    model, method, seen = network(), adapter(), []
    method.attach(model)

    def step(index):
        method.on_step(model, index, STEPS)
        seen.append(sum(ranks(model)))

    train(model, step)
    assert seen[:4] == [12] * 4
    assert seen[13:] == [4] * 7
    assert seen == sorted(seen, reverse=True)


def test_a_resumed_run_allocates_as_the_whole_one():
    whole, method = network(), adapter()
    method.attach(whole)
    train(whole, lambda step: method.on_step(whole, step, STEPS), steps=9)
    resumed = network()
    method.attach(resumed)
    resumed.load_state_dict(copy.deepcopy(method.state(whole)), strict=False)
    for model in (whole, resumed):
        train(model, lambda step, model=model: method.on_step(model, step, STEPS), first=9)
    for (name, tensor), other in zip(
        whole.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, other), name


def test_a_step_that_the_scaler_skipped_leaves_the_scores():
    model, method = network(), adapter()
    method.attach(model)
    train(model, lambda step: method.on_step(model, step, STEPS), steps=5)
    before = copy.deepcopy(model.state_dict())
    next(p for p in model.parameters() if p.requires_grad).grad.fill_(float("inf"))
    method.on_step(model, 6, STEPS)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_penalty_is_the_mean_distance_from_orthogonality():
    model, method = network(), adapter(orth_reg_weight=0.1)
    method.attach(model)
    distances = []
    for _, layer in wrapped_layers(model):
        for factor in (layer.lora_A["default"], layer.lora_B["default"].T):
            distances.append((factor @ factor.T - torch.eye(6)).norm().item())
    assert method.penalty(model).item() == pytest.approx(0.1 * sum(distances) / 4)


def test_a_run_too_short_for_the_schedule_is_refused():
    model, method = network(), adapter(tinit=5, tfinal=4)
    method.attach(model)
    with pytest.raises(UsageError, match=r"tinit 5 and tfinal 4 of total_step 10.* this run's 2"):
        train(model, lambda step: method.on_step(model, step, 2), steps=2)


@pytest.mark.filterwarnings("ignore:Note that `r` is not used")
def test_a_rank_that_peft_would_ignore_is_refused():
    with pytest.raises(UsageError, match="r is not used: set init_r and target_r"):
        adapter(r=4)
