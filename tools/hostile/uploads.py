"""Runs of strangers whose `adapter/` means harm, exported for the hub."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.hostile.case import Hostile, Stock

EXPORT = ("export", "run", "--for-hub", "up")


def cases() -> list[Hostile]:
    """Return them."""
    found = [
        _case("a link to a private file in an export", _link, 5, "a link"),
        _case("a linked adapter folder", _linked_folder, 5, "a link"),
        _case("a FIFO in an export", _fifo, 5, "neither a file"),
        _case("an exported config of a million brackets", _nested, 5, "is damaged"),
        _case("a safetensors header of nine exabytes", _header, 5, "cannot be read"),
        _case("a label with the user's home", _label, 2, "would tell strangers"),
        _case("a base with an escape sequence for its name", _escape, 0, ""),
        _case("a base named by a script", _markup, 0, ""),
        _case("a card of scripts", _scripts, 0, ""),
    ]
    for name, base_id in (("a path", "/etc/passwd"), ("a parent", "../up"), ("markup", "<b>/x")):
        arguments = (*EXPORT, "--base-id", base_id)
        found.append(_case(f"a hub id that is {name}", _nothing, 2, "ORG/NAME", arguments))
    return found


def _case(
    name: str,
    change: Callable[[Path], None],
    code: int,
    told: str,
    arguments: tuple[str, ...] = EXPORT,
) -> Hostile:
    def prepare(here: Path, stock: Stock) -> None:
        change(stock.copy("finished", here / "run") / "adapter")

    return Hostile(
        name, "files", arguments, (code,), told, prepare, partial(_check, written=code == 0)
    )


def _check(here: Path, told: str, written: bool) -> None:
    """A folder is there where the export went well, and holds no other name of the base."""
    up = here / "up"
    assert up.is_dir() == written, "half a folder"
    assert not list(here.glob(".tmp-*")), "a temporary folder stays"
    for path in (*up.glob("*.md"), *up.glob("*.json")):
        content = path.read_text()
        assert "\x1b" not in content, path.name
        assert "<script" not in content, path.name
        assert path.suffix == ".json" or "[c](" not in content, "a live link"


def _nothing(adapter: Path) -> None:
    """Change nothing."""


def _link(adapter: Path) -> None:
    (adapter / "tokenizer.json").unlink()
    (adapter / "tokenizer.json").symlink_to("/etc/passwd")


def _linked_folder(adapter: Path) -> None:
    adapter.rename(adapter.with_name("moved"))
    adapter.symlink_to("moved")


def _fifo(adapter: Path) -> None:
    os.mkfifo(adapter / "extra.json")


def _nested(adapter: Path) -> None:
    (adapter / "config.json").write_text("[" * 1_000_000)


def _header(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").write_bytes(b"\xff" * 7 + b"\x7f" + b"{}")


def _label(adapter: Path) -> None:
    _edit(adapter / "classifier/config.json", id2label={"0": f"{Path.home()}/x", "1": "b"})


def _escape(adapter: Path) -> None:
    _rename_base(adapter, "\x1b]0;mine\x07")


def _markup(adapter: Path) -> None:
    _rename_base(adapter, "org/<script>alert(1)</script>")


def _scripts(adapter: Path) -> None:
    """Put markup into every text of a record that the card of a nameless base shows."""
    path, live = adapter.parent / "record.json", "x\n\n<script>alert(1)</script> [c](http://e.org)"
    record = json.loads(path.read_text())
    record["adapter"]["name"] = record["versions"]["hwlit"] = live
    record["model"]["architecture"] = live
    record["data"]["rows"] = {"train": live, "validation": live, "test": live}
    path.write_text(json.dumps(record))


def _rename_base(adapter: Path, name: str) -> None:
    _edit(adapter / "adapter_config.json", base_model_name_or_path=name)
    record = json.loads((adapter.parent / "record.json").read_text())
    record["model"] |= {"hub_id": name, "pretrained": name}
    (adapter.parent / "record.json").write_text(json.dumps(record))


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
