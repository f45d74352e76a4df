import io
import time

import pytest
from rich.console import Console

from hwlit.study.board import Board, Lines, Screen, duration
from hwlit.study.progress import read_progress
from hwlit.study.store import Row, Store


def row(name, status="ok", wall_time=60.0, reason=None):
    return Row(name, {"adapter": name}, "hash", status, reason, 0, 1, None, wall_time)


@pytest.fixture
def board(tmp_path):
    run = tmp_path / "runs/b"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text(
        "step,epoch,train/loss,val/accuracy\n10,0,0.7,\n20,1,,0.8125\n25,1,0.5,\n"
    )
    board = Board(Store(tmp_path), "test/accuracy", ["a", "b", "c", "d"])
    board.rows["a"] = row("a")
    board.running["b"] = time.time() - 20
    return board


def test_the_rest_takes_as_long_as_what_was_finished(board):
    assert board.left() == pytest.approx(3 * 60 - 20, abs=5)
    board.workers = 2
    assert board.left() == pytest.approx((3 * 60 - 20) / 2, abs=5)
    assert "left" in board.headline()
    assert board.headline(eta=False) == "1 of 4 done"
    board.rows["a"] = row("a", status="oom")
    assert board.left() is None


def test_a_running_cell_shows_its_last_step_and_validation_metric(board):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=20)
    with Screen(board, console) as screen:
        screen.ended(row("d", "diverged", reason="[bold]as it stands[/bold]"))
    shown = console.file.getvalue()
    for part in ("epoch 2, step 25", "val/accuracy 0.8125", "1 of 4 done", "[bold]as it"):
        assert part in shown


def test_where_room_is_short_what_goes_on_comes_first(board):
    names = list(board.table(height=2).columns[0].cells)
    assert names == ["b", "a"]


def test_lines_tell_of_a_failure_with_its_reason(board):
    console = Console(file=io.StringIO(), width=40)
    board.rows["c"] = row("c", "diverged", 3, "the loss is nan")
    Lines(board, console).ended(board.rows["c"])
    line = console.file.getvalue()
    assert line.startswith("c  diverged, the loss is nan; 3 s; 2 of 4 done, 1 not ok, about 1 min")
    assert line.count("\n") == 1


@pytest.mark.parametrize("content", ["", "step\n", "step,epoch\nx,y\n", None])
def test_files_that_say_nothing_show_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    assert read_progress(tmp_path, "test/accuracy").told == ""


def test_times_are_told_as_people_say_them():
    assert [duration(s) for s in (0.4, 59, 61, 3600, 7500)] == [
        "0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip
