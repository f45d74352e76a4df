"""One hostile input, and what must hold after it was tried."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hwlit.__main__ import main
from tools.bad_inputs import small
from tools.faults.workload import write_model, write_tweets

MARK = "pwned"
PROCESS_SECONDS = 300  # what takes so long hangs
ADDRESS_SPACE = 8 << 30  # of a process that is tried with little memory; torch alone maps 4 GiB


@dataclass(frozen=True)
class Stock:
    """What every case may copy from: `model/`, `tweets.csv` and `finished/`, a finished run."""

    path: Path

    @classmethod
    def prepare(cls, path: Path) -> Stock:
        """Write them; the run takes some seconds."""
        write_model(path / "model")
        write_tweets(path / "tweets.csv", 160)
        with contextlib.chdir(path), contextlib.redirect_stdout(io.StringIO()):
            assert main(["fit", *small(path, "finished"), "--trainer.max_epochs", "1"]) == 0
        return cls(path)

    def copy(self, name: str, to: Path) -> Path:
        """Copy a folder or file of these and return the copy."""
        if (self.path / name).is_dir():
            return Path(shutil.copytree(self.path / name, to))
        return Path(shutil.copyfile(self.path / name, to))

    def fit(self) -> list[str]:
        """Return the options of a fit that takes a second and writes to `run`."""
        return [*small(self.path, "")[:-1], "run"]


def nothing(here: Path, stock: Stock) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Hostile:
    """One hostile input.

    Args:
        name: What it is, in a few words; unique.
        kind: What it attacks: `code`, `files`, `screen` or `answer`.
        arguments: The command line. The working directory is `here`; `{stock}` stands for the
            stock's folder, `{outside}` for a folder that must not change, and the word `SMALL` for
            the options of a fit that takes a second, its output `run`.
        codes: The exit codes that are right.
        told: What the last line of standard error must hold.
        prepare: Writes into the working directory what the command line names.
        check: Looks at the working directory and all that was printed, and asserts the rest.
        process: Whether it runs in a process of its own: what ends, hangs or starts others.
        little_memory: Whether that process has little address space.
        environment: What its environment has beside.
        terminal: Whether what it prints goes to a terminal, though one without colours.
    """

    name: str
    kind: str
    arguments: tuple[str, ...]
    codes: tuple[int, ...]
    told: str = ""
    prepare: Callable[[Path, Stock], None] = nothing
    check: Callable[[Path, str], None] | None = None
    process: bool = False
    little_memory: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    terminal: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


class Terminal(io.StringIO):
    """A text that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@dataclass(frozen=True)
class Outcome:
    """What came back: exit code, what was printed, seconds, and what broke its promise."""

    code: int
    out: str
    error: str
    seconds: float
    broken: tuple[str, ...]


def attack(case: Hostile, stock: Stock, place: Path) -> Outcome:
    """Try one case in a new, empty folder and return what came back."""
    here, outside = place / "here", place / "outside"
    here.mkdir()
    outside.mkdir()
    (outside / "thesis.tex").write_text("mine")
    (outside / "my_backup.ckpt").write_text("mine, too")
    (outside / ".tmp-draft").write_text("and this")
    case.prepare(here, stock)
    before = _tree(outside), _tree(stock.path)
    words: list[str] = []
    for word in case.arguments:
        if word == "SMALL":
            words += stock.fit()
        else:
            words.append(
                word.replace("{stock}", str(stock.path)).replace("{outside}", str(outside))
            )
    start = time.perf_counter()
    code, out, error = _process(case, words, here) if case.process else _here(case, words, here)
    seconds = time.perf_counter() - start
    broken = []
    if code not in case.codes:
        broken.append(f"exit code {code}, not {' or '.join(map(str, case.codes))}")
    if case.told not in (error.strip().splitlines() or [""])[-1]:
        broken.append(f"the last line of standard error does not hold {case.told!r}")
    if "Traceback" in error:
        broken.append("a traceback")
    if ran := [path for path in place.rglob(f"*{MARK}*") if path.name.startswith(MARK)]:
        broken.append(f"code has run: {ran[0].relative_to(place)}")
    if (_tree(outside), _tree(stock.path)) != before:
        broken.append("files outside have changed")
    if obeyed := {c for c in out + error if not c.isprintable() and c not in "\n\r\t"}:
        broken.append(f"control characters were printed: {sorted(map(ascii, obeyed))}")
    if case.check is not None:
        try:
            case.check(here, out + error)
        except AssertionError as failed:
            broken.append(" ".join(str(failed).split()) or "its own check failed")
    return Outcome(code, out, error, seconds, tuple(broken))


def _here(case: Hostile, words: list[str], here: Path) -> tuple[int, str, str]:
    kind = Terminal if case.terminal else io.StringIO
    out, error = kind(), kind()
    with (
        contextlib.chdir(here),
        mock.patch.dict(os.environ, {"TERM": "dumb", **dict(case.environment)}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            code = main(words)
        except SystemExit as end:  # --help and --print_config
            code = int(end.code or 0)
    return code, out.getvalue(), error.getvalue()


def _process(case: Hostile, words: list[str], here: Path) -> tuple[int, str, str]:
    def limit() -> None:
        if case.little_memory:
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hwlit", *words], cwd=here, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=PROCESS_SECONDS, preexec_fn=limit, check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **dict(case.environment)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, "", "it hangs"
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


def _tree(folder: Path) -> dict[str, str]:
    """Return what lies in a folder: links by target, files by content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == ".lock":  # asked whether it is held
            continue
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder"
    return found
