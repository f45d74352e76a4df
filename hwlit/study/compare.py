"""`hwlit compare`: many runs side by side. Needs neither torch nor Lightning."""

from __future__ import annotations

import argparse
import gc
import math
from pathlib import Path

from hwlit.errors import UsageError
from hwlit.options import Parser, parser
from hwlit.plain_text import say
from hwlit.study.collect import collect
from hwlit.study.comparing import compared
from hwlit.study.comparison import Comparison
from hwlit.study.formats import as_csv, as_json, markdown, tables


def main(arguments: list[str]) -> int:
    """Print the comparison of the runs that the command line names."""
    options = compare_parser("compare", "Set runs side by side: a row per method, seeds pooled.")
    options.add_argument(
        "--format", choices=["table", "md", "csv", "json"], default="table",
        help="csv: a line per method; json: everything; both in SI units (default: table)",
    )  # fmt: skip
    asked = options.parse_args(arguments)
    comparison = comparison_of(asked)
    write = {"table": tables, "md": markdown, "csv": as_csv, "json": as_json}[asked.format]
    say(*write(comparison).removesuffix("\n").split("\n"))
    name_left_out(comparison)
    return 0


def comparison_of(asked: argparse.Namespace) -> Comparison:
    """Return what the command line asks to be compared."""
    found = collect(asked.runs)
    gc.freeze()  # it stays until the command ends, and looking for cycles in it takes long
    return compared(found, asked.metric, asked.baseline, _margin(asked.margin))


def name_left_out(comparison: Comparison) -> None:
    """Name on standard error what a reader of the table could miss."""
    for path, reason in comparison.left_out:
        say(f"hwlit: left out {path}: {reason}", error=True)


def compare_parser(command: str, description: str) -> Parser:
    """Return the options that compare, report and advise share.

    Args:
        command: The subcommand.
        description: What it does, in a sentence.
    """
    options = parser(command, description)
    options.add_argument(
        "runs", type=Path, nargs="+", help="runs, directories of runs, studies; in any mixture"
    )
    options.add_argument("--baseline", help="the method the others are held against: label or run")
    options.add_argument("--metric", help="what quality is, such as f1_macro or test/clip_i")
    options.add_argument(
        "--margin", metavar="NUMBER",
        help="how great a difference is still as good as none, in the metric's unit: 0.01 is one "
        "point of accuracy (default: the metric's own)",
    )  # fmt: skip
    return options


def _margin(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not math.isfinite(margin):
        raise UsageError(
            f"--margin {text!r} is no number; give one in the metric's unit, such as 0.01 for one "
            "point of accuracy"
        )
    return margin
