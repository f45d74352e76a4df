"""What a config may not say, refused on the plain data, before the parser imports any name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwlit.allowed_classes import SLOTS, Allowed, Slot
from hwlit.config_sources import COMMAND_LINE, LINKED, Problem, at, beside, sources, structured
from hwlit.errors import UsageError
from hwlit.yaml_files import read_config

DEEPEST = 20  # keys: an adapter of a chain and its format lie eleven deep
DEEPEST_FILES = 4  # that name one another: a config, its adapter's, those of a chain
MOST_FILES = 50  # in all
MOST_OBJECTS = 100  # callbacks of a list: the parser's time grows with the square of them
# Keys of keys, which the parser also reads from a file that is named in their place.
GROUPS = ("trainer", "checkpoint", "init_args", "theme", "use_bdlora")
GROUP_ENDING = "_config"  # of those of PEFT
# What decides where a run writes, and what it may import: the user says so himself.
COMMAND_LINE_ONLY = ("output", "resume", "config", "allow_class")
NEVER = {
    "dict_kwargs": "write every argument under init_args",
    "default_root_dir": "--output says where a run writes",
    "model_registry": "a run is saved in its own directory",
    "console_kwargs": "what is printed goes one way",
    "megatron_core": "it names a module to import",
    "megatron_config": "it needs a module of that name",
}


class Refusal(UsageError):
    """What stands in a config is understood, and refused: nothing else explains it better."""


def check_names(words: Sequence[str], allowed: Allowed) -> None:
    """Refuse what may not be named, and where nothing may be written, in options and configs.

    Args:
        words: The command line after the subcommand.
        allowed: The classes that may be named.

    Raises:
        Refusal: Something is refused.
        UsageError: A class is named where none belongs, or a config file cannot be read.
    """
    files: list[Path] = []
    for given, source in sources(words, special=True):
        if isinstance(given, Problem):
            continue  # the parser says it
        if source != COMMAND_LINE:
            _check_run(given, source)
        _Check(allowed, source, files).value(given, None, ())


def _check_run(given: Any, source: str) -> None:
    """Refuse a file that describes no run.

    Raises:
        Refusal: It does not; names what it describes.
    """
    if not isinstance(given, Mapping):
        found = "empty" if given in (None, "") else f"a {type(given).__name__}"
        raise Refusal(
            f"config {source} is {found}; it must map keys such as model, data and trainer"
        )
    if "class_path" in given:
        raise Refusal(
            f"config {source} describes the class {given['class_path']}, not a run; "
            "an adapter is given by --model.adapter"
        )
    if "axes" in given:
        raise Refusal(
            f"config {source} describes a study, not a run; hwlit study run {source} runs it"
        )


class _Check:
    """Walks what one source says; files that it names are sources of their own."""

    def __init__(
        self,
        allowed: Allowed,
        source: str,
        files: list[Path],
        depth: int = 0,
    ) -> None:
        self._allowed, self._source, self._depth = allowed, source, depth
        self._files = files

    def value(self, given: Any, slot: Slot | None, path: tuple[str, ...]) -> None:
        if len(path) > DEEPEST:
            self._refuse(path, f"lies {len(path)} keys deep; is it a config?")
        if path and _is_group(path[-1]) and isinstance(given, list | bool | int | float):
            self._refuse(path, f"is {str(given)[:100]}; it must map keys to values")
        if isinstance(given, Mapping):
            self._mapping(given, slot, path)
        elif isinstance(given, list):
            if slot is not None and len(given) > MOST_OBJECTS:
                self._refuse(path, f"lists {len(given)} objects; give at most {MOST_OBJECTS}")
            for one in given:
                self.value(one, slot, path)
        elif slot is not None and isinstance(given, str):
            self._name(given, slot, path)
        elif isinstance(given, str) and path and _is_group(path[-1]):
            self._group(given, path)

    def _mapping(self, given: Mapping[Any, Any], slot: Slot | None, path: tuple[str, ...]) -> None:
        for written, inner in given.items():
            *above, key = str(written).removesuffix("+").split(".")
            if above:  # "model.adapter.rank: 4" means the same as the keys nested
                for part in reversed([*above[1:], key]):
                    inner = {part: inner}
                key = above[0]
            here = (*path, key)
            self._key(key, inner, here)
            if key == "class_path":
                self._class(inner, slot, here)
            else:
                self.value(inner, self._slot(key, path), here)

    def _slot(self, key: str, path: tuple[str, ...]) -> Slot | None:
        """Return what a key takes; None where it takes no class."""
        above = path[-1] if path else ""
        if above == "adapters":  # by any name, whatever it is
            return SLOTS["adapter"]
        return SLOTS["method"] if key == "config" and path else SLOTS.get(key)

    def _key(self, key: str, given: Any, path: tuple[str, ...]) -> None:
        if key in NEVER and given not in (None, {}, "megatron.core"):  # as PEFT fills it in
            self._refuse(path, f"cannot be set; {NEVER[key]}")
        from_file = self._source != COMMAND_LINE
        if from_file and len(path) == 1 and key in COMMAND_LINE_ONLY and given is not None:
            self._refuse(path, f"stands in a file; give it on the command line: --{key}")
        option = "--" + ".".join(part for part in path if part != "init_args")
        if option in LINKED and key not in NEVER and given is not None:
            self._refuse(path, f"follows from {LINKED[option]}; set that instead")
        if key.startswith("__"):
            self._refuse(path, "is no key of a config; remove it")

    def _class(self, name: Any, slot: Slot | None, path: tuple[str, ...]) -> None:
        if slot is None:
            # Mostly below a misspelt key, of which `explain` knows more: so it is no `Refusal`.
            where = at(self._source, ".".join(path))
            raise UsageError(
                f"{where} is {str(name)!r}, but no class may be named there; remove it"
            )
        elif name is not None and not (isinstance(name, str) and self._known(name, slot)):
            self._refuse(path[:-1], self._other(str(name), slot))

    def _name(self, given: str, slot: Slot, path: tuple[str, ...]) -> None:
        """Check a word in a class's place: a name, or a file that describes an object."""
        if slot.words is None:
            if not given.replace("-", "_").isidentifier():
                self._refuse(
                    path, f"is {given!r}, which is unknown; give the name of a {slot.what}"
                )
            return
        if given in ("", "null", "true", "false", *slot.words) or self._known(given, slot):
            # The parser takes a file of that name first, whatever it says.
            if any(map(_is_file, (beside(given, self._source), Path(given)))):
                self._refuse(path, f"is {given!r}, which names a file here too; rename the file")
            return
        if slot.names() and os.path.exists(beside(given, self._source)):
            self._file(given, slot, path)
            return
        self._refuse(path, self._other(given, slot))

    def _group(self, given: str, path: tuple[str, ...]) -> None:
        """Check a text in a group's place: a file, or YAML once more."""
        if os.path.exists(beside(given, self._source)):
            self._file(given, None, path)
        elif isinstance(found := structured(path[-1], given), Mapping):
            self.value(found, None, path)
        else:
            self._refuse(path, f"is {given!r}; it must map keys to values")

    def _file(self, name: str, slot: Slot | None, path: tuple[str, ...]) -> None:
        """Check a file that is named in the place of an object."""
        if self._depth == DEEPEST_FILES or len(self._files) == MOST_FILES:
            self._refuse(path, f"is {name!r}, and files name one another without end")
        self._files.append(file := beside(name, self._source))
        inner = _Check(self._allowed, str(file), self._files, self._depth + 1)
        inner.value(read_config(file), slot, path)

    def _known(self, name: str, slot: Slot) -> bool:
        names = self._allowed.names(slot)
        return name in names or name in {_last(path) for path in names}

    def _other(self, name: str, slot: Slot) -> str:
        """Say what may be named instead."""
        known = {_last(path): path for path in self._allowed.names(slot)}
        spelt = {name.lower(): name for name in known}
        told = f"is {name[:200]!r}, which is no {slot.what} that may be named"
        if near := difflib.get_close_matches(_last(name).lower(), spelt, n=1, cutoff=0.5):
            return f"{told}; did you mean {known[spelt[near[0]]]}?"
        choices = [*slot.words] if slot.words else []
        choices += known
        hints = [slot.hint, f"there are {', '.join(sorted(choices))}" if choices else ""]
        hints.append("a class of your own is allowed by --allow_class PATH" if "." in name else "")
        return "; ".join([told, *filter(None, hints)])

    def _refuse(self, path: Iterable[str], told: str) -> None:
        raise Refusal(f"{at(self._source, '.'.join(path))} {told}")


def _is_file(path: Path) -> bool:
    """Return whether a path is there and is no folder: a file, a pipe, a device."""
    return os.path.exists(path) and not os.path.isdir(path)


def _is_group(key: str) -> bool:
    return key in GROUPS or key.endswith(GROUP_ENDING)


def _last(path: str) -> str:
    return path.rpartition(".")[2]
