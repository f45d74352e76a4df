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
    assert timed.startswith("aaaabbbbbbbbaaaaaaaabbbb"), "each of them first in its course"


def growing(clock, times):
    """A forward that takes what a list says, call by call, then its last."""
    left = list(times)

    def forward(batch):
        clock.sleep(left.pop(0) if len(left) > 1 else left[0])
        return torch.zeros(1, 2)

    return forward


SHORT = Input({}, "nothing", warmup_calls=0, min_calls=4, block=2)


def test_the_ratio_is_the_mean_log_ratio_of_the_turns(latency, clock):
    base = growing(clock, [9, 1, 1, 4, 4])  # the first call is cold
    own = growing(clock, [9, 2, 2, 2, 2])
    latency.probe({"base": base, "merged": own}, {"one": SHORT})
    found = latency.readings()["latency/merged/one/over_base"]
    assert found.value == pytest.approx(1), "2 in the first turn, 1/2 in the second"
    assert found.n == 2
    assert found.low < 1 < found.high == pytest.approx(1 / found.low)
    medians = [latency.readings()[f"latency/{name}/one/p50"].value for name in ("merged", "base")]
    assert medians == pytest.approx([2, 2.5])


def test_a_slow_spell_of_both_leaves_the_ratio(latency, clock):
    base = growing(clock, [9, 1, 1, 8, 8, 1])
    own = growing(clock, [9, 1.5, 1.5, 12, 12, 1.5])
    latency.probe({"base": base, "unmerged": own}, {"one": SHORT})
    found = latency.readings()["latency/unmerged/one/over_base"]
    assert [found.low, found.value, found.high] == pytest.approx([1.5] * 3, rel=1e-6)


def test_a_quantised_run_is_held_against_the_full_precision(latency, clock):
    times = {"reference": 0.1, "base": 0.2, "unmerged": 0.3, "merged": 0.1}
    latency.probe({name: sleeping(clock, t) for name, t in times.items()}, ONE)
    found = latency.readings()
    ratios = {name: found.get(f"latency/{name}/batch_1/over_base") for name in times}
    assert ratios.pop("reference") is None
    assert {name: round(r.value, 3) for name, r in ratios.items()} == {
        "base": 2, "unmerged": 3, "merged": 1,
    }  # fmt: skip
    assert "full precision" in ratios["merged"].how.text


def test_the_same_modules_take_the_same_time(latency, clock):
    latency.probe({"unmerged": sleeping(clock, 0.01)}, INPUTS)
    latency.same("the adapter adds none")
    for name in ("unmerged", "merged"):
        for key in INPUTS:
            found = latency.readings()[f"latency/{name}/{key}/over_base"]
            assert (found.low, found.value, found.high) == (1, 1, 1)
    assert "latency/base/batch_1/over_base" not in latency.readings()


def test_a_clock_that_stands_still_gives_a_reason_and_no_ratio(clock):
    still = Latency(device_for(torch.device("cpu")), min_seconds=0.0)
    still.probe({"base": sleeping(clock, 0.0), "merged": sleeping(clock, 0.1)}, ONE)
    assert "latency/merged/batch_1/over_base" not in still.readings()
    assert "stood still" in still.absent()["latency/merged/batch_1/over_base"]
