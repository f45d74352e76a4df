"""What a check finds: one line per part as it is done, and the problems with their remedies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.status import Status
from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.errors import OUT_OF_MEMORY, HwlitError, ResourceError, is_out_of_memory
from hwlit.parsing import root_cause


class Findings:
    """Prints one line per part as it is done, and keeps the problems."""

    def __init__(self) -> None:
        self.problems: list[HwlitError] = []
        self._console = PlainConsole()
        self.status: Status = PlainConsole(stderr=True).status("")

    @contextlib.contextmanager
    def part(
        self, name: str, refusals: tuple[type[Exception], ...] = ()
    ) -> Iterator[Callable[[str], None]]:
        """Try one part; what it raises is a problem, and the next part goes on.

        Args:
            name: What is tried.
            refusals: Exceptions of libraries that mean a setting that cannot be used.
        """
        told: list[str] = []
        self.status.update(f"{name} ...")
        try:
            with self.status:
                yield told.append
        except HwlitError as error:
            self.problems.append(error)
        except refusals as error:
            self.problems.append(root_cause(error))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.problems.append(ResourceError(OUT_OF_MEMORY))
        else:
            self._line("ok", name, told[0], "green")
            return
        self._line("no", name, str(self.problems[-1]), "red")

    def skip(self, name: str, reason: str) -> None:
        """Say that a part was not tried."""
        self._line("--", name, reason, "dim")

    def conclude(self) -> None:
        """Say that all is well.

        Raises:
            HwlitError: The first problem, where there is any.
        """
        if not self.problems:
            self._console.print(Text("ok: nothing here would stop the run", style="green"))
            return
        first = self.problems[0]
        more = len(set(map(str, self.problems))) - 1
        raise type(first)(f"{first}" + (f" (and {more} more above)" if more else "")) from first

    def _line(self, mark: str, name: str, told: str, style: str) -> None:
        line = Text(f"{mark}  {name:<11}", style=style)
        line.append(told, style="default")
        self._console.print(line, soft_wrap=True)
