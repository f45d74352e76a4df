import itertools
import random

from hwlit.study.pareto import front


def test_the_front_of_a_known_set():
    points = [(1, 0.5), (2, 0.4), (2, 0.8), (3, 0.8), (4, 0.9), (4, 0.7)]
    assert front(points) == [0, 2, 4]


def test_twins_stand_together_and_nothing_is_a_front():
    assert front([(1, 0.5), (1, 0.5)]) == [0, 1]
    assert front([]) == []


def test_by_definition():
    draw = random.Random(0)
    points = [(draw.randrange(12), draw.randrange(12)) for _ in range(60)]
    beaten = {
        i for (i, a), (_, b) in itertools.permutations(enumerate(points), 2)
        if b[0] <= a[0] and b[1] >= a[1] and a != b
    }  # fmt: skip
    assert set(front(points)) == set(range(60)) - beaten
