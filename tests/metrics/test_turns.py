import math
import random
import subprocess
import sys

import numpy as np
import pytest

from hwlit.metrics.turns import ratio_by_turns


def test_a_known_answer():
    found = ratio_by_turns([[2.0, 2.0, 9.0], [2.0, 1.0, 2.0]], [[1.0, 1.0, 1.0], [4.0, 4.0, 4.0]])
    half = 12.706204736 * math.log(2)  # t of one degree, log ratios log 2 and -log 2
    assert found.value == pytest.approx(1)
    assert [math.log(found.low), math.log(found.high)] == pytest.approx([-half, half])
    assert found.turns == 2


def test_one_turn_has_no_interval():
    found = ratio_by_turns([[3.0]], [[2.0]])
    assert (found.value, found.low, found.high, found.turns) == (pytest.approx(1.5), None, None, 1)


def test_the_inverse_has_the_inverse_interval():
    rng = random.Random(0)
    own, base = ([[rng.uniform(1, 2) for _ in range(4)] for _ in range(12)] for _ in range(2))
    there, back = ratio_by_turns(own, base), ratio_by_turns(base, own)
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / back.high)


@pytest.mark.parametrize(
    ("own", "base", "why"),
    [
        ([], [], "at least one"),
        ([[1.0]], [[0.0]], "domain|positive"),
        ([[1.0]], [[1.0], [1.0]], "longer"),
    ],
)
def test_what_is_no_pair_of_turns_is_refused(own, base, why):
    with pytest.raises(ValueError, match=why):
        ratio_by_turns(own, base)


def test_needs_no_torch():
    code = "import sys, hwlit.metrics.turns; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def probe(rng, turns, drift, spells, correlation, block=4, networks=3):
    """Seconds of the first and last of three equal networks, as a probe takes them in turns."""
    calls = turns * networks * block
    slow, now = np.zeros(calls), 0.0
    for i in range(calls):
        ends = rng.random() < (0.1 if now else spells)
        now = now if not ends else 0.0 if now else math.log(rng.uniform(1.2, 3))
        slow[i] = now
    noise = rng.normal(size=calls)
    for i in range(1, calls):
        noise[i] = correlation * noise[i - 1] + math.sqrt(1 - correlation**2) * noise[i]
    outliers = np.where(rng.random(calls) < 0.05, rng.exponential(0.4, calls), 0)
    seconds = np.exp(drift * np.linspace(0, 1, calls) + slow + 0.03 * noise + outliers)
    by_turn = seconds.reshape(turns, networks, block)
    places = [[(network - turn) % networks for turn in range(turns)] for network in (0, 2)]
    return [[by_turn[t, place].tolist() for t, place in enumerate(own)] for own in places]


@pytest.mark.parametrize("turns", [3, 4, 9, 20])
@pytest.mark.parametrize(
    ("drift", "spells", "correlation"),
    [(0, 0, 0), (0.3, 0, 0), (0, 0.01, 0), (0.2, 0.005, 0.9)],
    ids=["quiet", "drift", "spells", "all"],
)
def test_the_interval_covers_on_a_machine_that_drifts_and_has_slow_spells(
    turns, drift, spells, correlation
):
    rng = np.random.default_rng(15)
    found = [ratio_by_turns(*probe(rng, turns, drift, spells, correlation)) for _ in range(300)]
    covered = np.mean([ratio.low <= 1 <= ratio.high for ratio in found])
    assert 0.92 <= covered <= 1
    if not (drift or spells):
        assert covered <= 0.985, "so wide that it says nothing"


@pytest.mark.parametrize("correlation", [0.3, 0.5])
def test_turns_that_are_like_their_neighbours_count_less(correlation):
    rng = np.random.default_rng(15)
    covered, trials, turns = 0, 300, 20
    for _ in range(trials):
        noise = rng.normal(size=turns)
        for i in range(1, turns):
            noise[i] = correlation * noise[i - 1] + math.sqrt(1 - correlation**2) * noise[i]
        own = [[math.exp(0.03 * value)] for value in noise]
        ratio = ratio_by_turns(own, [[1.0]] * turns)
        covered += ratio.low <= 1 <= ratio.high
    assert covered / trials >= 0.88, "without the correction 0.87 and 0.75"
