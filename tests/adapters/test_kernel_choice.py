import pytest
import torch

from hwlit.adapters.int8_kernels import FLOAT
from hwlit.adapters.kernel_choice import (
    CLASSES,
    PROBE_ROWS,
    PROBE_SIDE,
    ROUNDS,
    Chooser,
    in_floating_point,
    to_plain,
)
from tests.adapters.fake_kernels import Workshop, product

CPU = torch.device("cpu")
TINY = PROBE_ROWS, PROBE_SIDE**2


@pytest.fixture
def workshop():
    return Workshop()


def made(workshop, prices, **settings):
    kernels = [workshop.kernel(name, price, **settings.get(name, {})) for name, price in prices]
    return workshop.chooser(*kernels)


def only(chooser):
    (choice,) = chooser.choices.values()
    return choice


@pytest.mark.parametrize("rows", [1, 17, 2048, 5000])
@pytest.mark.parametrize("order", [(3, 2, 1), (1, 2, 3), (2, 1, 3)])
def test_the_fastest_is_taken_wherever_it_stands(order, rows, workshop):
    chooser = made(workshop, [*((f"k{price}", price) for price in order), ("fp32", 4)])
    assert chooser.choose(*product(rows)).name == "k1"
    choice = only(chooser)
    assert choice.rows == min(rows, CLASSES[-1])
    assert choice.seconds["k2"] == 2 * choice.seconds["k1"] > 0
    assert not choice.dropped


def test_of_equally_fast_ones_the_first_is_taken(workshop):
    chooser = made(workshop, [("a", 2), ("b", 1), ("c", 1), ("fp32", 1)])
    assert chooser.choose(*product()).name == "b"


def test_where_all_are_slower_than_fp32_it_is_taken_and_told(workshop):
    chooser = made(workshop, [("a", 2), ("b", 1.5), ("fp32", 1)])
    assert not chooser.choose(*product()).integer
    chosen = chooser.chosen(CPU, {(64, 32)})
    assert "at 1 of 1 sizes" in in_floating_point(chosen)
    (row,) = to_plain(chosen)
    assert (row["kernel"], row["integer"], row["rows"], row["up_to_rows"]) == ("fp32", False, 5, 16)
    assert set(row["seconds"]) == {"a", "b", "fp32"}


def test_a_hopeless_kernel_is_given_up_at_a_tiny_matrix_and_never_called_again(workshop):
    chooser = made(workshop, [("reference", 900), ("good", 0.5), ("fp32", 1)])
    for size in ((2048, 768, 768), (16, 768, 3072), (1, 64, 7)):
        assert chooser.choose(*product(*size)).name == "good"
    assert set(workshop.sizes["reference"]) == {TINY}
    assert len(workshop.sizes["reference"]) <= 4
    dropped = next(iter(chooser.choices.values())).dropped
    assert "900 times as long as fp32 for 2 rows of 256 x 256" in dropped["reference"]


def test_one_that_is_hopeless_at_a_shape_is_given_up_at_two_rows_of_it(workshop):
    prices = [("fussy", lambda rows, weights: rows * weights * (0.5 if weights == 65536 else 99))]
    chooser = made(workshop, [*prices, ("fp32", 1)])
    chooser.choose(*product(2048))
    chooser.choose(*product(16))
    assert {rows for rows, weights in workshop.sizes["fussy"]} == {2}
    assert len(workshop.sizes["fussy"]) <= 8
    assert chooser.choose(*product(16, 256, 256)).name == "fussy"


def test_one_that_is_hopeless_at_many_rows_is_given_up_at_a_share_of_them(workshop):
    prices = [("loop", lambda rows, weights: rows * weights * (0.5 if rows < 64 else 99))]
    chooser = made(workshop, [*prices, ("fp32", 1)])
    assert chooser.choose(*product(4096)).name == "fp32"
    assert max(rows for rows, weights in workshop.sizes["loop"]) == 256
    assert "for 256 rows" in only(chooser).dropped["loop"]
    assert chooser.choose(*product(16)).name == "loop"


def test_long_calls_are_not_repeated(workshop):
    chooser = made(workshop, [("a", 1), ("fp32", 2)])
    chooser.choose(*product(2048))
    assert [rows for rows, _ in workshop.sizes["a"]].count(2048) == 2  # is it exact, and one timed
    workshop.sizes["a"].clear()
    made(workshop, [("a", 1e-9), ("fp32", 2e-9)]).choose(*product(2048))
    assert [rows for rows, _ in workshop.sizes["a"]].count(2048) == 1 + ROUNDS


@pytest.mark.parametrize(
    "off",
    [
        lambda found: found.clamp(-32768, 32767),  # pairs of products in 16 bits
        lambda found: found.bfloat16().float(),
        lambda found: found * float("nan"),
        lambda found: found[:0],
        lambda found: found + (len(found) > 2),  # right at the probe, wrong on what is at hand
    ],
)
def test_what_is_not_exact_is_no_kernel_however_fast(off, workshop):
    chooser = made(workshop, [("quick", 0.1), ("fp32", 1)], quick={"off": off})
    assert chooser.choose(*product()).name == "fp32"
    assert only(chooser).dropped == {"quick": "it is not exact"}


def test_what_fails_is_no_kernel(workshop):
    def fail(found):
        raise RuntimeError("no such instruction.\nat line 3")

    chooser = made(workshop, [("broken", 0.1), ("fp32", 1)], broken={"off": fail})
    assert chooser.choose(*product()).name == "fp32"
    assert only(chooser).dropped == {"broken": "it fails: no such instruction"}


def test_a_moment_of_other_work_gives_up_no_kernel(workshop):
    calls = []

    def price(rows, weights):
        calls.append(rows)
        return rows * weights * (1e6 if len(calls) in (1, 2, 5, 6) else 0.5)

    chooser = made(workshop, [("good", price), ("fp32", 1)])
    assert chooser.choose(*product(4)).name == "good"


def test_a_choice_holds_for_a_shape_a_class_of_rows_and_a_number_of_threads(workshop):
    chooser = made(workshop, [("a", 1), ("fp32", 2)])
    chooser.choose(*product(300))
    before = len(workshop.sizes["a"])
    chooser.choose(*product(900))
    assert len(workshop.sizes["a"]) == before
    chooser.choose(*product(200))
    assert len(workshop.sizes["a"]) > before
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        chooser.choose(*product(300))
    finally:
        torch.set_num_threads(threads)
    told = [
        (row["up_to_rows"], row["threads"]) for row in to_plain(chooser.chosen(CPU, {(64, 32)}))
    ]
    assert told == [(256, threads), (1024, threads), (1024, threads + 1)]
    assert not chooser.chosen(CPU, {(32, 64)})
    assert not chooser.chosen(torch.device("cuda"), {(64, 32)})


def test_a_trial_draws_no_random_numbers_and_leaves_its_rows(workshop):
    state, (integers, weight, scale) = torch.get_rng_state(), product(2048)
    before = integers.clone()
    Chooser().choose(integers, weight, scale)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(integers, before)


def test_a_device_without_kernels_multiplies_in_floating_point_untried(workshop):
    fp32 = workshop.kernel("fp32", 1)
    chooser = workshop.chooser(fp32)
    assert chooser.choose(*product()) == fp32
    assert (only(chooser).seconds, only(chooser).dropped, workshop.sizes) == ({}, {}, {"fp32": []})
    assert Chooser({}).choose(*product()) == FLOAT
