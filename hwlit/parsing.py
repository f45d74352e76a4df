"""Configs as people write them: refused in one sentence, and known by their hash."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentParser, set_loader, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from hwlit.adapters.base import Adapter
from hwlit.config_sources import LINKED
from hwlit.errors import UsageError
from hwlit.saved_configs import load_config

VERBATIM = ("--data.text_column", "--data.label_column", "--data.pair_column")

# What a run is about does not change with where it is written or how many workers load it.
NOT_HASHED = (
    "output", "config", "ckpt_path", "resume", "wandb", "checkpoint.every", "trainer.logger",
    "trainer.enable_progress_bar", "trainer.default_root_dir", "data.init_args.num_workers",
)  # fmt: skip


class Parser(LightningArgumentParser):
    """Answers bad input with one sentence instead of pages of parser output."""

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        """Raise the sentence.

        Raises:
            UsageError: Always.
        """
        raise UsageError(one_sentence(message)) from ex


def read_configs_as_data(allowed: Sequence[str]) -> None:
    """Let a config name these classes alone, each key once, in a local file.

    Args:
        allowed: The paths of the classes.

    Raises:
        UsageError: One of them, which the user named, is not there.
    """
    # The parser asks again for the place where a class is written, such as torch.optim.adamw.
    written = [
        f"{found.__module__}.{found.__qualname__}"
        for name in allowed
        if not name.startswith("hwlit.") and (found := _import_class(name))
    ]
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=[*allowed, *written],
        instantiate_subclass_spec_in_any=False,
        config_read_mode_fsspec_enabled=False,  # a config is a local file, never an address
    )
    set_loader("yaml", load_config, exceptions=(yaml.YAMLError,))


def _import_class(path: str) -> type:
    module, _, name = path.rpartition(".")
    try:
        found = vars(importlib.import_module(module)).get(name)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--allow_class {path} cannot be imported: {error}") from error
    if not inspect.isclass(found):
        raise UsageError(f"--allow_class {path} is no class; give its full path")
    return found


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add what a run takes beside trainer, model and data."""
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="fit: the run's directory, new or empty (default: "
        "runs/<config>-<adapter>-<timestamp>). validate, test: a JSON file for the metrics.",
    )
    parser.add_argument(
        "--resume", type=str | None, default=None,
        help="fit: go on with a stopped run in its directory; given alone.",
    )  # fmt: skip
    parser.add_argument(
        "--allow_class", type=str | None, default=None,
        help="Classes of your own that configs may name, such as my_package.MyCallback, with "
        "commas between; they are imported and run.",
    )  # fmt: skip
    parser.add_argument("--wandb", type=str | None, default=None, help="fit: a W&B project.")


def link_model_and_data(parser: LightningArgumentParser) -> None:
    """Let what is set in one place reach both the model and the data."""
    link, model, data = parser.link_arguments, "model.init_args", "data.init_args"
    link(f"{model}.pretrained", f"{data}.tokenizer")
    for name in ("pretrained", "train_text_encoder"):
        link(f"{model}.{name}", f"{data}.{name}")
    link(f"{model}.adapter", f"{data}.new_tokens", compute_fn=new_tokens_of)
    link("seed_everything", f"{data}.shuffle_seed")
    link("seed_everything", f"{model}.seed")
    link("data.labels", f"{model}.labels", apply_on="instantiate")


def config_sha256(config: Mapping[str, Any]) -> str:
    """Return the hash of what a config asks for, less where it writes and how it loads.

    Args:
        config: The resolved config, plain data.
    """
    return hashlib.sha256(json.dumps(_hashed(config), sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return in what two configs ask for different runs, one phrase per key."""
    old, new = _hashed(before), _hashed(after)
    return tuple(
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def refuse_linked(arguments: Sequence[str]) -> None:
    """Refuse what follows from another option.

    Raises:
        UsageError: It was given.
    """
    for word in arguments:
        if (name := word.partition("=")[0].replace(".init_args", "")) in LINKED:
            raise UsageError(f"{name} follows from {LINKED[name]}; set that instead")


def new_tokens_of(adapter: Any) -> dict[str, int]:
    """Return the words that an adapter will teach to the tokenizers, by its settings as parsed."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--adapter", type=Adapter)
    settings = parser.parse_object({"adapter": adapter})
    try:
        made: Adapter = parser.instantiate_classes(settings).adapter
    except UsageError:  # the task is made of the same settings next, and says it without the parser
        return {}
    return made.new_tokens


def verbatim_columns(arguments: Sequence[str]) -> list[str]:
    """Quote names of columns that the parser would take for YAML; the data takes the quotes off."""
    found: list[str] = []
    option = ""
    for word in arguments:
        name, equals, value = word.partition("=")
        if equals and name in VERBATIM:
            word = f"{name}={_quoted(value)}"
        elif option in VERBATIM:
            word = _quoted(word)
        option = "" if equals else word
        found.append(word)
    return found


def _quoted(value: str) -> str:
    """Return a name as it is where it is plain text in YAML too, else in double quotes."""
    try:
        plain = yaml.safe_load(value) == value and not value.startswith("-")
    except yaml.YAMLError:
        plain = False
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value if plain or quoted else json.dumps(value, ensure_ascii=False)


def root_cause(error: BaseException) -> UsageError:
    """Return the sentence of ours that the parser wrapped, or else one made from its message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UsageError):
            return cause
        cause = cause.__cause__
    return UsageError(one_sentence(str(error)))


def one_sentence(message: str) -> str:
    """Return what a message of the parser says, without the layers around it.

    Args:
        message: Many lines: parser keys, union members that failed, values as given.
    """
    if message.startswith("the following arguments are required"):
        return f"{message}; give a config, such as --config quickstart"
    keys = re.findall(r'Parser key "([^"]+)"', message)
    if keys and (missing := re.search(r"arguments are required: ([\w.]+)", message)):
        return f"--{keys[0]} needs {missing[1]}; give --{keys[0]}.{missing[1]}"
    lines = [line.strip(" -") for line in message.splitlines()]
    noise = (
        "Does not validate",
        "Subtypes:",
        "Errors:",
        "Given value",
        "Parser key",
        "Problem with given",
    )
    told = [
        line
        for line in lines
        if line and not line.startswith(noise) and "<class 'NoneType'>" not in line
    ]
    sentence = " ".join(dict.fromkeys(told)) or " ".join(lines)
    where = ".".join(dict.fromkeys(keys))
    return f"--{where}: {sentence}" if where and where not in sentence else sentence


def _hashed(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _flatten(config) if not key.startswith(NOT_HASHED)}


def _flatten(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            items += _flatten(value, f"{prefix}{key}.")
        else:
            items.append((f"{prefix}{key}", value))
    return items
