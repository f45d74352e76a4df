"""The table of a record's fields, made from the sentences under them in the schema.

`python -m hwlit.records.fields` prints it as Markdown, as the README holds it.
"""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterator
from types import ModuleType

from hwlit.plain_text import write_data
from hwlit.records import readings, schema
from hwlit.records.decoding import REST
from hwlit.records.schema import Record

SIGNS: dict[object, str] = {list: "[]", tuple: "[]", dict: ".NAME"}
BEGIN, END = "<!-- fields of a record -->", "<!-- end of the fields -->"


def sentences(module: ModuleType) -> dict[str, dict[str, str]]:
    """Return the sentence under each field, by class and field."""
    found: dict[str, dict[str, str]] = {}
    for kind in ast.parse(inspect.getsource(module)).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        own = found[kind.name] = {}
        for field, told in zip(kind.body, kind.body[1:], strict=False):
            match field, told:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    own[name] = " ".join(text.split())
    return found


def table() -> str:
    """Return the table as Markdown: the fields of a record, then those of its parts."""
    lines = ["| field | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in _rows(Record, "")]
    return "\n".join(lines)


def _rows(kind: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each field by its full name with its sentence, and what it is made of below it."""
    told = sentences(schema) | sentences(readings)
    hints = typing.get_type_hints(kind)
    for name, text in told[kind.__name__].items():
        if name == REST:
            yield f"{prefix}*", text
            continue
        full = prefix + name.rstrip("_")
        yield full, text
        for inner, sign in _parts(hints[name]):
            yield from _rows(inner, f"{full}{sign}.")


def _parts(hint: object) -> Iterator[tuple[type, str]]:
    """Yield the classes of ours that a type is made of, and the sign of what holds many of them."""
    if isinstance(hint, type) and hint.__module__ in (schema.__name__, readings.__name__):
        yield hint, ""
    sign = SIGNS.get(typing.get_origin(hint), "")
    for inner in typing.get_args(hint):
        for kind, _ in _parts(inner):
            yield kind, sign


if __name__ == "__main__":
    write_data(table() + "\n")
