"""SIGTERM, SIGHUP and Ctrl-C: at once outside the train loop, after the step inside it.

Lightning ends a run that gets SIGTERM with exit code 0 and without a checkpoint. Here the handler
raises at once where nothing would be lost, and otherwise only notes the signal; the checkpoint
callback sees the note after the step, saves, and raises. SIGHUP, of a terminal or ssh that is gone,
is as SIGTERM, unless it was ignored when hwlit began, as `nohup` does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

from hwlit.errors import Interrupted

HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


def handled() -> list[int]:
    """Return the signals that are answered by saving and ending."""
    found = [int(signal.SIGINT), int(signal.SIGTERM)]
    if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
        found.append(int(HANGUP))
    return found


def leave_by_exception() -> None:
    """Let SIGTERM and SIGHUP raise `Interrupted`: the exit code is ours, and files are closed.

    Python itself raises KeyboardInterrupt on Ctrl-C.
    """
    for number in set(handled()) - {signal.SIGINT}:
        signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    _leave_terminal(number)
    raise Interrupted(number)


def _leave_terminal(number: int) -> None:
    """Let what is still printed go nowhere where the terminal is gone: writing would fail."""
    for stream in (1, 2) if number == HANGUP else ():
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


class Signals:
    """Turns the signals into `Interrupted` while the block lasts.

    Args:
        quiet: Says nothing on the screen: another process of the job does.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self.deferred = False
        self._received: int | None = None
        self._before: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Signals:
        # Python lets the main thread alone set handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in handled()}
            self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def install(self) -> None:
        """Put the handlers in place, also over those that Lightning sets at the start of a fit."""
        for number in self._before:
            signal.signal(number, self._handle)

    @property
    def received(self) -> bool:
        """Whether a signal waits for the end of the step."""
        return self._received is not None

    def stop(self) -> None:
        """End the run for the signal that was received; by any process of the run.

        Raises:
            Interrupted: Always.
        """
        raise Interrupted(self._received or signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that was forked here: its parent ends it
            return
        _leave_terminal(number)
        if not self.deferred or self._received is not None:
            raise Interrupted(number)
        self._received = number
        if self._quiet:
            return
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        told = f"\nhwlit: {name}: finishing the step and saving; once more stops at once"
        with contextlib.suppress(OSError):  # nobody may be there to read it
            print(told, file=sys.stderr)
