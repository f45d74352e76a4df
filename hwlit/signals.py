"""SIGTERM and Ctrl-C: at once outside the train loop, after the step inside it.

Lightning ends a run that gets SIGTERM with exit code 0 and without a checkpoint. Here the handler
raises at once where nothing would be lost, and otherwise only notes the signal; the checkpoint
callback sees the note after the step, saves, and raises.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

from hwlit.errors import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Turns the two signals into `Interrupted` while the block lasts.

    Args:
        quiet: Says nothing on the screen: another process of the job does.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self.deferred = False
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        # Python lets the main thread alone set handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in HANDLED}
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
        if not self.deferred or self._received is not None:
            raise Interrupted(number)
        self._received = number
        if self._quiet:
            return
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        print(
            f"\nhwlit: {name}: finishing the step and saving; once more stops at once",
            file=sys.stderr,
        )
