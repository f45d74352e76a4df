"""The options of commands that have many. Standard library only: their help is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from hwlit.errors import UsageError

QUANTIZED_FORMATS = ("int8", "int4", "nf4")  # what `hwlit quantize` makes
GENERATE_EXAMPLES = """\
The same seed gives the same noise: with --base it shows what the training changed.

examples
  hwlit generate runs/my-dog --prompt "a photo of sks dog on the beach" --out pictures
  hwlit generate runs/my-dog --prompt "a photo of sks dog on the beach" --out pictures --base
  hwlit generate runs/my-dog --prompt "sks dog in snow" --prompt "sks dog as a knight" \\
                 --num_images 8 --seed 100 --strength 0.7 --out pictures"""


class Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise what the front end prints as one sentence."""
        raise UsageError(f"{message}; {self.prog} --help lists the options")


def parser(command: str, description: str) -> Parser:
    """Return a parser without options.

    Args:
        command: The subcommand.
        description: What it does, in a sentence.
    """
    return Parser(prog=f"hwlit {command}", description=description, allow_abbrev=False)


def predict_parser() -> Parser:
    """Return the options of `hwlit predict`."""
    options = parser("predict", "Label texts with a finished run; writes CSV, in the order given.")
    options.add_argument("run", type=Path, help="the run's directory")
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", action="append", help="a text; may be repeated")
    source.add_argument(
        "--file", type=Path,
        help="a .csv, .tsv, .json, .jsonl or .parquet file with a column of texts, read as the run "
        "read its own, or one text a line (.txt)",
    )  # fmt: skip
    source.add_argument(
        "stdin", nargs="?", choices=["-"], help="one text a line from standard input"
    )
    options.add_argument(
        "--pair", action="append",
        help="the second sentence of each --text, for a run of pairs; in lines of .txt files and "
        "of standard input a tab parts the two",
    )  # fmt: skip
    options.add_argument(
        "--column", help="the column of the texts (default: the one the run read, or text)"
    )
    options.add_argument(
        "--pair-column", help="the column of the second sentences (default: the one the run read)"
    )
    options.add_argument("--batch-size", type=int, default=32, help="texts per call (default: 32)")
    options.add_argument("--device", default="cpu", help="cpu, cuda, mps, ... (default: cpu)")
    options.add_argument("--output", type=Path, help="write here instead of standard output")
    return options


def quantize_parser() -> Parser:
    """Return the options of `hwlit quantize`."""
    options = parser(
        "quantize",
        "Round the weights of a finished run, its adapter merged first, and test what that costs "
        "in quality and wins in latency, memory and file size: a row of its own.",
    )
    options.add_argument("run", type=Path, help="the run's directory")
    options.add_argument(
        "--format", required=True, choices=QUANTIZED_FORMATS,
        help="int8, int4: weights and inputs multiply as integers; nf4: bitsandbytes, smallest",
    )  # fmt: skip
    options.add_argument(
        "--output", type=Path, help="the row's directory, new or empty (default: RUN-FORMAT)"
    )
    options.add_argument(
        "--accelerator", default="cpu", help="where it is tested: cpu, gpu, ... (default: cpu)"
    )
    options.add_argument(
        "--allow_class", help="classes of your own that the run's config names, as in fit"
    )
    return options


def export_options(arguments: list[str]) -> argparse.Namespace:
    """Return what `hwlit export` was asked for.

    Raises:
        UsageError: An option is unknown, or lacks the one that it goes with.
    """
    asked = _export_parser().parse_args(arguments)
    if (asked.lora is None) != (asked.rank is None):
        raise UsageError("--lora and --rank go together: hwlit export RUN --lora DIR --rank 16")
    if asked.base_id is not None and asked.for_hub is None:
        raise UsageError("--base-id goes with --for-hub: hwlit export RUN --for-hub DIR")
    if asked.device is not None and asked.kohya is None:
        raise UsageError("--device goes with --kohya: hwlit export RUN --kohya FILE --device cuda")
    return asked


def _export_parser() -> Parser:
    options = parser("export", "Write a finished run in another format.")
    options.add_argument("run", type=Path, help="the run's directory")
    formats = options.add_mutually_exclusive_group(required=True)
    formats.add_argument(
        "--merged", type=Path, metavar="DIR",
        help="a plain transformers model folder with the adapter folded in; new or empty",
    )  # fmt: skip
    formats.add_argument(
        "--lora", type=Path, metavar="DIR",
        help="what SVDiff learned as a LoRA that stock diffusers reads; new or empty",
    )  # fmt: skip
    formats.add_argument(
        "--kohya", type=Path, metavar="FILE",
        help="LoRA of a picture model as A1111 and ComfyUI read it; a new .safetensors file",
    )  # fmt: skip
    formats.add_argument(
        "--for-hub", type=Path, metavar="DIR",
        help="the folder to upload: RUN/adapter with its model card, without names of this "
        "machine; new or empty",
    )  # fmt: skip
    options.add_argument("--rank", type=int, help="with --lora: its rank, such as 16")
    options.add_argument(
        "--device", help="with --kohya: where the file is read back: cpu, cuda, ... (default: cpu)"
    )
    options.add_argument(
        "--base-id", metavar="ORG/NAME",
        help="with --for-hub: the hub id of the pretrained model, where that was a folder",
    )  # fmt: skip
    return options


def generate_parser() -> Parser:
    """Return the options of `hwlit generate`."""
    options = parser(
        "generate",
        "Draw with a finished run of personalization; writes PNG files and a contact sheet.",
    )
    options.epilog = GENERATE_EXAMPLES
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("run", type=Path, help="the run's directory")
    options.add_argument(
        "--prompt", action="append", required=True,
        help="what to draw, with the identifier that was trained; may be repeated",
    )  # fmt: skip
    options.add_argument("--out", type=Path, required=True, help="directory of the pictures")
    options.add_argument(
        "--num_images", type=int, default=4, help="pictures of each prompt (default: 4)"
    )
    options.add_argument(
        "--seed", type=int, default=0,
        help="seed of the first picture of each prompt, the next has the next (default: 0)",
    )  # fmt: skip
    options.add_argument("--base", action="store_true", help="draw without what was learned")
    options.add_argument(
        "--strength", type=float,
        help="how much of what was learned: 0 is the base, 1 all of it (default: 1)",
    )  # fmt: skip
    options.add_argument("--steps", type=int, help="denoising steps (default: as the run's test)")
    options.add_argument(
        "--guidance", type=float,
        help="how far to go towards the prompt; 1 adds nothing (default: as the run's test)",
    )  # fmt: skip
    options.add_argument("--batch_size", type=int, default=4, help="pictures at once (default: 4)")
    options.add_argument("--device", default="cpu", help="cpu, cuda, mps, ... (default: cpu)")
    return options
