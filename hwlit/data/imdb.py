"""IMDB film reviews, negative or positive."""

from __future__ import annotations

from typing import Any, ClassVar

from hwlit.data.base import TextData
from hwlit.data.hub import read_part
from hwlit.data.reading import Form, Rows

_WORDS = {"negative": 0, "positive": 1}


class IMDB(TextData):
    """IMDB film reviews; the hub's `stanfordnlp/imdb` has a test part of its own.

    Files have the columns review and sentiment (negative, positive), or text and label (0, 1, or
    the words). The `<br />` tags in the reviews are left as they are.

    Args:
        max_length: Longer reviews are cut to this many tokens.
        kwargs: See `TextData`.
    """

    labels: ClassVar[tuple[str, ...]] = ("negative", "positive")
    forms: tuple[Form, ...] = (
        Form(("review",), "sentiment", _WORDS),
        Form(("text",), "label", _WORDS | {"0": 0, "1": 1}),
    )
    hub: ClassVar[str] = "stanfordnlp/imdb"

    def __init__(self, *, max_length: int = 256, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def read_hub(self) -> tuple[Rows, Rows | None]:
        """Read the parts train and test; the third one has no labels."""
        classes = len(self.labels)
        return read_part(self.hub, "train", classes), read_part(self.hub, "test", classes)
