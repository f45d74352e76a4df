"""The command `hwlit study`: run FILE, status DIR."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.errors import Interrupted, ResourceError, UsageError
from hwlit.options import parser
from hwlit.plain_text import say
from hwlit.run_directory import hold_directory
from hwlit.shipped import config_names, config_root
from hwlit.study import ray_cluster
from hwlit.study.asked import asked_study, run_parser, selected
from hwlit.study.attempts import Attempts
from hwlit.study.board import Board, Lines, Screen, show_board
from hwlit.study.cells import Cell
from hwlit.study.findings import chosen, largest
from hwlit.study.hardware import runnable
from hwlit.study.inside import refuse_links
from hwlit.study.left_behind import left_behind
from hwlit.study.plan import Study
from hwlit.study.processes import Ending, Job, attend
from hwlit.study.run import Runner, Switch, stopping
from hwlit.study.store import Store

HELP = """\
usage: hwlit study run FILE [options]
       hwlit study status DIR

Run every cell of a study as a process of its own; each leaves one row, whatever becomes of it.
The same command goes on with a study that was stopped, and runs nothing twice.

studies that come with hwlit
{studies}

`hwlit study run --help` lists the options."""
PROGRAM = (sys.executable, "-P", "-m", "hwlit")


def main(words: Sequence[str], program: Sequence[str] = PROGRAM) -> int:
    """Run the command.

    Args:
        words: The command line after `study`.
        program: What each run is started by; `hwlit`, but for tests.

    Returns:
        The exit code: 0 where every row is ok, or out of memory in a search for the limit.

    Raises:
        UsageError: The command line or the study's file cannot be used as given.
        Interrupted: A signal stopped it.
    """
    command, *rest = words or ("--help",)
    if command in ("--help", "-h"):
        told = HELP.format(studies="\n".join(f"  {line}" for line in shipped_studies()))
        say(*told.split("\n"))
        return 0
    if command == "status":
        return _status(rest)
    if command == "run":
        return run_study(run_parser().parse_args(rest), program)
    near = difflib.get_close_matches(command, ("run", "status"), n=1)
    hint = (
        f"did you mean {near[0]!r}" if near else f"hwlit study run {shlex.quote(command)} runs it"
    )
    raise UsageError(f"hwlit study has no {command!r}; {hint}")


def shipped_studies() -> list[str]:
    """Return the shipped studies, each with the first line of its comment."""
    names = [name for name in config_names() if name.startswith("studies/")]
    told = []
    for file in [config_root() / f"{name}.yaml" for name in names]:
        title = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        told.append(f"{file.stem:<26} {title}")
    return told


def run_study(asked: argparse.Namespace, program: Sequence[str]) -> int:
    """Run a study as the options say; see `main`."""
    console = PlainConsole()
    if asked.workers is not None and asked.workers < 1:
        raise UsageError(f"--workers is {asked.workers}; give 1 or more")
    study, store, remark = asked_study(asked)
    if remark:
        _say(console, remark)
    wanted = selected(study, asked.only)
    cells, lacking = runnable(wanted) if asked.launcher == "local" else (wanted, [])
    if lacking:
        left_out = f"{len(wanted) - len(cells)} of {len(wanted)} cells are left out"
        _say(console, f"{left_out}: this machine has no {', '.join(lacking)}")
    if not cells:
        raise ResourceError("no cell can run here; leave out --only, or change the axis hardware")
    if asked.dry_run:
        for cell in cells:
            words = cell.arguments((asked.output or Path("studies", study.name)) / "runs")
            say(cell.name, f"  {shlex.join(['hwlit', *words])}")
        say(f"{len(cells)} runs" + ("" if study.search is None else ", each a search"))
        return 0
    with _held(store, study.name):
        names = store.known() if study.search else [cell.name for cell in study.cells]
        store.begin(study, names)
        for name in names:
            store.row(name)  # a damaged one is told before anything runs
        return _run(study, cells, store, asked, program, console)


def _run(
    study: Study,
    cells: Sequence[Cell],
    store: Store,
    asked: argparse.Namespace,
    program: Sequence[str],
    console: PlainConsole,
) -> int:
    names = [] if study.search else [cell.name for cell in cells]
    local = asked.launcher == "local"
    workers = asked.workers or (1 if local else len(cells))
    board = Board(store, study.metric, names, workers)
    environment = _threads(workers) if local else {}
    with launching(asked.launcher, workers, store, study) as (submit, stop), stopping(stop) as came:
        attempts = Attempts(
            store, program, study.budget, submit, asked.grace, asked.retry, environment
        )
        going = min(workers, sum(attempts.finished(cell) is None for cell in cells))
        if local and going > 1:
            remark = (
                f"{going} runs at a time: their times, latencies and energy disturb one another"
            )
            attempts = replace(attempts, remarks=[remark])
            _say(console, remark)
        display = (Screen if console.is_terminal else Lines)(board, console)
        runner = Runner(study, cells, attempts, board, display, stop)
        try:
            runner.run()
        except KeyboardInterrupt:
            runner.end_at_once()
    show_board(board, console)
    for line in _findings(study, store, board.names):
        _say(console, line)
    if came:
        error = Interrupted(came[0])
        error.add_note("go on with the same command")
        raise error
    _say(console, f"written: {store.path}; compare the rows with: hwlit compare {store.path}")
    fine = ("ok", "oom") if study.search else ("ok",)
    return 0 if all(row.status in fine for row in board.rows.values()) else 1


@contextlib.contextmanager
def launching(
    launcher: str, workers: int, store: Store, study: Study
) -> Iterator[tuple[Callable[[Job], Future[Ending]], Switch]]:
    """Yield what starts a run, and what stops all of them."""
    if launcher == "ray":
        yield ray_cluster.connect(store.path, study.resources)
        return
    stop = Event()
    with ThreadPoolExecutor(workers) as pool:
        yield lambda job: pool.submit(attend, job, stop), stop


def _findings(study: Study, store: Store, names: Sequence[str]) -> list[str]:
    if study.search is not None:
        return largest(store, study)
    told = chosen(store, names, study.choose) if study.choose else None
    return [told] if told else []


def _status(words: Sequence[str]) -> int:
    options = parser("study status", "Print where a study stands.")
    options.add_argument("directory", type=Path, help="the study's directory")
    store = Store(options.parse_args(words).directory.absolute())
    facts = store.facts()
    refuse_links(store.path)
    board = Board(store, facts["metric"], facts["cells"])
    for name in board.names:
        process = left_behind(store.started(name), store.run(name), PROGRAM[-1])
        if process is not None:
            board.running[name] = process.create_time()
        elif (row := store.row(name)) is not None:
            board.rows[name] = row
    show_board(board, PlainConsole())
    if facts.get("choose") and (told := chosen(store, board.names, facts["choose"])):
        say(told)
    return 0


def _threads(workers: int) -> dict[str, str]:
    """Return the threads that each of several runs at a time gets."""
    if workers == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // workers, 1))}


@contextlib.contextmanager
def _held(store: Store, name: str) -> Iterator[None]:
    """Hold a study's directory while the block lasts."""
    if store.path.is_file():
        raise UsageError(f"--output {store.path} is a file; give a directory")
    store.path.mkdir(parents=True, exist_ok=True)
    refuse_links(store.path)  # before the lock is opened, which might be one
    lock = hold_directory(store.path, name)
    try:
        yield
    finally:
        lock.release()


def _say(console: PlainConsole, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
