"""What a study shows: its rows, those that are going on, and how long the rest will take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import fmean

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.study.outcome import read_if_there
from hwlit.study.progress import read_progress
from hwlit.study.store import Row, Store

STYLES = {"ok": "green", "running": "cyan", "waiting": "dim", "oom": "yellow", "timeout": "yellow"}


@dataclass
class Board:
    """Where a study stands.

    Args:
        store: Its directory.
        metric: The reading to rank by.
        names: Its cells, in order.
        workers: How many run at a time.
        rows: Those that have ended.
        running: When each that goes on began.
    """

    store: Store
    metric: str
    names: list[str]
    workers: int = 1
    rows: dict[str, Row] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)

    def left(self) -> float | None:
        """Return the seconds that the rest will take, by the mean of those that were finished."""
        times = [row.wall_time for row in self.rows.values() if row.status == "ok"]
        waiting = len(self.names) - len(self.rows)
        if not times or not waiting:
            return None
        gone = sum(time.time() - began for began in self.running.values())
        return max(fmean(times) * waiting - gone, 0.0) / self.workers

    def headline(self, eta: bool = True) -> str:
        """Return how many have ended, and when the rest will have.

        Args:
            eta: False where nothing goes on, so that the rest will not end.
        """
        told = f"{len(self.rows)} of {len(self.names)} done"
        failed = sum(row.status != "ok" for row in self.rows.values())
        told += f", {failed} not ok" if failed else ""
        left = self.left() if eta else None
        return told + (f", about {duration(left)} left" if left else "")

    def table(self, height: int | None = None) -> Table:
        """Return one line per cell, those that go on first where not all have room.

        Args:
            height: How many lines there is room for; None for all.
        """
        table = Table(box=None, pad_edge=False)
        for title in ("cell", "status", "progress", "time", self.metric):
            table.add_column(Text(title), no_wrap=True)
        names = self.names
        if height is not None and len(names) > height:
            ended = [name for name in names if name in self.rows]
            names = [*self.running, *reversed(ended), *names]
            names = list(dict.fromkeys(names))[: max(height, 1)]
        for name in names:
            table.add_row(*self._line(name))
        return table

    def _line(self, name: str) -> tuple[RenderableType, ...]:
        if (row := self.rows.get(name)) is not None:
            style = STYLES.get(row.status, "red")
            return (
                name, Text(row.status, style=style), "", duration(row.wall_time),
                metric_of(self.store, row, self.metric),
            )  # fmt: skip
        if (began := self.running.get(name)) is not None:
            at = read_progress(self.store.run(name), self.metric)
            return (
                name, Text("running", style="cyan"), str(at), duration(time.time() - began),
                Text(at.told, style="dim"),
            )  # fmt: skip
        return (name, Text("waiting", style="dim"), "", "", "")


def metric_of(store: Store, row: Row, metric: str) -> str:
    """Return a reading of a row's record as text; nothing where it has none."""
    value = read_if_there(store.run(row.name)).value(metric)
    return "" if value is None or row.run is None else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 41 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Lines:
    """Tells of a study line by line, where there is no terminal.

    Args:
        board: Where it stands.
        console: Where to print.
    """

    def __init__(self, board: Board, console: PlainConsole) -> None:
        self._board, self._console = board, console

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: each line is out already."""

    def begun(self, name: str, what: str) -> None:
        """Tell that a cell has begun."""
        self._say(f"{name}  {what}")

    def ended(self, row: Row) -> None:
        """Tell what became of a cell."""
        board = self._board
        value = metric_of(board.store, row, board.metric)
        told = [row.status, f"{board.metric} {value}" if value else "", row.reason or ""]
        words = ", ".join(part for part in told if part)
        self._say(f"{row.name}  {words}; {duration(row.wall_time)}; {board.headline()}")

    def refresh(self) -> None:
        """Do nothing: what has not ended is no line."""

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


class Screen(Lines):
    """Shows a study as a table that moves.

    Args:
        board: Where it stands.
        console: The terminal.
    """

    def __init__(self, board: Board, console: PlainConsole) -> None:
        super().__init__(board, console)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def begun(self, name: str, what: str) -> None:
        """Show it in the table."""
        self.refresh()

    def ended(self, row: Row) -> None:
        """Show it in the table, and above it the reason where it is not ok."""
        if row.status != "ok":
            super().ended(row)
        self.refresh()

    def refresh(self) -> None:
        """Draw the table anew."""
        height = max(self._console.height - 4, 1)
        shown = Group(self._board.table(height), Text(self._board.headline()))
        self._live.update(shown, refresh=True)


def show_board(board: Board, console: PlainConsole) -> None:
    """Print where a study stands, all of its cells."""
    console.print(board.table(), soft_wrap=True)
    for row in board.rows.values():
        if row.reason is not None:
            console.print(Text(f"{row.name}: {row.status}, {row.reason}"), soft_wrap=True)
    console.print(Text(board.headline(eta=bool(board.running))), soft_wrap=True)
