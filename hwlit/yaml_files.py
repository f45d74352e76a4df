"""Configs read strictly: YAML itself takes the last of two equal keys, and says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from hwlit.bounded_files import TooLargeError, read_bounded
from hwlit.errors import UsageError

MAX_BYTES = 1_000_000
MAX_NODES = 100_000  # aliases of aliases can stand for more nodes than fit into memory
MAX_DEPTH = 100  # libyaml and the walks over what it reads call themselves once a level

_stock_load = get_loader("yaml")


class StrictnessError(yaml.YAMLError):
    """Valid YAML that does not say what its author meant."""


def load_strictly(text: str) -> Any:
    """Return what YAML says, as jsonargparse reads it.

    Raises:
        yaml.YAMLError: It is no YAML, names a key twice, or unfolds to too much.
    """
    if len(text) > MAX_BYTES:
        raise StrictnessError(f"it is longer than {MAX_BYTES:,} characters")
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    _refuse_depth(text, loader)
    node = yaml.compose(text, Loader=loader)
    if node is not None:
        _refuse_twins(node, [MAX_NODES], 0)
    try:
        return _stock_load(text)
    except ValueError as error:  # a number of more digits than Python reads
        raise StrictnessError(str(error)) from error


def read_config(path: Path) -> Any:
    """Return the content of a config file, plain data.

    Raises:
        UsageError: It cannot be read, is no YAML, or names a key twice.
    """
    text = config_text(path)
    try:
        return load_strictly(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        tab = mark and any("\t" in line for line in text.split("\n")[mark.line : mark.line + 1])
        hint = "; YAML indents with spaces, not tabs" if tab else "; look at the line before, too"
        raise UsageError(f"config {path}{where}: {error.problem}{hint}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"config {path}: {' '.join(str(error).split())}") from error


def config_text(path: Path) -> str:
    """Return the text of a config file.

    Raises:
        UsageError: It cannot be read, or is no text of a config's length.
    """
    try:
        return read_bounded(path, MAX_BYTES).decode("utf-8")
    except TooLargeError as error:
        raise UsageError(f"config {path} is larger than {MAX_BYTES:,} bytes") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"config {path} is not UTF-8 text (byte {error.start})") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"config {path} cannot be read: {reason}; give a .yaml file") from error


def in_comment(path: Path, quoted: bool = False) -> str:
    """Return a path as it may stand in a comment: one line, and only what YAML may hold.

    Args:
        path: The path.
        quoted: Whether it is quoted in any case, so that what follows is told from it.
    """
    text = str(path)
    if text.isprintable() and not quoted:
        return text
    return json.dumps(text).replace("\x7f", "\\u007f")


def _refuse_depth(text: str, loader: Any) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise StrictnessError(f"it is nested more than {MAX_DEPTH} levels deep")


def _refuse_twins(node: yaml.Node, left: list[int], depth: int) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise StrictnessError(f"its aliases unfold to more than {MAX_NODES:,} values")
    if depth > MAX_DEPTH:
        raise StrictnessError("an alias stands within what it stands for")
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_twins(child, left, depth + 1)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise StrictnessError(f"a key in line {key.start_mark.line + 1} is no word")
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                raise StrictnessError(
                    f"the key {name!r} stands in line {lines[name]} and again in line {line}; "
                    "keep one of them"
                )
            lines[name] = line
            _refuse_twins(child, left, depth + 1)
