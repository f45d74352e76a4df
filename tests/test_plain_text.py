import io
import re
import sys

import pytest
from markdown_it import MarkdownIt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.errors import HwlitError
from hwlit.plain_text import (
    Plain,
    code,
    in_markdown,
    plain_streams,
    printable,
    say,
    spreadsheet,
    write_data,
)

OBEYED = "\x00\x07\x08\x1b\x7f\x85\x9b\xad\u200b\u200d\u202e\u2028\u2066\ufeff\ud800\udcff\n\r\t\v"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_that_a_terminal_obeys_is_printable():
    told = printable(f"a{OBEYED}é日本b")
    assert told.isprintable()
    assert len(told) == len(OBEYED) + 5
    assert told.startswith("a?")
    assert told.endswith("é日本b")
    assert printable("a\nhwlit: ok") == "a hwlit: ok"


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>", "[a](http://b.c)", "![a](b)", "`a`", "*a*", "_a_", "~~a~~",
        "# a", "- a", "+ a", "1. a", "12) a", "> a", "===", "---", "a | b", "a\n\n# b", "&lt;b&gt;",
        "<!-- a", "[a]: b", "    a", "~~~", "a\\", "<http://a.b>", "a  \nb", "$a$", "\t- a",
    ],
)  # fmt: skip
def test_markdown_shows_a_text_as_it_stands(text):
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(in_markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children
    assert {child.type for child in children} == {"text"}
    assert "".join(child.content for child in children) == " ".join(text.split())


@pytest.mark.parametrize("text", ["http://a.b", "www.a.b", "WWW.a.b", "ftp://a", "a@b.c"])
def test_an_address_becomes_no_link_by_itself(text):
    escaped = in_markdown(text)
    assert not re.search(r"(?<!\\)://|www\.|@", escaped, re.IGNORECASE)
    assert MarkdownIt().renderInline(escaped) == text


@pytest.mark.parametrize("text", ["a", "`a`", "``", "a``b`", "", "a\nb`"])
def test_code_is_code_whatever_it_holds(text):
    children = MarkdownIt().parseInline(f"x {code(text)} y")[0].children
    if text:
        assert [child.type for child in children] == ["text", "code_inline", "text"]
        assert children[1].content == printable(text)


def test_no_text_is_a_formula_in_a_spreadsheet():
    for text in ("=1+1", "+1+1", "-a", "@a", "\t=1", "\r=1", " =1", "\uff1d1"):
        assert spreadsheet(text).startswith("'")
    for value in ("-0.5", "+1e3", "a=1", "", 3, -0.5, None):
        assert spreadsheet(value) == value


def test_what_is_said_is_one_line_each(capsys):
    say("a\nhwlit: ok", "b\x1b[2J")
    say(HwlitError("c\nd\x9b1m"), error=True)
    assert capsys.readouterr() == ("a hwlit: ok\nb?[2J\n", "c d?1m\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_prints_a_text_as_it_stands(terminal):
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=terminal, color_system=None, width=80)
    evil = "[b]x[/b]\x1b]0;t\x9c\n:smile: \u202ea"
    table = Table("[i]head\x9b", box=None)
    table.add_row(evil)
    table.add_row(Text(evil))
    console.print(table)
    console.print(evil)
    console.print(Group(Text(evil, style="bold"), "b\r"), Text("c\nd"))
    told = file.getvalue()
    assert told.count("[b]x[/b]?]0;t? :smile: ?a") == 4
    assert printable(told.replace("\n", "")) == told.replace("\n", "")
    assert len(told.splitlines()) == 7


def test_what_libraries_write_to_standard_error_is_plain():
    stream = Plain(file := Terminal())
    bars = ("\r10%|#  |", "\n\n\x1b[A\x1b[A", "\r     \r")  # as tqdm writes them
    for bar in bars:
        stream.write(bar)
    assert file.getvalue() == "".join(bars)
    file.truncate(0)
    file.seek(0)
    stream.writelines(["a\x1b[2J\tb\n", "c\rd\x9b\n"])
    assert file.getvalue() == "a?[2J\tb\nc d?\n"
    assert stream.isatty()


def test_streams_are_what_they_were_after_a_command(capsys):
    before = sys.stdout, sys.stderr
    with plain_streams(bars=True):
        print("\x1b[1m", file=sys.stderr)
        print("\x1b[2m")
        write_data("\x1b,é\n")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("?[2m\n\x1b,é\n", "?[1m\n")


def test_on_a_terminal_data_is_plain_and_bars_are_drawn(monkeypatch):
    monkeypatch.setattr(sys, "stdout", file := Terminal())
    with plain_streams(bars=True):
        write_data("\x1b,é\n")
        assert sys.stdout is file
    with plain_streams(bars=False):
        print("\x9b")
    assert file.getvalue() == "?,é\n?\n"
