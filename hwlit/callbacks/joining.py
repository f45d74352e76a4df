"""Signals and lost processes while the processes of a job wait for one another.

They wait in C++, where Python answers no signal; and Lightning kills the first of them where
another one fails, so that it could write no record.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from hwlit.callbacks.ranks import end_started, in_place_of_killing
from hwlit.errors import Interrupted, ResourceError
from hwlit.records import Record, write_record
from hwlit.signals import handled

GRACE = 2.0  # seconds for the main thread to answer a signal by itself
POLL = 0.2


class Joining(Callback):
    """Ends this process, by another thread, where it would wait for others that do not come.

    Args:
        output: The run's directory, where this is the first process, which writes the record.
    """

    def __init__(self, output: Path | None) -> None:
        self._output = output
        self._over: threading.Event | None = None

    def begin(self) -> None:
        """Watch from now on; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._over, self._answered = threading.Event(), handled()
        self._reading, self._writing = socket.socketpair()
        self._reading.settimeout(POLL)
        self._writing.setblocking(False)
        # Python writes a signal's number there at once, wherever the main thread is.
        self._before = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        watch = threading.Thread(target=self._watch, args=(self._over,), daemon=True)
        watch.name = "joining"
        watch.start()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End: all processes are there."""
        self.end()

    def end(self) -> None:
        """Watch no more; nothing happens where it did not begin."""
        if self._over is None or self._over.is_set():
            return
        self._over.set()
        signal.set_wakeup_fd(self._before)
        in_place_of_killing(None)

    def _watch(self, over: threading.Event) -> None:
        with self._reading, self._writing:
            while not over.is_set():
                in_place_of_killing(lambda: self._leave(None))  # once there is who kills
                try:
                    number = self._reading.recv(1)[0]
                except TimeoutError:
                    continue
                if number in self._answered and not over.wait(GRACE):
                    self._leave(number)
        in_place_of_killing(None)

    def _leave(self, number: int | None) -> None:
        """Write the record and end this process, for a signal or, with None, for a lost process."""
        lost = ResourceError("another process of the job ended before all had joined; see above")
        error = lost if number is None else Interrupted(number)
        if self._output is not None:
            record = Record(
                status="failed" if number is None else "interrupted",
                error=str(error),
                readings={},
                absent={},
            )
            with contextlib.suppress(OSError, ResourceError):  # a full disk, a closed terminal
                write_record(record, self._output / "record.json")
                again = f"go on with: hwlit fit --resume {shlex.quote(str(self._output))}"
                print(f"hwlit: {error}; {again}", file=sys.stderr, flush=True)
        end_started()
        os._exit(error.exit_code)
