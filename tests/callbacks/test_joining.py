"""A process that waits for others in C++ ends where they do not come, and says so in a record."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

from hwlit.callbacks import joining
from hwlit.callbacks.joining import Joining
from hwlit.callbacks.ranks import in_place_of_killing
from hwlit.records import read_record

LONG = 60.0  # seconds that nothing here takes


class Noted(Joining):
    """Notes why it would leave."""

    def __init__(self):
        super().__init__(None)
        self.left, self.gone = [], threading.Event()

    def _leave(self, number):
        self.left.append(number)
        self.gone.set()


@pytest.fixture
def before():
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("before")
def test_another_thread_answers_a_signal_that_the_main_one_does_not(monkeypatch):
    monkeypatch.setattr(joining, "GRACE", 0.0)
    watch = Noted()
    # As a main thread in C++, it comes back only after the answer.
    signal.signal(signal.SIGTERM, lambda number, frame: watch.gone.wait(LONG))
    watch.begin()
    signal.raise_signal(signal.SIGTERM)
    assert watch.left == [signal.SIGTERM]
    watch.end()


@pytest.mark.usefixtures("before")
def test_a_signal_that_the_main_thread_answers_is_left_to_it(monkeypatch):
    monkeypatch.setattr(joining, "GRACE", LONG)
    watch = Noted()
    signal.signal(signal.SIGTERM, lambda number, frame: watch.end())
    others = set(threading.enumerate())
    watch.begin()
    (thread,) = set(threading.enumerate()) - others
    signal.raise_signal(signal.SIGTERM)
    thread.join(LONG)
    assert not thread.is_alive()
    assert watch.left == []
    assert signal.set_wakeup_fd(-1) == -1


class Failed:
    """A process that is found to have failed once it is asked for."""

    pid, returncode = 1, 1

    def __init__(self):
        self.asked = threading.Event()

    def poll(self):
        self.asked.wait(LONG)


def test_lightning_calls_us_in_place_of_killing():
    instead, failed = threading.Event(), Failed()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        observer = _ChildProcessObserver(victim.pid, [failed], sleep_period=0)
        observer.start()
        in_place_of_killing(instead.set)
        failed.asked.set()
        assert instead.wait(LONG)
        observer.join(LONG)
        assert victim.poll() is None
        in_place_of_killing(None)
        victim.communicate(b"\n")
        assert victim.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="fork")
@pytest.mark.parametrize(
    ("number", "code", "status"), [(signal.SIGTERM, 143, "interrupted"), (None, 6, "failed")]
)
def test_what_it_leaves_is_a_record(number, code, status, tmp_path):
    if not (pid := os.fork()):
        Joining(tmp_path)._leave(number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    record = read_record(tmp_path)
    assert record.status == status
    assert record.error
