"""From a cell to its row: go on, begin anew, or take over what a killed study left running."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hwlit.study.cells import Budget, Cell
from hwlit.study.left_behind import left_behind
from hwlit.study.outcome import Outcome, judge, read_if_there
from hwlit.study.processes import Ending, Job, stop_left_behind
from hwlit.study.store import RESUMABLE, UNFINISHED, Row, Store

QUIET = ("--trainer.enable_progress_bar", "false")  # a log is no terminal


@dataclass
class Attempt:
    """One attempt at a cell.

    Args:
        cell: The cell.
        number: How many there have been with it.
        offset: Where its output begins in the cell's log.
        began: Seconds since the epoch.
        ending: What it comes to.
        adopted: Whether a killed study had started it.
        remarks: What is to be kept in mind of its row.
    """

    cell: Cell
    number: int
    offset: int
    began: float
    ending: Future[Ending]
    adopted: bool = False
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Attempts:
    """Starts the cells of a study and turns what they come to into rows.

    Args:
        store: The study's directory.
        program: What `hwlit` is called by.
        budget: What each may use.
        submit: Starts a job.
        grace: Seconds that a run has to save when it is told to stop.
        retry: Tries cells again that failed.
        environment: What their environment has beside this one's.
        remarks: What is to be kept in mind of every row.
    """

    store: Store
    program: Sequence[str]
    budget: Budget
    submit: Callable[[Job], Future[Ending]]
    grace: float = 120.0
    retry: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def left_behind(self, name: str) -> psutil.Process | None:
        """Return the process that a killed study left running in a cell's directory."""
        store = self.store
        return left_behind(store.started(name), store.run(name), self.program_name)

    @property
    def program_name(self) -> str:
        """The file name of what runs are started by."""
        return Path(self.program[-1]).name

    def finished(self, cell: Cell) -> Row | None:
        """Return the row of a cell that is done; None where there is something to run."""
        row = self.store.row(cell.name)
        if row is None or row.config_hash != cell.config_hash() or self._is_outdated(cell, row):
            return None
        again = row.status in UNFINISHED or (self.retry and row.status != "ok")
        return None if again else row

    def end_without_source(self, cell: Cell) -> Row | None:
        """Write and return the row of a cell whose source did not end well; else None."""
        source = None if cell.source is None else self.store.row(cell.source)
        if cell.source is None or (source is not None and source.status == "ok"):
            return None
        status = "failed" if source is None else source.status
        row = Row(
            name=cell.name, values=dict(cell.values), config_hash=cell.config_hash(), status=status,
            reason=f"what it quantises, the run {cell.source}, did not end well ({status})",
            exit_code=None, attempts=0, run=None, wall_time=0.0,
        )  # fmt: skip
        self.store.write(row)
        return row

    def begin(self, cell: Cell, running: psutil.Process | None = None) -> Attempt:
        """Start a cell, or go on with it.

        Args:
            cell: The cell.
            running: The process that runs it already, where one was found.
        """
        store, before = self.store, self.store.attempt(cell.name)
        row, asked = store.row(cell.name), cell.config_hash()
        left = self.left_behind(cell.name) or running
        same = before.get("config_hash", asked) == asked
        number = int(before.get("attempts", 0)) if same else 0
        if left is not None and not same:
            stop_left_behind(left, self.grace)
            left = None
        stale = not same or self._is_no_run(store.run(cell.name))
        if cell.source is not None:  # quantising begins anew
            ended = read_if_there(store.run(cell.name)).status == "ok"
            stale = stale or not ended or self._is_older(cell)
        if row is not None:
            stale = stale or row.config_hash != asked or row.status not in RESUMABLE
        if left is None and stale:
            store.set_aside(cell.name)
        done = same and read_if_there(store.run(cell.name)).status == "ok"
        command = None if left is not None or done else self._command(cell)
        number += command is not None
        # What disturbed the attempt that this one goes on with is in the times of the whole.
        earlier = () if left is None and stale else before.get("remarks", ())
        remarks = list(dict.fromkeys([*earlier, *([] if done else self.remarks)]))
        facts = {"config_hash": asked, "attempts": max(number, 1), "remarks": remarks}
        log = store.log(cell.name)
        offset = log.stat().st_size if log.is_file() else 0
        job = Job(
            command, log, store.started(cell.name), facts,
            None if left is None else (left.pid, left.create_time()),
            self.budget, self.grace, self.environment,
        )  # fmt: skip
        ending = self.submit(job)
        return Attempt(cell, max(number, 1), offset, time.time(), ending, command is None, remarks)

    def end(self, attempt: Attempt) -> Row | None:
        """Write the row of an attempt that has ended.

        Returns:
            The row; None where nobody saw how it ended, so that the cell is to be begun again.
        """
        name, store = attempt.cell.name, self.store
        error = attempt.ending.exception()
        if error is None:
            ending = attempt.ending.result()
            outcome = judge(ending, store.run(name), store.log(name), attempt.offset, self.budget)
        else:
            ending = Ending(None, wall_time=time.time() - attempt.began)
            said = (str(error).strip() or type(error).__name__).partition("\n")[0]
            outcome = Outcome("failed", f"its worker was lost ({said})")
        if outcome is None:
            return None
        row = Row(
            name=name, values=dict(attempt.cell.values), config_hash=attempt.cell.config_hash(),
            status=outcome.status, reason=outcome.reason, exit_code=ending.exit_code,
            attempts=attempt.number,
            run=f"runs/{name}" if store.run(name).is_dir() else None,
            wall_time=round(_wall_time(ending, store.run(name)), 3), remarks=attempt.remarks,
        )  # fmt: skip
        store.write(row)
        return row

    def _is_outdated(self, cell: Cell, row: Row) -> bool:
        """Return whether what a cell quantises has changed since."""
        return cell.source is not None and (row.attempts == 0 or self._is_older(cell))

    def _is_older(self, cell: Cell) -> bool:
        """Return whether a cell was quantised before the run that there is now was trained."""
        assert cell.source is not None
        mine, trained = (read_if_there(self.store.run(n)) for n in (cell.name, cell.source))
        return (mine.started or "") < (trained.started or "")

    @staticmethod
    def _is_no_run(folder: Path) -> bool:
        """Return whether a directory holds what `fit` neither goes on with nor begins in."""
        if not folder.is_dir() or (folder / "config.yaml").is_file():
            return False
        return any(not entry.name.startswith(".") for entry in folder.iterdir())

    def _command(self, cell: Cell) -> tuple[str, ...]:
        run = self.store.run(cell.name)
        words = [*cell.arguments(run.parent), "--output", str(run)]
        if cell.source is not None:
            return (*self.program, *words)
        if (run / "config.yaml").is_file():
            return (*self.program, "fit", "--resume", str(run))
        return (*self.program, *words, *QUIET)


def _wall_time(ending: Ending, run: Path) -> float:
    """Return the seconds of an attempt; of one that nobody saw end, what its record says."""
    if ending.exit_code is not None:
        return ending.wall_time
    known = read_if_there(run).value("run/wall_time")
    return ending.wall_time if known is None else known
