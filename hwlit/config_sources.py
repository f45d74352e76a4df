"""What a command line and its config files say, as plain data, before any parser has seen it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hwlit.errors import UsageError
from hwlit.yaml_files import load_strictly, read_config

SPECIAL = ("class_path", "init_args", "dict_kwargs")
WITHOUT_VALUE = ("print_config", "help", "h")
COMMAND_LINE = "--"
# What the command line sets in one place and the classes take in two.
LINKED = {
    "--model.labels": "the data set",
    "--model.seed": "--seed_everything",
    "--data.shuffle_seed": "--seed_everything",
    "--data.tokenizer": "--model.pretrained",
    "--data.pretrained": "--model.pretrained",
    "--data.train_text_encoder": "--model.train_text_encoder",
    "--data.new_tokens": "--model.adapter",
    "--trainer.default_root_dir": "--output",
}


class Problem(str):
    """The sentence for words that are no key with its value."""


def sources(words: Sequence[str], special: bool = False) -> Iterator[tuple[Any, str]]:
    """Return what each option and each config file says, with where it says so.

    Args:
        words: The command line after the subcommand.
        special: Whether `class_path` and the like are kept in the options' keys.

    Raises:
        UsageError: A config file cannot be read, or a value is no YAML.
    """
    left = list(words)
    while left:
        option, equals, value = left.pop(0).partition("=")
        if not option.startswith("-"):
            told = f"{option!r} belongs to no option; options are written --key value"
            yield Problem(told), COMMAND_LINE
            continue
        if not option.startswith("--") and option not in ("-c", "-h"):
            raise UsageError(f"{option!r} is no option; options are written --key value")
        key = option.lstrip("-")
        if key.split(".")[-1] in WITHOUT_VALUE:
            continue
        if not equals and (not left or left[0].startswith("--")):
            yield Problem(f"{option} needs a value"), COMMAND_LINE
            continue
        value = value if equals else left.pop(0)
        if key in ("config", "c"):
            yield read_config(Path(value)), value
            continue
        given: Any = structured(option, value)
        for part in reversed(key.split(".")):
            if special or part not in SPECIAL:
                given = {part: given}
        yield given, COMMAND_LINE


def structured(option: str, value: str) -> Any:
    """Return a value given as JSON or YAML as data, and any other as it stands.

    Raises:
        UsageError: It begins as one, and is none.
    """
    if not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return load_strictly(value)
    except yaml.YAMLError as error:
        raise UsageError(f"{option} is no valid YAML: {' '.join(str(error).split())}") from error


def beside(value: str, source: str) -> Path:
    """Return the path of a file that is named in a config, or on the command line."""
    return Path(value) if source == COMMAND_LINE else Path(source).parent / value


def keys_below(value: Any) -> str:
    """Return the keys below one of the command line, for each option names one key alone."""
    found = ""
    while isinstance(value, Mapping) and len(value) == 1:
        key, value = next(iter(value.items()))
        found += f".{key}"
    return found


def at(source: str, path: str, like: str = "") -> str:
    """Return a key as it is written where it was given."""
    if COMMAND_LINE in (source, like):
        return f"--{path}"
    return f"{source}: {path}" if source else path
