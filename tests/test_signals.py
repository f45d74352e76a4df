"""SIGHUP is as SIGTERM, a terminal that is gone harms nothing, and nohup keeps its promise."""

import os
import pty
import signal

import pytest

from hwlit.errors import Interrupted
from hwlit.signals import Signals, handled, leave_by_exception

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGHUP")


@pytest.fixture(autouse=True)
def _handlers():
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def forked(work):
    """Return the exit code of work in a forked process."""
    if not (pid := os.fork()):
        try:
            os._exit(work() or 0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGHUP, 129, "SIGHUP"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_by_an_exception_with_its_own_exit_code(number, code, name):
    leave_by_exception()
    with pytest.raises(Interrupted, match=name) as stopped:
        signal.raise_signal(number)
    assert stopped.value.exit_code == code
    with Signals(), pytest.raises(Interrupted, match=name):
        signal.raise_signal(number)


def test_within_the_train_loop_a_hangup_waits_for_the_step(capsys):
    with Signals() as signals:
        signals.deferred = True
        signal.raise_signal(signal.SIGHUP)
        assert signals.received
        assert "SIGHUP: finishing the step" in capsys.readouterr().err
        with pytest.raises(Interrupted):
            signals.stop()


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert signal.SIGHUP not in handled()
    leave_by_exception()
    with Signals():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_worker_leaves_signals_to_its_parent(capfd):
    def work():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)

    with Signals():
        assert forked(work) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("deferred", [False, True])
def test_a_terminal_that_is_gone_is_not_written_to(deferred):
    def work():
        ours, terminal = pty.openpty()
        os.dup2(terminal, 2)
        os.close(ours)
        with pytest.raises(OSError, match="Input/output error"):
            os.write(2, b"x")
        with Signals() as signals:
            signals.deferred = deferred
            if deferred:
                signal.raise_signal(signal.SIGHUP)
            else:
                with pytest.raises(Interrupted):
                    signal.raise_signal(signal.SIGHUP)
        os.write(2, b"x")

    assert forked(work) == 0
