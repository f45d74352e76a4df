"""The one console: rich's tables and colours, and no control character of a text in them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from hwlit.plain_text import Plain, printable


class PlainConsole(Console):
    """Prints every text as one line, as it stands: brackets are no markup, colons no emoji.

    What has several lines is printed line by line.

    Args:
        stderr: Whether to standard error.
        options: Of rich's console.
    """

    def __init__(self, stderr: bool = False, **options: Any) -> None:
        if stderr and isinstance(sys.stderr, Plain):  # what rich adds is no text of a stranger
            options["file"] = sys.stderr.stream
        super().__init__(stderr=stderr, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text with rich's highlights."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Leave to whoever prints what a reader that has ended means; rich would exit with 1."""
        raise BrokenPipeError

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Return the segments of what is printed."""
        if isinstance(renderable, Text) and not renderable.plain.isprintable():
            renderable = renderable.copy()
            renderable.plain = printable(renderable.plain)
        return super().render(renderable, options)
