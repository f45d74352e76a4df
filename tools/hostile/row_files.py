"""Test rows that mean harm: `compare` names them and pairs nothing by them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hwlit.plain_text import printable
from tools.hostile.case import Hostile, Stock
from tools.hostile.screens import no_line_is_forged
from tools.synthetic_study import Plan, write

PLAN = Plan(behind=(0.0, 1.0), seeds=2, rows=40)
EVIL = "\x1b[2J\rhwlit: ok"
COMPARE = ("compare", "runs", "--format", "json")
Damage = Callable[[Path], None]


def cases() -> list[Hostile]:
    """Return every case."""
    damages: dict[str, tuple[Damage, str]] = {
        "a row id twice": (_line("0,neutral,neutral"), "there are 41 rows"),
        "a row id in place of another": (_replaced("\n1,", "\n0,"), "is there twice"),
        "a row id that is no number": (_replaced("\n1,", "\nx,"), "not readable as rows"),
        "a row id without end": (_replaced("\n1,", f"\n{10**30},"), "not readable as rows"),
        "no columns": (_text("row_id\n1\n"), "not readable as rows"),
        "rows of another run": (_replaced(",negative\n", ",positive\n"), "where the record has"),
        "nothing": (_text(""), "it is empty"),
        "bytes that are no text": (
            lambda path: path.write_bytes(b"\xff\xfe\x00") and None,
            "not re",
        ),
        "six gigabytes": (lambda path: os.truncate(path, 6 << 30), "none of its kind has over"),
        "a pipe that nobody writes to": (_pipe, "neither a file nor a folder"),
        "a folder": (_folder, "no plain file"),
        "a link": (_link, "is a link"),
    }
    made = [
        Hostile(f"test_rows.csv: {what}", "files", COMPARE, (0,), told, prepare=_prepared(damage))
        for what, (damage, told) in damages.items()
    ]
    for kind in ("table", "md", "csv", "json"):
        command = ("compare", "runs", "--format", kind)
        made.append(
            Hostile(f"test_rows.csv: escapes, --format {kind}", "screen", command, (0,), "left out",
                    prepare=_prepared(_text(f"row_id,label,prediction\n{EVIL},a,b\n")),
                    check=_plain, terminal=True)
        )  # fmt: skip
    return made


def _plain(here: Path, told: str) -> None:
    no_line_is_forged(here, told)
    assert printable(told.replace("\n", "")) == told.replace("\n", ""), "control characters"


def _prepared(damage: Damage) -> Callable[[Path, Stock], None]:
    def prepare(here: Path, stock: Stock) -> None:
        write(PLAN, here / "runs")
        damage(here / "runs" / "Lora-0" / "test_rows.csv")

    return prepare


def _text(text: str) -> Damage:
    def damage(path: Path) -> None:
        path.write_text(text)

    return damage


def _line(line: str) -> Damage:
    def damage(path: Path) -> None:
        path.write_text(f"{path.read_text()}{line}\n")

    return damage


def _replaced(old: str, new: str) -> Damage:
    def damage(path: Path) -> None:
        text = path.read_text().replace("\r\n", "\n")
        path.write_text(text.replace(old, new))

    return damage


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "Full-0" / "test_rows.csv")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
