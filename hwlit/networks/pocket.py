"""Stand-in until the pocket models are here."""

from __future__ import annotations

from pathlib import Path

from hwlit.errors import UsageError


def pocket_sd_path() -> Path:
    """Return the folder of pocket-sd."""
    raise UsageError("pocket-sd is not here yet")
