"""Run a study: its cells one after another, each a process of its own, until all have a row."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

import psutil

from hwlit.signals import handled
from hwlit.study.attempts import Attempt, Attempts
from hwlit.study.board import Board, Lines
from hwlit.study.cells import Cell
from hwlit.study.left_behind import running_in
from hwlit.study.outcome import read_if_there
from hwlit.study.plan import Study
from hwlit.study.processes import Flag, end_group, stop_left_behind
from hwlit.study.store import Row
from hwlit.study.tensorboard import write_session

REFRESH = 0.5  # seconds between two looks at what goes on


class Switch(Flag, Protocol):
    """A flag that can be set."""

    def set(self) -> None:
        """Set it."""


class Runner:
    """Takes the cells of a study to their rows.

    Args:
        study: The study.
        cells: Those of its cells that are to be run.
        attempts: Starts and ends them.
        board: Where the study stands.
        display: Shows it.
        stop: Set when the study is to end.
    """

    def __init__(
        self,
        study: Study,
        cells: Sequence[Cell],
        attempts: Attempts,
        board: Board,
        display: Lines,
        stop: Flag,
    ) -> None:
        self._study, self._attempts, self._board = study, attempts, board
        self._display, self._stop, self._store = display, stop, attempts.store
        self._active: dict[str, Attempt] = {}
        self._made_for: dict[str, Cell] = {}  # of a try of a search, what it is made for
        self._queue: deque[Cell] = deque()
        for cell in cells:
            self._ask(cell if study.search is None else self._next_try(cell))

    def run(self) -> None:
        """Run until every cell has a row, or the study is stopped."""
        running = self._left_behind()
        with self._display:
            while True:
                while self._queue and len(self._active) < self._board.workers:
                    if self._stop.is_set():
                        self._queue.clear()
                        break
                    if (cell := self._ready()) is None:
                        break
                    self._queue.remove(cell)
                    self._begin(cell, running)
                if not self._active:
                    return
                endings = [attempt.ending for attempt in self._active.values()]
                wait(endings, REFRESH, FIRST_COMPLETED)
                for attempt in [a for a in self._active.values() if a.ending.done()]:
                    self._end(attempt)
                self._display.refresh()

    def end_at_once(self) -> None:
        """End the runs that go on, without waiting for what they would still save."""
        for name in list(self._active):
            if (process := self._attempts.left_behind(name)) is not None:
                end_group(process.pid)

    def _left_behind(self) -> dict[str, psutil.Process]:
        """Return the runs that a killed study left running; end those that nobody asks for."""
        asked = {cell.name for cell in self._queue}
        found = {}
        for path in sorted((self._store.path / "started").glob("*.json")):
            if (process := self._attempts.left_behind(path.stem)) is not None:
                found[path.stem] = process
        folders = [run for run in (self._store.path / "runs").glob("*") if run.name not in found]
        others = running_in(folders, self._attempts.program_name)
        found |= {run.name: process for run, process in others.items()}
        for name in found.keys() - asked:
            stop_left_behind(found.pop(name), self._attempts.grace)
        first = sorted(self._queue, key=lambda cell: cell.name not in found)
        self._queue = deque(first)
        return found

    def _ready(self) -> Cell | None:
        """Return the next cell that can begin; None where each waits for the run it quantises."""
        ready = (cell for cell in self._queue if cell.source is None or self._ended(cell.source))
        return next(ready, None)

    def _ended(self, name: str) -> bool:
        return name not in self._active and all(cell.name != name for cell in self._queue)

    def _begin(self, cell: Cell, running: dict[str, psutil.Process]) -> None:
        if (row := self._attempts.finished(cell)) is not None:
            self._note(row)
            return
        if (row := self._attempts.end_without_source(cell)) is not None:
            self._note(row)
            self._display.ended(row)
            return
        attempt = self._attempts.begin(cell, running.pop(cell.name, None))
        self._active[cell.name] = attempt
        self._board.running[cell.name] = attempt.began
        what = "goes on: an earlier study had started it" if attempt.adopted else "started"
        self._display.begun(cell.name, what)

    def _end(self, attempt: Attempt) -> None:
        row = self._attempts.end(attempt)
        name = attempt.cell.name
        del self._active[name], self._board.running[name]
        if row is None:
            self._queue.appendleft(attempt.cell)
            return
        write_session(self._store.path / "tensorboard" / name, read_if_there(self._store.run(name)))
        self._note(row)
        self._display.ended(row)

    def _note(self, row: Row) -> None:
        self._board.rows[row.name] = row
        if (template := self._made_for.get(row.name)) is not None:
            self._ask(self._next_try(template))

    def _next_try(self, template: Cell) -> Cell | None:
        """Return the next try of a search; None where there is none, or one failed otherwise."""
        search = self._study.search
        assert search is not None
        tried = [name for name, cell in self._made_for.items() if cell is template]
        rows = [self._board.rows[name] for name in tried]
        if any(row.status not in ("ok", "oom") for row in rows):
            return None
        axis = search.key.rpartition(".")[2]
        fits = {int(row.values[axis]): row.status == "ok" for row in rows}
        if (value := search.next_value(fits)) is None:
            return None
        cell = template.tried(search.key, value, self._study.budget.memory)
        self._made_for[cell.name] = template
        return cell

    def _ask(self, cell: Cell | None) -> None:
        if cell is None:
            return
        self._queue.append(cell)
        if cell.name not in self._board.names:
            self._board.names.append(cell.name)
            known = self._store.known()
            self._store.begin(self._study, list(dict.fromkeys([*known, cell.name])))


@contextmanager
def stopping(stop: Switch) -> Iterator[list[int]]:
    """Set the flag on Ctrl-C, SIGTERM and SIGHUP while the block lasts.

    Yields:
        The signals that came, in order; a second one is an exception where the program stands.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        stop.set()
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {n: signal.signal(n, note) for n in handled()}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
