"""The configs that come with hwlit, found by name. Standard library only."""

from __future__ import annotations

import ast
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hwlit.errors import UsageError

HERE = Path(__file__).parent
LONGEST = 1_000_000  # characters of a config that are read


def config_root() -> Path:
    """Return the folder of the shipped configs: in the package, or beside it in a checkout."""
    installed = HERE / "configs"
    return installed if installed.is_dir() else HERE.parent / "configs"


def config_names() -> list[str]:
    """Return the names of the shipped configs, such as `quickstart` and `text/imdb`."""
    root = config_root()
    return sorted(
        path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml")
    )


def adapters(folder: str = "text") -> list[tuple[str, str]]:
    """Return the shipped adapters: the name of each, and the first line of its config's comment.

    Args:
        folder: The kind of network that they are for, a folder below `adapters`.
    """
    files = sorted((config_root() / "adapters" / folder).glob("*.yaml"))
    return [(f.stem, f.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")) for f in files]


def adapter_folder(configs: Sequence[str]) -> str:
    """Return where the adapters of a run are looked up by name: for images, or for text.

    Args:
        configs: The paths of its configs; one of those for images names their task.
    """
    images = any("hwlit.tasks.personalization" in _text(config) for config in configs)
    return "adapters/image" if images else "adapters/text"


def _text(path: str) -> str:
    """Return how a config begins; nothing where it cannot be read, which its parser says better."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(LONGEST)
    except (OSError, UnicodeDecodeError):
        return ""


def adapter_card(name: str, folder: str = "text") -> str:
    """Return the card of a shipped adapter: the docstring of its module, and its config.

    Args:
        name: Its name, or the path of a config of one's own.
        folder: The kind of network that it is for.

    Raises:
        UsageError: There is no such config.
    """
    config = Path(find_config(name, f"adapters/{folder}")).read_text(encoding="utf-8")
    module = re.search(r"^class_path: hwlit\.([\w.]+)\.\w+$", config, re.MULTILINE)
    if module is None:
        return config
    source = HERE.joinpath(*module[1].split(".")).with_suffix(".py").read_text(encoding="utf-8")
    return f"{ast.get_docstring(ast.parse(source))}\n\n{config}"


def find_config(name: str, folder: str = "") -> str:
    """Return the path of a config: the file itself where it exists, else the shipped one.

    Args:
        name: A path, or a shipped name with or without `configs/` and `.yaml`.
        folder: Where shipped names may also be looked up, such as `adapters/text`.

    Raises:
        UsageError: Neither a file nor a shipped config has that name.
    """
    if os.path.isfile(name):  # which says no of a name that cannot be, such as a long one
        return name
    if os.path.isdir(name):
        inside = Path(name, "config.yaml")
        hint = f"did you mean {inside}" if inside.is_file() else "give a .yaml file"
        raise UsageError(f"config {name!r} is a directory; {hint}")
    if "://" in name:
        raise UsageError(f"config {name!r} is an address; download it and give the file")
    root = config_root()
    stem = name.removeprefix("configs/").removesuffix(".yaml").removesuffix(".yml")
    for candidate in (f"{root}/{stem}.yaml", f"{root}/{folder}/{stem}.yaml"):
        if ".." not in stem and os.path.isfile(candidate):
            return str(Path(candidate))
    names = [n.removeprefix(f"{folder}/") for n in config_names() if n.startswith(folder)]
    near = difflib.get_close_matches(stem, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}" if near else f"shipped ones are {', '.join(names)}"
    raise UsageError(f"config {name[:200]!r} is neither a file nor a shipped config; {hint}")
