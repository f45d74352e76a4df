"""What counters mean: the cases are whole machines, with what a phase of 10 s has counted there."""

import pytest

from hwlit.devices.load import LIMIT, Load, disturbances, remark

WALL = 10.0


def machine(processors, *, ran, waited=None, others=0.0, steal=0.0, **more):
    """Return the load of 10 s in which our threads ran so many seconds."""
    idle = max(0.0, processors * WALL - ran - others - steal)
    counts = {"wall": WALL, "own": ran, "busy": ran + others, "idle": idle, "steal": steal}
    waiting = {} if waited is None else {"ran": ran, "waited": waited}
    return Load(counts | waiting | more, processors)


def causes(load, threads=2):
    return {one.cause: one.value for one in disturbances("fit", load, threads)}


@pytest.mark.parametrize(
    ("load", "share"),
    [
        (machine(1, ran=10, waited=0.02), 0.002),  # alone
        (machine(1, ran=5, waited=5, others=5), 0.5),  # beside one other
        (machine(2, ran=8, waited=12, others=12), 0.6),  # two threads beside three others
        (machine(2, ran=20, waited=60), 0.0),  # eight threads of our own, nobody else
        (machine(2, ran=17.8, waited=62.2, others=2.2), 0.11),  # and one other
        (machine(8, ran=10, waited=0, others=60), 0.0),  # others, and processors to spare
        # Bursts: threads and loader workers collide now and then, though not on average.
        (machine(4, ran=30, waited=8), 0.0),
        (machine(4, ran=30, waited=8, others=0.1), 0.003),
        (machine(0.5, ran=5, waited=15, others=100), 0.0),  # a quota's own share, all of it had
    ],
)
def test_waiting_for_others_is_told_from_waiting_for_ourselves(load, share):
    assert load.waited_for_others == pytest.approx(share, abs=0.005)
    assert ("run-queue wait" in causes(load)) == (share > LIMIT)


def test_the_wait_as_the_kernel_counts_it_is_kept_beside():
    assert machine(2, ran=20, waited=60).waiting == 0.75


@pytest.mark.parametrize(
    ("load", "cause"),
    [
        (machine(1, ran=8, waited=0.1, steal=2), "steal"),
        (machine(2, ran=9, waited=1, **{"periods/0": 100, "throttled/0": 40}), "quota throttling"),
        (machine(2, ran=9, waited=0, **{"hot/0": 0.0, "hot/1": 3.0}), "thermal throttling"),
    ],
)
def test_each_cause_is_named(load, cause):
    assert list(causes(load)) == [cause]


def test_the_worst_group_counts():
    counts = {"periods/0": 100, "throttled/0": 1, "periods/1": 10, "throttled/1": 9}
    assert machine(2, ran=9, waited=0, **counts).quota_throttled == 0.9


@pytest.mark.parametrize(
    ("load", "threads", "share"),
    [
        (machine(4, ran=40), 4, 0.0),
        (machine(4, ran=10, others=30), 4, 0.75),
        (machine(4, ran=10, others=10), 1, 0.0),  # one thread, that ran all the time
        (machine(4, ran=20, others=10), 4, 0.0),  # one idled meanwhile
        (machine(4, ran=5, others=35), 1, 0.5),  # one thread that had half a processor
    ],
)
def test_where_no_wait_is_counted_processor_time_decides(load, threads, share):
    assert load.kept_from(threads) == pytest.approx(share, abs=0.02)
    assert load.waited_for_others is None
    assert ("other processes" in causes(load, threads)) == (share > LIMIT)


def test_ticks_that_were_lost_disturb_nothing():
    short = Load({"wall": 0.1, "own": 0.1, "busy": 0.1, "idle": 0, "steal": 0.02}, 1)
    assert not disturbances("save", short, 1)


def gpu(**sums):
    samples = {f"gpu/{name}/samples": 10.0 for name in sums}
    counts = {f"gpu/{name}": 10.0 * value for name, value in sums.items()}
    return machine(8, ran=10, waited=0, **counts, **samples)


@pytest.mark.parametrize(
    ("load", "found"),
    [
        (gpu(utilisation=0.9, others=0.0, shared=1.0, slowed=0.0), {}),  # a notebook that idles
        (gpu(others=0.4, shared=1.0), {"other processes on the GPU": 0.4}),
        (gpu(shared=1.0), {"shared GPU": 1.0}),  # how much they ran is not told
        (gpu(slowed=0.5), {"slowed GPU": 0.5}),
        (gpu(busy_clock=0.3), {"low GPU clock": 0.7}),
        (gpu(busy_clock=0.7), {}),
    ],
)
def test_a_gpu_that_is_shared_or_slow_is_told(load, found):
    assert causes(load) == pytest.approx(found)


def test_the_remark_is_one_sentence_with_phases_and_figures():
    found = [
        *disturbances("evaluate", machine(1, ran=9, waited=1, others=1), 1),
        *disturbances("fit", machine(1, ran=7, waited=3, others=3), 1),
        *disturbances("fit", gpu(slowed=0.5), 1),
    ]
    told = remark(found, ["heat"])
    shares = "(share of the time: 30 % in fit, 10 % in evaluate; limit 5 %)"
    assert f"waited for other processes {shares}" in told
    assert "the GPU was slowed down by heat (share of the time: 50 % in fit" in told
    assert remark([]) == ""
