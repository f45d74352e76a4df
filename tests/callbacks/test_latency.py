import pytest
import torch

from hwlit.callbacks.latency import PERCENTILES, Input, Latency
from hwlit.devices.selection import device_for

INPUTS = {
    f"batch_{n}": Input({"input_ids": torch.zeros(n, 7, dtype=torch.long)}, f"{n} x 7 tokens")
    for n in (1, 4)
}
ONE = {"batch_1": INPUTS["batch_1"]}


@pytest.fixture
def latency():
    return Latency(device_for(torch.device("cpu")), min_seconds=0.0)


def sleeping(clock, seconds):
    def forward(batch):
        clock.sleep(seconds)
        return batch["input_ids"].sum(-1, keepdim=True).float()

    return forward


def test_every_variant_has_percentiles_per_batch_size(latency, clock):
    latency.probe({"base": sleeping(clock, 0.001), "unmerged": sleeping(clock, 0.004)}, INPUTS)
    found = latency.readings()
    for name in ("base", "unmerged"):
        for size in (1, 4):
            values = [found[f"latency/{name}/batch_{size}/p{p}"] for p in PERCENTILES]
            assert [r.value for r in values] == sorted(r.value for r in values)
            assert all(r.n >= 10 for r in values)
            assert f"{size} x 7 tokens" in values[0].how.text
            assert f"latency/{name}/batch_{size}/cold" in found
    assert found["latency/unmerged/batch_1/over_base"].value == pytest.approx(4, rel=0.001)
    assert "latency/base/batch_1/over_base" not in found


def test_the_cold_call_is_apart(latency, clock):
    calls = []

    def forward(batch):
        calls.append(None)
        clock.sleep(0.05 if len(calls) == 1 else 0.01)
        return torch.zeros(1, 2)

    latency.probe({"base": forward}, ONE)
    found = latency.readings()
    assert found["latency/base/batch_1/cold"].value == pytest.approx(0.05)
    assert found["latency/base/batch_1/p99"].value == pytest.approx(0.01)


def test_the_same_modules_are_timed_once_and_said(latency, clock):
    latency.probe({"unmerged": sleeping(clock, 0.01)}, INPUTS)
    latency.same("the adapter adds none")
    found = latency.readings()
    for name in ("base", "merged"):
        twin = found[f"latency/{name}/batch_1/p50"]
        assert twin.value == found["latency/unmerged/batch_1/p50"].value
        assert "same modules as unmerged: the adapter adds none" in twin.how.text


def test_variants_take_turns(latency):
    order = []

    def noting(name):
        def forward(batch):
            order.append(name)
            return torch.zeros(1, 2)

        return forward

    latency.probe({"base": noting("a"), "merged": noting("b")}, ONE)
    timed = "".join(order[22:])  # after the cold and warm-up calls
    assert timed.startswith("aaaaabbbbbaaaaabbbbb")
