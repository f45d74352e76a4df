"""AG News: short news items of four topics."""

from __future__ import annotations

from typing import Any, ClassVar

from hwlit.data.base import TextData
from hwlit.data.hub import read_part
from hwlit.data.reading import Form, Rows


class AGNews(TextData):
    """AG News; the hub's `fancyzhx/ag_news` has a test part of its own.

    Files have no header and the columns class (1 to 4), title and description; the text is title
    and description, joined by a space as on the hub.

    Args:
        max_length: Longer items are cut to this many tokens.
        kwargs: See `TextData`.
    """

    labels: ClassVar[tuple[str, ...]] = ("World", "Sports", "Business", "Sci/Tech")
    forms: tuple[Form, ...] = (
        Form(
            ("title", "description"),
            "class",
            {"1": 0, "2": 1, "3": 2, "4": 3},
            columns=("class", "title", "description"),
        ),
    )
    hub: ClassVar[str] = "fancyzhx/ag_news"

    def __init__(self, *, max_length: int = 128, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def read_hub(self) -> tuple[Rows, Rows | None]:
        """Read the parts train and test."""
        classes = len(self.labels)
        return read_part(self.hub, "train", classes), read_part(self.hub, "test", classes)
