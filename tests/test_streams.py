"""What a command does when nobody reads any more what it prints."""

import io
import os
import sys

import pytest

from hwlit import __main__ as front
from hwlit.console import PlainConsole
from hwlit.plain_text import Outliving, plain_streams


class Broken(io.StringIO):
    def write(self, *text):
        raise BrokenPipeError

    flush = write


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["fit"], 6), (["quantize", "x"], 6), (["study", "run", "x"], 6), (["test"], 6),
        (["show", "x"], 0), (["compare", "."], 0), (["study", "status", "x"], 0), (["--help"], 0),
        (["predict", "x"], 0),
    ],
)  # fmt: skip
def test_a_pipe_that_breaks_is_no_success_of_what_works(words, code, monkeypatch, capsys):
    def dispatch(arguments):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(front, "_dispatch", dispatch)
    assert front.main(words) == code


@pytest.mark.parametrize(("words", "code"), [(["fit"], 7), (["show", "x"], 0)])
def test_what_works_goes_on_without_a_reader(words, code, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", Broken())

    def dispatch(arguments):
        print("hello")
        print("hello", file=sys.stderr)
        return 7

    monkeypatch.setattr(front, "_dispatch", dispatch)
    assert front.main(words) == code


def test_the_exit_code_is_told_where_the_sentence_cannot_be(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken())
    assert front.main(["nonsense"]) == 2


def test_what_a_broken_pipe_still_holds_goes_nowhere():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        stream = Outliving(pipe)
        stream.write("held")
        os.close(reading)
        stream.flush()
        stream.write("more")
        stream.flush()


def test_a_reader_hears_of_a_broken_pipe_before_the_end(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        os.close(reading)
        with pytest.raises(BrokenPipeError), plain_streams(bars=False):
            print("held")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


def test_a_table_without_a_reader_ends_in_a_broken_pipe():
    with pytest.raises(BrokenPipeError):
        PlainConsole(file=Broken()).print("hello")
