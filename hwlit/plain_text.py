"""Texts of strangers as plain text: on the screen, in Markdown, in a spreadsheet.

Labels, file names, reasons and remarks come from files that somebody else wrote. A terminal obeys
what is in them, Markdown makes links and pictures of it, a spreadsheet computes it. All that hwlit
prints goes through `say` or `hwlit.console`, and what libraries print through `Plain`. Standard
library only.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

BARS = re.compile(r"[\n\r]*(\x1b\[A)*")  # how tqdm moves between several bars
TICKS = re.compile(r"`+")
# An address of the web becomes a link by itself.
LINKED = re.compile(r"(?<=[A-Za-z]):(?=//)|(?<=www)\.|@", re.IGNORECASE)
# What begins a list or a rule at the start of a line; a number with a point in it does not.
LISTED = re.compile(r"^([-+](?=\s|$)|[-=](?=[-=]|$)|\d+(?=[.)](?:\s|$)))")
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: str) -> str:
    """Return a text as one line without anything that a terminal or a page would obey.

    White space of any kind becomes a space. A question mark stands for what has no shape of its
    own: controls, signs that turn the direction of writing or have no width, half surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def in_markdown(text: str) -> str:
    """Return a text that Markdown shows as it stands, in a line or in a cell of a table."""
    text = " ".join(printable(text).split())
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    text = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)
    text = LINKED.sub(lambda found: "&#64;" if found[0] == "@" else f"\\{found[0]}", text)
    return LISTED.sub(r"\1\\" if text[:1].isdigit() else r"\\\1", text)


def code(text: str) -> str:
    """Return a text as code in a line of Markdown."""
    text = printable(text)
    ticks = "`" * (1 + max((len(run) for run in TICKS.findall(text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def spreadsheet(value: Any) -> Any:
    """Return a cell of a table that is made for people: no text of it is taken for a formula."""
    if not isinstance(value, str):
        return value
    value = printable(value)
    # As spreadsheets do, with an apostrophe; a number stays one.
    return f"'{value}" if value.lstrip().startswith(FORMULA) and not is_number(value) else value


def say(*lines: object, error: bool = False) -> None:
    """Print each text as one line.

    Args:
        lines: The texts.
        error: Whether on standard error.
    """
    for line in lines:
        print(printable(str(line)), file=sys.stderr if error else sys.stdout)


def is_screen() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def write_data(text: str) -> None:
    """Write what the user asked for to standard output as it is, in UTF-8 like a file of it.

    Args:
        text: Lines; where standard output is a terminal, each without what it would obey.
    """
    if is_screen():
        say(*text.removesuffix("\n").split("\n"))
        return
    stream = sys.stdout.stream if isinstance(sys.stdout, Plain) else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")
    stream.write(text)


class Plain:
    """A stream that lets no control character through, but those by which tqdm moves its bars.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what else a stream has."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; its lines stay lines."""
        if not text.isprintable() and BARS.fullmatch(text) is None:
            inner = text.strip("\r")
            start = text.index(inner) if inner else 0
            lines = "\n".join(
                "\t".join(map(printable, line.split("\t"))) for line in inner.split("\n")
            )
            text = text[:start] + lines + text[start + len(inner) :]
        return self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)


class Outliving:
    """A stream whose reader may end: what is printed from then on goes nowhere.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what else a stream has."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            to_nowhere(self.stream)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            to_nowhere(self.stream)


def to_nowhere(stream: TextIO) -> None:
    """Let what a stream still holds, and whatever follows, go nowhere: its reader has ended."""
    with contextlib.suppress(OSError):  # one that is no file holds nothing
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def open_closed_streams() -> None:
    """Open what the shell has closed (`>&-`): a file of ours would get its number, and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


@contextlib.contextmanager
def plain_streams(bars: bool, outlive: bool = False) -> Iterator[None]:
    """Let what libraries print be plain while the block lasts.

    Args:
        bars: Whether rich's progress bars are to be drawn, where standard output is a terminal.
        outlive: Whether to go on where nobody reads any more what is printed.
    """
    before = sys.stdout, sys.stderr
    if outlive and sys.stdout is not None and not is_screen():
        sys.stdout = cast(TextIO, Outliving(sys.stdout))
    if outlive and sys.stderr is not None:
        sys.stderr = cast(TextIO, Outliving(sys.stderr))
    if sys.stdout is not None and not (bars and is_screen()):
        sys.stdout = cast(TextIO, Plain(sys.stdout))
    if sys.stderr is not None:
        sys.stderr = cast(TextIO, Plain(sys.stderr))
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()  # a reader that has ended is met here, not at the very end
    finally:
        sys.stdout, sys.stderr = before


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
