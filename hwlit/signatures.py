"""What a key takes, read from the signatures that the parser reads: keys, classes and types."""

from __future__ import annotations

import argparse
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jsonargparse import ArgumentParser

SIMPLE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text",
          type(None): "null", list: "a list", dict: "a mapping"}  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """What a key takes: a type, or the keys of a group."""

    hint: Any
    default: Any = None


Names = dict[str, "Slot | Names"]


def names_of(parser: ArgumentParser) -> Names:
    """Return the keys of a parser, groups nested."""
    names: Names = {}
    for action in parser._actions:
        hint = vars(action).get("_typehint")
        if hint is None or action.dest.endswith(".help"):
            continue
        *groups, last = action.dest.split(".")
        level: Any = names
        for group in groups:
            level = level.setdefault(group, {})
        level[last] = Slot(hint, action.default)
    return names


@cache
def parameters(kind: type) -> Names:
    """Return the keys of a class."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    return names_of(parser)


def not_taken(kind: type) -> Mapping[str, str]:
    """Return the keys that a class says it has no use for, each with the reason."""
    said: Mapping[str, str] = getattr(kind, "not_taken", {})
    return said


def class_in(hint: Any) -> type | None:
    """Return the class whose subclasses a type takes, looking into unions, lists and callables."""
    if inspect.isclass(hint) and not isinstance(hint, types.GenericAlias):
        plain = hint.__module__ in ("builtins", "pathlib", "datetime", "torch")
        return None if plain else hint
    if typing.get_origin(hint) is Literal:
        return None
    parts: Sequence[Any] = typing.get_args(hint)
    if typing.get_origin(hint) is Callable or "Callable" in str(typing.get_origin(hint)):
        parts = parts[-1:]
    return next((found for part in parts if (found := class_in(part))), None)


def attribute(module: str, name: str) -> Any:
    """Return what a module holds under a name; None where one of the two is not there."""
    try:
        return vars(importlib.import_module(module)).get(name)
    except ImportError:
        return None


def accepts(hint: Any, value: Any) -> bool:
    """Return whether the parser takes a value, as data or as written on the command line."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        if isinstance(value, str):
            parser.parse_args([f"--value={value}"])
        else:
            parser.parse_object({"value": value})
    except argparse.ArgumentError:
        return False
    return True


def accepts_text(hint: Any) -> bool:
    """Return whether a type takes any text, whatever classes it takes beside it."""
    return hint is str or any(accepts_text(part) for part in typing.get_args(hint))


def in_words(hint: Any) -> str:
    """Return in words what a type takes."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        choices = [c for part in parts if typing.get_origin(part) is Literal for c in part.__args__]
        kinds = [in_words(part) for part in parts if typing.get_origin(part) is not Literal]
        return " or ".join(dict.fromkeys([*_one_of(choices), *kinds]))
    if origin is Literal:
        return _one_of(parts)[0]
    if origin in (list, tuple) and parts:
        return f"a list, each {in_words(parts[0])}"
    return SIMPLE.get(origin or hint, str(hint))


def _one_of(choices: Sequence[Any]) -> list[str]:
    return ["one of " + ", ".join(dict.fromkeys(map(str, choices)))] if choices else []
