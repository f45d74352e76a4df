"""Configs that hwlit wrote itself, and what the older ones among them do not say.

Until data sets had a seed of their own, `seed_everything` divided them too, and no config named it.
A config of that time keeps its division: the data's seed is then its own `seed_everything`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from hwlit.yaml_files import load_strictly

FITTED = "# hwlit fit "  # begins config.yaml of a run
QUANTIZED = "# hwlit quantize "  # begins config.yaml of a row that was quantised, not trained
# What only a whole config has, as a run saves it or --print_config prints it; nobody writes all.
WHOLE = frozenset(("seed_everything", "trainer", "model", "data", "checkpoint", "ckpt_path"))


def load_config(text: str) -> Any:
    """Return what a config says; one that an older hwlit saved says how its data is divided, too.

    Raises:
        yaml.YAMLError: It is no YAML, names a key twice, or unfolds to too much.
    """
    said = load_strictly(text)
    if not _leaves_division(text, said):
        return said
    data = said["data"]
    settings = {"seed": said.get("seed_everything", 0), **(data.get("init_args") or {})}
    return {**said, "data": {**data, "init_args": settings}}


def leaves_division(text: str) -> bool:
    """Return whether a config was saved by a hwlit that divided data by `seed_everything`."""
    try:
        return _leaves_division(text, load_strictly(text))
    except yaml.YAMLError:
        return False


def is_divided(data: Any) -> bool:
    """Return whether a config's `data` names a set of which a seed decides what is tested on.

    Pictures of a concept all train. Of a class of the user's own its settings tell.
    """
    if not isinstance(data, Mapping) or not isinstance(path := data.get("class_path"), str):
        return False
    settings = data.get("init_args") or {}
    if not isinstance(settings, Mapping) or path.rpartition(".")[2] == "ConceptImages":
        return False
    return "." not in path or path.startswith("hwlit.data.") or "validation_size" in settings


def states_division(data: Any) -> bool:
    """Return whether a config's `data` says by which seed it is divided."""
    return "seed" in data or "seed" in (data.get("init_args") or {})


def _leaves_division(text: str, said: Any) -> bool:
    if not isinstance(said, Mapping):
        return False
    if not (text.startswith((FITTED, QUANTIZED)) or said.keys() >= WHOLE):
        return False
    data = said.get("data")
    return is_divided(data) and not states_division(data)
