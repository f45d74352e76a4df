import pytest

from hwlit.devices.cpu_model import CpuModel
from hwlit.devices.thread_power import LEAST, MOST, thread_power

TABLE = {"amd epyc 7763": 280.0, "intel xeon platinum 8259cl": 210.0, "intel core i7-8550u": 15.0}
EPYC = "AMD EPYC 7763 64-Core Processor"
XEON = "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"
LAPTOP = "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz"


def power(name, sockets=1, threads=None, shown=2):
    model = CpuModel(name, sockets, threads is None, threads, "by its name", shown)
    return thread_power(model, TABLE, usual=4.0)


def test_a_share_of_the_tdp_with_half_and_twice_of_it():
    found = power(EPYC, threads=128)
    assert (found.low, found.middle, found.high) == (280 / 256, 280 / 128, 280 / 64)
    assert "TDP 280 W in CodeCarbon's table / 128 threads" in found.how


@pytest.mark.parametrize("shown", [1, 2, 8, 64])
def test_a_name_and_the_size_of_the_virtual_machine_do_not_decide(shown):
    named, nameless = power(EPYC, threads=128, shown=shown), power("AMD EPYC", shown=shown)
    assert nameless.low <= named.middle <= nameless.high
    assert named.low <= nameless.middle <= named.high
    assert max(named.middle, nameless.middle) < 2 * min(named.middle, nameless.middle)


@pytest.mark.parametrize("threads", [None, 2, 4])  # of a virtual machine that hides that it is one
def test_a_tdp_without_a_number_of_threads_is_not_divided(threads):
    found = power(XEON, threads=threads)
    assert (found.low, found.middle, found.high) == (LEAST, 4, MOST)
    assert "TDP 210 W" in found.how
    assert "does not show how many threads" in found.how


def test_a_processor_shown_with_many_threads_draws_no_more_than_its_tdp_in_all():
    found = power(LAPTOP, shown=8)
    assert found.middle == 15 / 8
    assert found.low < found.middle < found.high == 2 * 15 / 8


@pytest.mark.parametrize(
    "name", ["Apple M1 Max", "aarch64", "QEMU Virtual CPU version 2.5+", "Acme 7763", "Intel", ""]
)
def test_a_similar_name_is_not_taken_for_the_processor(name):
    found = power(name)
    assert (found.low, found.middle, found.high) == (LEAST, 4, MOST)
    assert "not in its table" in found.how


@pytest.mark.parametrize("sockets", [1, 2, 4])
def test_sockets_do_not_change_what_a_thread_draws(sockets):
    assert power(EPYC, sockets, threads=128).middle == 280 / 128
    assert power(XEON, sockets).middle == 4
