"""What the folder that hwlit is started in must not decide. Standard library only.

It may be somebody else's: a study that was downloaded, with Python files or settings beside it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hwlit.errors import UsageError

PACKAGES = Path(__file__).parents[1]
SAFE = {"PYTHONSAFEPATH": "1"}  # of every child: the working directory is no place of packages


def secure() -> None:
    """Let no file of the working directory be taken for a package, here or in any child.

    What the user put on PYTHONPATH stays; an empty entry of it, mostly a slip, means the working
    directory and goes. Nor does what is printed fail, for a letter that the terminal lacks.
    """
    os.environ |= SAFE
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [entry for entry in given if entry]
    with contextlib.suppress(OSError, ValueError):  # it is gone, or on no path
        here = os.getcwd()
        if len(named) < len(given) and here not in (str(PACKAGES), *map(os.path.abspath, named)):
            sys.path.remove(here)
    if str(PACKAGES) not in sys.path:  # not installed, but started in a checkout
        named.append(str(PACKAGES))
        sys.path.append(str(PACKAGES))
    if named:
        os.environ["PYTHONPATH"] = os.pathsep.join(named)
    else:
        os.environ.pop("PYTHONPATH", None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def check(arguments: Sequence[str]) -> None:
    """Refuse names that no file of ours can hold, and a working directory that is gone.

    Raises:
        UsageError: There is one.
    """
    try:
        here = os.getcwd()
    except OSError:
        raise UsageError("the working directory is gone; change to one that is there") from None
    named = [("the working directory", here), *(("the argument", word) for word in arguments)]
    for what, text in named:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{what} {text!r} is not UTF-8; rename it, or set LC_ALL=C.UTF-8 if its letters "
                "are right elsewhere"
            ) from None


def ignore_settings() -> None:
    """Let matplotlib pass over a `matplotlibrc` of the working directory, which it reads first.

    Such a file can have LaTeX run, or modules imported.
    """
    if os.path.lexists("matplotlibrc"):
        with contextlib.chdir(PACKAGES):
            importlib.import_module("matplotlib")
