"""Plain data from dataclasses and back, checked field by field."""

from __future__ import annotations

import dataclasses
import functools
import marshal
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Decode = Callable[[Any], Any]
DEEPEST = 32  # lists and objects in one another, in what is free
LARGEST = 1e100  # nothing that is measured is beyond that, and squares of it are still numbers
REST = "rest"  # the field that takes the names which a class does not know
MOST_KEPT = 4096  # values of a class that are decoded once for all that are alike


class Unfit(Exception):
    """A value is not what its field holds.

    Args:
        what: What it should be or what is wrong with it, as the end of a sentence.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path: list[str] = []

    def below(self, name: object) -> Unfit:
        """Say in which part of a larger value it is."""
        self.path.insert(0, str(name))
        return self

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} {self.what}" if self.path else self.what


def decoded(kind: type[T], value: Any) -> T:
    """Return plain data as an instance of a dataclass.

    Raises:
        Unfit: A field is missing, is of another type, or is not known.
    """
    decode: Any = _decoder  # its cache takes no class as a key, says the checker of types
    made: T = decode(kind)(value)
    return made


def field_decoder(kind: type[Any], name: str) -> Decode:
    """Return what decodes one field of a dataclass.

    Raises:
        Unfit: It has no such field.
    """
    hints: Any = _hints
    if name not in hints(kind):
        raise Unfit("is not known").below(name)
    return _decoder(hints(kind)[name])


def encoded(value: Any) -> Any:
    """Return plain data; fields that have their default are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _encoded_fields(value)
    if isinstance(value, Mapping):
        return {key: encoded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(inner) for inner in value]
    return value


def _encoded_fields(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind: Any = type(value)
    for name, key, default in _layout(kind):
        inner = getattr(value, name)
        if key == REST:
            found |= encoded(inner)
        elif inner != default or key == "schema":
            found[key] = encoded(inner)
    return found


@functools.cache
def _layout(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    """Return of each field its name, its key in plain data and its default."""
    return tuple(
        (
            one.name,
            one.name.rstrip("_"),
            one.default_factory() if callable(one.default_factory) else one.default,
        )
        for one in dataclasses.fields(kind)
    )


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@functools.cache
def _decoder(hint: Any) -> Decode:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _of_class(hint)
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (one for one in inside if one is not type(None))
        decode = _decoder(inner)
        return lambda value: None if value is None else decode(value)
    if origin is Literal:
        return functools.partial(_one_of, inside)
    if origin is dict:
        return functools.partial(_entries, _decoder(inside[1]))
    if origin is list:
        return functools.partial(_items, _decoder(inside[0]))
    if origin is tuple and inside[1:] == (Ellipsis,):
        items = functools.partial(_items, _decoder(inside[0]))
        return lambda value: tuple(items(value))
    if origin is tuple:
        return functools.partial(_places, tuple(map(_decoder, inside)))
    return SCALARS[hint]


def _of_class(kind: Any) -> Decode:
    hints = _hints(kind)
    layout = _layout(kind)
    known = {key: (name, _decoder(hints[name])) for name, key, _ in layout if key != REST}
    needed = sorted(key for _, key, default in layout if default is dataclasses.MISSING)
    takes_more = REST in hints

    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise Unfit("is no object")
        given: dict[str, Any] = {}
        more: dict[str, Any] = {}
        key = None
        try:
            for key, inner in value.items():
                if key in known:
                    name, field = known[key]
                    given[name] = field(inner)
                else:
                    more[key] = inner
        except Unfit as error:
            raise error.below(key) from None
        for key in needed:
            if key not in value:
                raise Unfit("is missing").below(key)
        if more and not takes_more:
            raise Unfit("is not known to this version of hwlit").below(next(iter(more)))
        if takes_more:
            given[REST] = _free(more)
        try:
            return kind(**given)
        except ValueError as error:
            raise Unfit(f"is wrong: {error}") from None

    return _once(decode) if getattr(kind, "alike", False) else decode


def _once(decode: Decode) -> Decode:
    """Return a decoder that makes one instance, which nobody can change, of values that are alike.

    A record says of each of its hundred readings how it was obtained, in a dozen ways.
    """
    kept: dict[bytes, Any] = {}

    def decode_once(value: Any) -> Any:
        try:
            key = marshal.dumps(
                value, 2
            )  # tells 1 from 1.0 and from true, and not who refers to it
        except ValueError:  # it has what no file has
            return decode(value)
        if key not in kept:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[key] = decode(value)
        return kept[key]

    return decode_once


def _entries(decode: Decode, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Unfit("is no object")
    found = {}
    key = None
    try:
        for key, inner in value.items():
            found[key] = decode(inner)
    except Unfit as error:
        raise error.below(key) from None
    return found


def _items(decode: Decode, value: Any) -> list[Any]:
    if type(value) not in (list, tuple):
        raise Unfit("is no list")
    if decode is _number and _are_numbers(value):
        return list(value)
    found: list[Any] = []
    try:
        for inner in value:
            found.append(decode(inner))
    except Unfit as error:
        raise error.below(len(found)) from None
    return found


def _places(decoders: tuple[Decode, ...], value: Any) -> tuple[Any, ...]:
    if type(value) not in (list, tuple) or len(value) != len(decoders):
        raise Unfit(f"is no list of {len(decoders)}")
    return tuple(_items(decode, [inner])[0] for decode, inner in zip(decoders, value, strict=True))


def _one_of(names: tuple[Any, ...], value: Any) -> Any:
    if isinstance(value, str) and value in names:
        return value
    raise Unfit(f"is none of {', '.join(names)}")


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise Unfit("is no text")


def _number(value: Any) -> float:
    if type(value) in (int, float) and -LARGEST < value < LARGEST:
        return value  # type: ignore[no-any-return]
    raise Unfit("is no number")


def _are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all are numbers that `_number` takes; a record has one for each step."""
    if not values or not {*map(type, values)} <= {int, float}:
        return False
    # NaN is neither least nor greatest, unless it is the first; a sum shows it.
    return min(values) > -LARGEST and max(values) < LARGEST and math.isfinite(sum(values))


def _whole(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise Unfit("is no whole number")


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise Unfit("is neither true nor false")


def _free(value: Any, depth: int = 0) -> Any:
    """Return what may be anything, but so deep that whatever walks through it comes to an end."""
    if depth > DEEPEST:
        raise Unfit("is nested too deeply")
    if type(value) is dict or type(value) is list:
        for inner in value.values() if type(value) is dict else value:
            _free(inner, depth + 1)
    return value


SCALARS: Mapping[Any, Decode] = {
    str: _text,
    float: _number,
    int: _whole,
    bool: _flag,
    Any: _free,
}
