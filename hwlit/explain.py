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

import yaml
from jsonargparse import ArgumentParser

from hwlit.errors import UsageError
from hwlit.signatures import (
    Names,
    Slot,
    accepts,
    accepts_text,
    attribute,
    class_in,
    in_words,
    kinds,
    names_of,
    parameters,
    public_path,
)
from hwlit.yaml_files import load_strictly, read_config

SPECIAL = ("class_path", "init_args", "dict_kwargs")
WITHOUT_VALUE = ("print_config", "help", "h")
COMMAND_LINE = "--"


def explain(parser: ArgumentParser, words: Sequence[str], allowed: Sequence[str]) -> str | None:
    """Return in one sentence what is wrong with a command line; None where nothing is found.

    Args:
        parser: The parser of the subcommand that refused it.
        words: The command line after the subcommand.
        allowed: The packages whose classes may be named.

    Raises:
        UsageError: A config file cannot be read strictly; the sentence is in it.
    """
    return _Walk(parser, allowed).first_problem(words)


class _Problem(str):
    """The sentence for words that are no key with its value."""


class _Walk:
    def __init__(self, parser: ArgumentParser, allowed: Sequence[str]) -> None:
        self._names = names_of(parser)
        self._allowed = tuple(allowed)
        self._classes: dict[str, type] = {}  # by key, the last one named

    def first_problem(self, words: Sequence[str]) -> str | None:
        problems: list[str] = []
        # The first round learns which classes are named anywhere, whatever the order.
        for _ in range(2):
            problems = [
                told for given, source in _sources(words) for told in self._source(given, source)
            ]
        return problems[0] if problems else None

    def _source(self, given: Any, source: str) -> Iterator[str]:
        if isinstance(given, _Problem):
            yield given
        elif not isinstance(given, Mapping):
            found = "empty" if given in (None, "") else f"a {type(given).__name__}"
            yield f"config {source} is {found}; it must map keys such as model, data and trainer"
        elif "class_path" in given:
            yield (
                f"config {source} describes the class {given['class_path']}, not a run; "
                "an adapter is given by --model.adapter"
            )
        elif "axes" in given:
            yield f"config {source} describes a study, not a run; hwlit study run {source} runs it"
        else:
            yield from self._keys(given, self._names, (), source, "")

    def _keys(
        self, given: Mapping[str, Any], names: Names, more: tuple[str, ...], source: str, above: str
    ) -> Iterator[str]:
        for written, value in given.items():
            key = str(written).removesuffix("+")  # "+" appends to a list
            if key in names:
                yield from self._value(value, names[key], source, f"{above}{key}")
            elif key not in more:
                yield self._unknown(key, value, [*names, *more], source, above)

    def _value(self, value: Any, slot: Slot | Names, source: str, path: str) -> Iterator[str]:
        if isinstance(slot, dict):
            if isinstance(value, Mapping):
                yield from self._keys(value, slot, (), source, f"{path}.")
            return
        base = class_in(slot.hint)
        if base is None:
            if not accepts(slot.hint, value):
                yield f"{_at(source, path)} is {value!r}; give {in_words(slot.hint)}"
        elif typing.get_origin(slot.hint) is dict:
            inner = Slot(typing.get_args(slot.hint)[1])
            for name, one in value.items() if isinstance(value, Mapping) else ():
                yield from self._value(one, inner, source, f"{path}.{name}")
        elif isinstance(value, list):
            for one in value:
                yield from self._value(one, slot, source, path)
        elif isinstance(value, str) and (file := _config_file(value, source)):
            yield from self._value(read_config(file), slot, str(file), path)
        elif isinstance(value, str) and not accepts_text(slot.hint):
            yield from self._class(value, base, source, path)
        elif isinstance(value, Mapping):
            yield from self._object(value, base, slot, source, path)

    def _object(
        self, value: Mapping[str, Any], base: type, slot: Slot, source: str, path: str
    ) -> Iterator[str]:
        named = value.get("class_path")
        if isinstance(named, str):
            yield from self._class(named, base, source, path)
        elif isinstance(slot.default, dict):
            list(self._class(str(slot.default.get("class_path")), base, source, path, False))
        names = parameters(self._classes.get(path, base))
        own = {key: inner for key, inner in value.items() if key not in SPECIAL}
        yield from self._keys(own, names, SPECIAL, source, f"{path}.")
        if isinstance(arguments := value.get("init_args"), Mapping):
            yield from self._keys(arguments, names, (), source, f"{path}.")

    def _class(
        self, name: str, base: type, source: str, path: str, again: bool = True
    ) -> Iterator[str]:
        """Remember the class of a key; say so where there is none of that name."""
        if not again and path in self._classes:
            return
        roots = tuple(f"{root}." for root in self._allowed)
        if "." in name and not name.startswith(roots):
            packages = ", ".join(self._allowed)
            yield f"{_at(source, path)} is {name!r}; only classes of {packages} may be named"
            return
        # Other packages bring classes of the same names: bitsandbytes has an AdamW of its own.
        known = {k.__name__: k for k in kinds(base) if f"{k.__module__}.".startswith(roots)}
        module, _, last = name.rpartition(".")
        found = known.get(last)
        # A class is known by a public path, such as torch.optim.AdamW, or by where it is written.
        if found is not None and (not module or attribute(module, last) is found):
            self._classes[path] = found
            return
        if module and inspect.isfunction(attribute(module, last)):
            return  # a function that makes one
        near = difflib.get_close_matches(last, known, n=1, cutoff=0.5)
        hint = (
            f"did you mean {public_path(known[near[0]])}?"
            if near
            else f"there are {', '.join(sorted(known))}"
        )
        yield f"{_at(source, path)} is {name!r}, which is no {base.__name__}; {hint}"

    def _unknown(
        self, key: str, value: Any, candidates: Sequence[str], source: str, above: str
    ) -> str:
        """Name the nearest key of this level, or else the nearest of all."""
        rest = _rest(value) if source == COMMAND_LINE else ""
        told = f"{_at(source, f'{above}{key}{rest}')}: unknown"
        if near := difflib.get_close_matches(key, candidates, n=1):
            return f"{told}; did you mean {_at('', f'{above}{near[0]}{rest}', source)}?"
        last = f"{key}{rest}".rpartition(".")[2]
        tails: dict[str, list[str]] = {}
        for path in self._paths(self._names, ""):
            tails.setdefault(path.rpartition(".")[2], []).append(path)
        if near := difflib.get_close_matches(last, tails, n=1, cutoff=0.7):
            meant = " or ".join(_at("", path, source) for path in tails[near[0]])
            return f"{told}; did you mean {meant}?"
        return f"{told}; hwlit fit --help lists the keys"

    def _paths(self, names: Names, above: str) -> Iterator[str]:
        """Return every key that the classes named here have."""
        for name, slot in names.items():
            path = f"{above}{name}"
            if isinstance(slot, dict):
                yield from self._paths(slot, f"{path}.")
            elif path in self._classes:
                yield from self._paths(parameters(self._classes[path]), f"{path}.")
            else:
                yield path


def _sources(words: Sequence[str]) -> Iterator[tuple[Any, str]]:
    """Return what each option and each config file says, with where it says so."""
    left = list(words)
    while left:
        option, equals, value = left.pop(0).partition("=")
        if not option.startswith("-"):
            told = f"{option!r} belongs to no option; options are written --key value"
            yield _Problem(told), COMMAND_LINE
            continue
        key = option.lstrip("-")
        if key.split(".")[-1] in WITHOUT_VALUE:
            continue
        if not equals and (not left or left[0].startswith("--")):
            yield _Problem(f"{option} needs a value"), COMMAND_LINE
            continue
        value = value if equals else left.pop(0)
        if key in ("config", "c"):
            yield read_config(Path(value)), value
            continue
        given: Any = _structured(option, value)
        for part in reversed(key.split(".")):
            if part not in SPECIAL:
                given = {part: given}
        yield given, COMMAND_LINE


def _structured(option: str, value: str) -> Any:
    """Return a value given as JSON or YAML as data, and any other as it stands."""
    if not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return load_strictly(value)
    except yaml.YAMLError as error:
        raise UsageError(f"{option} is no valid YAML: {' '.join(str(error).split())}") from error


def _config_file(value: str, source: str) -> Path | None:
    """Return the file that a class is given by, relative to the config that names it."""
    path = Path(value) if source == COMMAND_LINE else Path(source).parent / value
    return path if path.suffix in (".yaml", ".yml", ".json") and path.is_file() else None


def _rest(value: Any) -> str:
    """Return the keys below one of the command line, for each option names one key alone."""
    rest = ""
    while isinstance(value, Mapping) and len(value) == 1:
        key, value = next(iter(value.items()))
        rest += f".{key}"
    return rest


def _at(source: str, path: str, like: str = "") -> str:
    """Return a key as it is written where it was given."""
    if COMMAND_LINE in (source, like):
        return f"--{path}"
    return f"{source}: {path}" if source else path
