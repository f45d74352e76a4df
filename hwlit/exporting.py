"""What `hwlit export` writes: a finished run in another format."""

from __future__ import annotations

from argparse import Namespace

from hwlit.inference import export_merged
from hwlit.kohya_export import export_kohya
from hwlit.plain_text import say
from hwlit.shifts import export_lora
from hwlit.uploads import export_for_hub


def export(asked: Namespace) -> int:
    """Write a run in the one format that was asked for, and say where it lies.

    Args:
        asked: What `options.export_options` returned.

    Returns:
        The exit code.
    """
    if asked.lora is not None:
        error = export_lora(asked.run, asked.lora, asked.rank)
        say(f"written: {asked.lora}/, relative error {error:.4f} at rank {asked.rank}")
    elif asked.kohya is not None:
        remarks = export_kohya(asked.run, asked.kohya, asked.device or "cpu")
        say(f"written: {asked.kohya}", *remarks)
    elif asked.for_hub is not None:
        remarks = export_for_hub(asked.run, asked.for_hub, asked.base_id)
        say(f"written: {asked.for_hub}/", *remarks)
    else:
        export_merged(asked.run, asked.merged)
        say(f"written: {asked.merged}/")
    return 0
