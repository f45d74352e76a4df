"""Tweets that are about a disaster, or only sound like it."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from typing import Any, ClassVar

from hwlit.data.base import TextData
from hwlit.data.hub import download
from hwlit.data.reading import Form, Rows, read_rows

BUNDLED = "bundled"


class Tweets(TextData):
    """Disaster tweets: the training file of Kaggle's "nlp-getting-started", or a set like it.

    Files have the columns text and target (0 or 1), among any others. The path "bundled" reads the
    small set that comes with hwlit. The hub's copy is `venetis/disaster_tweets`; Kaggle's test
    file has no labels and is not used.

    Args:
        max_length: Longer tweets are cut to this many tokens.
        keyword: Whether the keyword is put before the text, as in "keyword: wild fire | the text".
            The parts of the data set stay as they are without.
        location: Whether the location is put there too, after the keyword.
        kwargs: See `TextData`.
    """

    labels: ClassVar[tuple[str, ...]] = ("not disaster", "disaster")
    forms: tuple[Form, ...] = (Form(("text",), "target", {"0": 0, "1": 1}),)
    hub: ClassVar[str] = "venetis/disaster_tweets"

    def __init__(
        self,
        *,
        max_length: int = 128,
        keyword: bool = False,
        location: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.before = ("keyword",) * keyword + ("location",) * location
        self.forms = tuple(replace(form, before=self.before) for form in self.forms)

    def columns(self) -> dict[str, Any]:
        """Return what is put before the text."""
        return {"text_column": "text", "before": list(self.before)}

    def read_file(self, path: str) -> Rows:
        """Read one local file, or the bundled one."""
        if path != BUNDLED:
            return super().read_file(path)
        with as_file(files("hwlit").joinpath("assets", "tweets.csv")) as bundled:
            return replace(read_rows(bundled, self.forms), source=BUNDLED)

    def read_hub(self) -> tuple[Rows, Rows | None]:
        """Read the file as it lies on the hub; `datasets` would turn the text "NA" into none."""
        path, revision = download(self.hub, "train.csv")
        return replace(read_rows(path, self.forms), source=self.hub, revision=revision), None
