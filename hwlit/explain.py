"""What a refused command line meant: the key, class or kind of value nearest to what was written.

The parser knows that something is wrong, but names it without the keys above it and guesses
nothing. Here the words are walked once more along the same signatures, after a refusal and never
before: what the parser takes is right.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from hwlit.config_sources import (
    COMMAND_LINE,
    LINKED,
    SPECIAL,
    Problem,
    at,
    beside,
    keys_below,
    sources,
)
from hwlit.signatures import (
    Names,
    Slot,
    accepts,
    accepts_text,
    attribute,
    class_in,
    in_words,
    names_of,
    not_taken,
    parameters,
)
from hwlit.yaml_files import read_config


def explain(parser: ArgumentParser, words: Sequence[str], allowed: Sequence[str]) -> str | None:
    """Return in one sentence what is wrong with a command line; None where nothing is found.

    Args:
        parser: The parser of the subcommand that refused it.
        words: The command line after the subcommand.
        allowed: The paths of the classes that may be named; no other is imported.

    Raises:
        UsageError: A config file cannot be read strictly; the sentence is in it.
    """
    return _Walk(parser, allowed).first_problem(words)


class _Walk:
    def __init__(self, parser: ArgumentParser, allowed: Sequence[str]) -> None:
        self._names = names_of(parser)
        self._allowed = frozenset(allowed)
        self._classes: dict[str, type] = {}  # by key, the last one named
        self._files: list[Path] = []  # that are being read
        self._learns = True

    def first_problem(self, words: Sequence[str]) -> str | None:
        # The first round learns which classes are named anywhere, whatever the order.
        for self._learns in (True, False):
            for given, source in sources(words):
                for told in self._source(given, source):
                    if not self._learns:
                        return told
        return None

    def _source(self, given: Any, source: str) -> Iterator[str]:
        if isinstance(given, Problem):
            yield given
        elif isinstance(given, Mapping):
            yield from self._keys(given, self._names, (), source, "")

    def _keys(
        self, given: Mapping[str, Any], names: Names, more: tuple[str, ...], source: str, above: str
    ) -> Iterator[str]:
        for written, value in given.items():
            key = str(written).removesuffix("+")  # "+" appends to a list
            if key in names:
                yield from self._value(value, names[key], source, f"{above}{key}")
            elif key not in more:
                yield (
                    ""
                    if self._learns
                    else self._unknown(key, value, [*names, *more], source, above)
                )

    def _value(self, value: Any, slot: Slot | Names, source: str, path: str) -> Iterator[str]:
        if isinstance(slot, dict):
            if isinstance(value, Mapping):
                yield from self._keys(value, slot, (), source, f"{path}.")
            return
        base = class_in(slot.hint)
        if base is None:
            if not accepts(slot.hint, value):
                yield f"{at(source, path)} is {value!r}; give {in_words(slot.hint)}"
        elif typing.get_origin(slot.hint) is dict:
            inner = Slot(typing.get_args(slot.hint)[1])
            for name, one in value.items() if isinstance(value, Mapping) else ():
                yield from self._value(one, inner, source, f"{path}.{name}")
        elif isinstance(value, list):
            for one in value:
                yield from self._value(one, slot, source, path)
        elif isinstance(value, str) and (file := _config_file(value, source)):
            if file not in self._files:  # which may name one another without end
                self._files.append(file)
                yield from self._value(read_config(file), slot, str(file), path)
                self._files.remove(file)
        elif isinstance(value, str) and not accepts_text(slot.hint):
            self._remember(value, base, path)
        elif isinstance(value, Mapping):
            yield from self._object(value, base, slot, source, path)

    def _object(
        self, value: Mapping[str, Any], base: type, slot: Slot, source: str, path: str
    ) -> Iterator[str]:
        named = value.get("class_path")
        if isinstance(named, str):
            self._remember(named, base, path)
        elif isinstance(slot.default, dict):
            self._remember(str(slot.default.get("class_path")), base, path, again=False)
        names = parameters(found := self._classes.get(path, base))
        own = {key: inner for key, inner in value.items() if key not in SPECIAL}
        inner_keys = arguments if isinstance(arguments := value.get("init_args"), Mapping) else {}
        for key, why in not_taken(found).items():
            if key in own or key in inner_keys:
                yield f"{at(source, f'{path}.{key}')}: {why}"
        yield from self._keys(own, names, SPECIAL, source, f"{path}.")
        yield from self._keys(inner_keys, names, (), source, f"{path}.")

    def _remember(self, name: str, base: type, path: str, again: bool = True) -> None:
        """Remember the class of a key, whose keys are those below it."""
        if not again and path in self._classes:
            return
        known = {path.rpartition(".")[2]: path for path in self._allowed}
        module, _, last = known.get(name, name).rpartition(".")
        found = attribute(module, last) if f"{module}.{last}" in self._allowed else None
        if inspect.isclass(found) and issubclass(found, base):
            self._classes[path] = found

    def _unknown(
        self, key: str, value: Any, candidates: Sequence[str], source: str, above: str
    ) -> str:
        """Name the nearest key of this level, or else the nearest of all."""
        rest = keys_below(value) if source == COMMAND_LINE else ""
        told = f"{at(source, f'{above}{key}{rest}')}: unknown"
        candidates = [name for name in candidates if f"--{above}{name}" not in LINKED]
        if near := difflib.get_close_matches(key, candidates, n=1):
            return f"{told}; did you mean {at('', f'{above}{near[0]}{rest}', source)}?"
        last = f"{key}{rest}".rpartition(".")[2]
        tails: dict[str, list[str]] = {}
        for path in self._paths(self._names, ""):
            tails.setdefault(path.rpartition(".")[2], []).append(path)
        if near := difflib.get_close_matches(last, tails, n=1, cutoff=0.7):
            meant = " or ".join(at("", path, source) for path in tails[near[0]])
            return f"{told}; did you mean {meant}?"
        return f"{told}; hwlit fit --help lists the keys"

    def _paths(self, names: Names, above: str) -> Iterator[str]:
        """Return every key that the classes named here have."""
        for name, slot in names.items():
            path = f"{above}{name}"
            if f"--{path}" in LINKED:
                continue
            if isinstance(slot, dict):
                yield from self._paths(slot, f"{path}.")
            elif path in self._classes:
                yield from self._paths(parameters(self._classes[path]), f"{path}.")
            else:
                yield path


def _config_file(value: str, source: str) -> Path | None:
    """Return the file that a class is given by, relative to the config that names it."""
    path = beside(value, source)
    return path if path.suffix in (".yaml", ".yml", ".json") and path.is_file() else None
