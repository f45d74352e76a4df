"""TensorBoard's event files under names that do not hold the machine's, which people upload."""

from __future__ import annotations

import io
import itertools
import os
import time
from pathlib import Path
from typing import cast

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

VERSION = "brain.Event:2"
LARGEST_WAIT = 2**16  # bytes
_numbers = itertools.count()


class Records:
    """An event file, with the face of tensorboard's `EventFileWriter`.

    Args:
        folder: Where it lies; made if need be.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        Path(folder).mkdir(parents=True, exist_ok=True)
        # As tensorboard's own, but for the name of the host.
        name = f"events.out.tfevents.{int(time.time()):010d}.hwlit.{os.getpid()}.{next(_numbers)}"
        self._path, self._waiting = Path(folder, name), io.BytesIO()
        self._records = RecordWriter(self._waiting)
        self.add_event(Event(wall_time=time.time(), file_version=VERSION))
        self.flush()

    def get_logdir(self) -> str:
        """Return the folder."""
        return self._folder

    def add_event(self, event: Event) -> None:
        """Add an event; it lies in the file after the next flush."""
        self._records.write(event.SerializeToString())
        if self._waiting.tell() > LARGEST_WAIT:
            self.flush()

    def flush(self) -> None:
        """Write what waits; the file is open no longer than that."""
        with self._path.open("ab") as file:
            file.write(self._waiting.getvalue())
        self._waiting.seek(0)
        self._waiting.truncate()

    def close(self) -> None:
        """Write what waits."""
        self.flush()


class EventFile(FileWriter):
    """Torch's writer of events, into such a file."""

    def __init__(self, folder: str) -> None:
        self.event_writer = Records(folder)


class EventWriter(SummaryWriter):
    """Torch's writer of summaries, into such a file; takes the same arguments."""

    def _get_file_writer(self) -> FileWriter:
        if self.file_writer is None:
            writer = EventFile(str(self.log_dir))
            self.file_writer = writer  # type: ignore[assignment]
            self.all_writers = {str(self.log_dir): writer}  # type: ignore[assignment]
            if self.purge_step is not None:  # what was shown from this step on comes again
                start = SessionLog(status=SessionLog.START)
                writer.add_event(Event(step=self.purge_step, file_version=VERSION))
                writer.add_event(Event(step=self.purge_step, session_log=start))
                self.purge_step = None
        return cast(FileWriter, self.file_writer)
