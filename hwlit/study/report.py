"""`hwlit report`: one page about many runs. Needs neither torch nor Lightning."""

from __future__ import annotations

from pathlib import Path

from hwlit.errors import UsageError
from hwlit.plain_text import in_markdown, say
from hwlit.storage import write_text
from hwlit.study.compare import compare_parser, comparison_of, name_left_out
from hwlit.study.comparison import Comparison
from hwlit.study.environment import environment_grid
from hwlit.study.formats import markdown, markdown_table
from hwlit.study.page import page, subtitle
from hwlit.study.plain_words import sentences

WRITERS = (".html", ".htm", ".md")


def main(arguments: list[str]) -> int:
    """Write the report that the command line asks for."""
    options = compare_parser("report", "Write one page about many runs: words, tables, plots.")
    options.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"),
        help="a .html page or a .md text (default: report.html)",
    )  # fmt: skip
    asked = options.parse_args(arguments)
    kind = asked.output.suffix.lower()
    if kind not in WRITERS or asked.output.is_dir():
        raise UsageError(f"-o {asked.output} is neither .html nor .md; name a file that ends so")
    comparison = comparison_of(asked)
    write_text(asked.output, report_text(comparison) if kind == ".md" else page(comparison))
    name_left_out(comparison)
    say(f"written: {asked.output}")
    return 0


def report_text(comparison: Comparison) -> str:
    """Return the report as Markdown: the words and the tables of the page."""
    lines = [f"# {in_markdown(comparison.name)}", "", in_markdown(subtitle(comparison)), ""]
    told = [f"- {in_markdown(sentence)}" for sentence in sentences(comparison)]
    lines += ["## In plain words", "", *told, ""]
    lines += ["## All figures", "", markdown(comparison)]
    if (environment := environment_grid(comparison)).rows:
        lines += ["## Environment", "", markdown_table(environment), ""]
    return "\n".join(lines)
