"""The settings of an adapter by which PEFT makes its layers: plain names, and sizes that are there.

PEFT takes most names in them for regular expressions, some of which never end, and makes layers
and tables of any size. What hwlit writes needs neither.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwlit.allowed_classes import METHODS
from hwlit.errors import IntegrityError, UsageError

AGAIN = "bring the run's own files back"
NAME = re.compile(r"[\w.\-]{0,500}", re.ASCII)
# Lists of full names; PEFT takes a text in place of a list for a pattern.
LISTS = ("target_modules", "modules_to_save", "feedforward_modules")
# What chooses layers in other ways; hwlit writes full names.
UNSET = (
    "exclude_modules", "layers_to_transform", "layers_pattern", "target_parameters",
    "trainable_token_indices", "arrow_config",
)  # fmt: skip
RANKS = ("r", "init_r", "rank_pattern")
NARROW, SMALL = 256, 1_024  # ranks and other sizes that need no tensor of that width
# No sizes: what random numbers start from, strengths, and when a method does what.
NO_SIZES = re.compile(
    r".*(seed|prng_key|alpha|lambda|scaling|step|warmup|interval)|t(init|final)|deltaT"
)


def check_settings(path: Path, settings: Mapping[str, Any], shapes: Sequence[list[int]]) -> None:
    """Refuse settings that hold patterns, or make larger layers than the weights fill.

    Args:
        path: The file that holds them.
        settings: They, as plain data.
        shapes: Those of the tensors of its weights.

    Raises:
        UsageError: They name a method that hwlit does not write, or hold a pattern.
        IntegrityError: They make larger layers.
    """
    _check_method(path, settings.get("peft_type"))
    for name, value in settings.items():
        if name in UNSET and value not in (None, []):
            raise _refusal(path, name, value)
        if name in LISTS and not isinstance(value, list | None):
            raise _refusal(path, name, value)
        for text in _names(value):
            if not NAME.fullmatch(text):
                raise _refusal(path, name, text)
    held = [shape for shape in shapes if all(shape)]  # an empty tensor may say it is a mile wide
    widest = max((max(shape, default=1) for shape in held), default=1)
    sizes = []
    for name, value in settings.items():
        if NO_SIZES.fullmatch(name):
            continue
        for number in _numbers(value):
            if number > max(widest, NARROW if name in RANKS else SMALL):
                raise IntegrityError(
                    f"{path} has {name}: {number:,}, but no tensor beside it is so wide; {AGAIN}"
                )
            sizes.append(number)
    most = max(SMALL**2, *(math.prod(shape) for shape in held), 1)
    if (made := math.prod({number for number in sizes if number > SMALL})) > most:
        raise IntegrityError(
            f"{path} asks for tables of {made:,.0f} values, but no tensor beside it has so many; "
            f"{AGAIN}"
        )


def _check_method(path: Path, kind: Any) -> None:
    known = {method.lower() for method in METHODS}
    if kind is not None and str(kind).replace("_", "").lower() not in known:
        raise UsageError(
            f"{path} has peft_type: {str(kind)[:80]}, which hwlit does not write: it may load "
            f"other models or compile code; {AGAIN}"
        )


def _refusal(path: Path, name: str, value: Any) -> UsageError:
    told = str(value)
    told = told if len(told) < 80 else f"{told[:80]}..."
    return UsageError(
        f"{path} has {name}: {told}, which PEFT takes for a pattern or a choice of layers, where "
        f"hwlit writes full names; {AGAIN}"
    )


def _names(value: Any) -> Iterator[str]:
    """Yield the keys and the texts in lists within a setting; not recursively: it may be deep."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield from inner
            waiting += inner.values()
        elif isinstance(inner, list):
            yield from (each for each in inner if isinstance(each, str))
            waiting += (each for each in inner if not isinstance(each, str))


def _numbers(value: Any) -> Iterator[float]:
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict | list):
            waiting += inner.values() if isinstance(inner, dict) else inner
        elif isinstance(inner, int | float) and not isinstance(inner, bool):
            yield inner
