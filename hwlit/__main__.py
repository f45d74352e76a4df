"""The front end: looks at the subcommand and imports the one module that it needs."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # by `python -m` the working directory, whose files may be a stranger's

import difflib
import importlib
import itertools
import re
import sys
import textwrap
import traceback
from pathlib import Path

from hwlit import __version__, quiet, surroundings
from hwlit.errors import HwlitError, Interrupted, ResourceError, UsageError, is_panic, translated
from hwlit.options import export_options, generate_parser, parser, predict_parser, quantize_parser
from hwlit.output import is_first_process
from hwlit.plain_text import open_closed_streams, plain_streams, say, to_nowhere
from hwlit.shipped import adapter_card, adapter_folder, adapters, config_names, find_config
from hwlit.signals import leave_by_exception

HELP = """\
usage: hwlit COMMAND ...

Measure what a fine-tuning method costs on your machine.

train and measure
  check [--config NAME] what this machine has, and whether that run would work
  fit --config NAME     train, test, measure; writes one directory with one record
  fit --resume RUN      go on with a run that was stopped
  validate, test        evaluate a config, or a checkpoint of it (--ckpt_path)
  adapters [--image]    list the methods of --model.adapter; adapters NAME shows its card
use a finished run
  show RUN              print its row again
  predict RUN           label texts: --text "..." | --file texts.csv | -
  generate RUN          draw pictures: --prompt "..." --out DIR
  quantize RUN          test it in --format int8|int4|nf4; writes a row of its own
  export RUN            write a plain model folder: --merged DIR; SVDiff as LoRA: --lora DIR;
                        the folder to upload: --for-hub DIR
many runs side by side
  study run FILE        a grid of runs, each a process of its own; study: lists what comes along
  compare RUN|DIR ...   a row per method: quality, costs, verdicts; --format table|md|csv|json
  report DIR -o F.html  one page with plots, tables and pictures; -o F.md for Markdown
  advise DIR            what fits: --max-memory 8GiB --max-time 30min --max-energy 50Wh
examples
  hwlit fit --config quickstart
  hwlit fit --config text/tweets --data.path train.csv --model.adapter full
  hwlit fit --config text/files --data.path my.csv --data.text_column body --data.label_column topic
  hwlit fit --config text/imdb --model.pretrained distilbert/distilbert-base-uncased \\
            --model.adapter.rank 4 --trainer.accelerator gpu --trainer.precision bf16-mixed
  hwlit fit --config quickstart --print_config      what would be run
  hwlit fit --help                                  every option of fit
  hwlit fit --model.help hwlit.tasks.text_classification.TextClassification
  hwlit fit --data.help hwlit.data.tweets.Tweets    the options of model and data

configs that come with hwlit
{configs}

options: --version, --help, --debug (tracebacks)
exit codes: 0 done, 2 usage, 3 data, 4 diverged, 5 integrity, 6 resource,
            129 SIGHUP, 130 Ctrl-C, 143 SIGTERM
"""
CHECK_HELP = """\
usage: hwlit check [options of fit]

Without options: what this machine has, and what a run on it can measure.

With the options of fit, such as --config quickstart: tries that run out, in a directory that is
removed afterwards. Data, model, labels, a few training steps, checkpoint, export, disk, memory and
time; each problem with its remedy. Ends with ok, or with the exit code of the first problem.

`hwlit fit --help` lists the options."""
CONFIG = ("--config", "-c")
READERS = ("show", "compare", "report", "advise")
COMMANDS = (
    "fit", "check", "validate", "test", "adapters", "predict", "generate", "quantize", "export",
    "study", *READERS,
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The exit code.
    """
    debug = "--debug" in arguments
    arguments = [word for word in arguments if word != "--debug"]
    try:
        with plain_streams(bars=not shows_only(arguments), outlive=not reads_only(arguments)):
            return _dispatch(arguments)
    except BrokenPipeError as error:
        to_nowhere(sys.stdout)
        if reads_only(arguments):  # the reader, such as `head`, has seen enough
            return 0
        return _tell(ResourceError(f"another process of this run has ended ({error})"), debug)
    except HwlitError as error:
        return _tell(error, debug)
    except Interrupted as error:
        if is_first_process():  # of several, one speaks for all
            _say("; ".join([f"hwlit: {error}", *error.__notes__]))
        return error.exit_code
    except KeyboardInterrupt:
        _say("hwlit: interrupted")
        return 130
    except BaseException as error:  # a bug of ours or of a library: still one sentence
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        if (known := translated(error)) is not None:
            return _tell(known, debug)
        _trace(debug)
        reason = " ".join(str(error).split())[:500] or "no message"
        _say(f"hwlit: {type(error).__name__}: {reason}; --debug shows where")
        return 1


def shows_only(arguments: list[str]) -> bool:
    """Return whether a command line asks for help or a config, and for nothing that takes long."""
    names = [word.partition("=")[0] for word in arguments]
    return any(name == "-h" or name.endswith(("help", "print_config")) for name in names)


def reads_only(arguments: list[str]) -> bool:
    """Return whether a command line only prints what is there already."""
    command = arguments[0] if arguments else ""
    working = ("fit", "check", "validate", "test", "generate", "quantize", "export")
    return command not in working and arguments[:2] != ["study", "run"]


def _tell(error: HwlitError, debug: bool) -> int:
    _trace(debug)
    _say(f"hwlit: {error}")
    return error.exit_code


def _trace(debug: bool) -> None:
    if debug:
        _say(*traceback.format_exc().splitlines())


def _say(*lines: str) -> None:
    try:
        say(*lines, error=True)
    except BrokenPipeError:  # nobody reads it; the exit code is told in any case
        to_nowhere(sys.stderr)


def run() -> None:
    """Run the command line of this process and exit with its code."""
    open_closed_streams()
    leave_by_exception()
    surroundings.secure()
    sys.exit(main(sys.argv[1:]))


def _dispatch(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("--help", "-h", "help"):
        names = textwrap.fill(", ".join(config_names()), 96, break_on_hyphens=False)
        say(*HELP.format(configs=textwrap.indent(names, "  ")).split("\n"))
        return 0
    if command == "--version":
        say(f"hwlit {__version__}")
        return 0
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}" if near else f"commands are {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {command!r}; {hint}")
    surroundings.check(arguments)
    if command == "adapters":
        return _adapters(rest)
    quiet.silence()
    surroundings.ignore_settings()
    own = {
        "predict": _predict, "generate": _generate, "export": _export,
        "check": _check, "quantize": _quantize,
    }  # fmt: skip
    if command in own:
        return own[command](rest)
    if command in READERS:
        return int(importlib.import_module(f"hwlit.study.{command}").main(rest))
    if command == "study":
        from hwlit.study import command as study

        return study.main(rest)
    from hwlit import cli

    return cli.main([command, *with_shipped_configs(rest)])


def with_shipped_configs(arguments: list[str]) -> list[str]:
    """Return the arguments with names of shipped configs replaced by their paths.

    Raises:
        UsageError: A config is neither a file nor a shipped one.
    """
    configs = [find_config(value) for name, value in _options(arguments) if name in CONFIG]
    folder = adapter_folder(configs)
    found: list[str] = []
    option = ""
    for word in arguments:
        name, equals, value = word.partition("=")
        given = _found(name, value, folder) if equals else _found(option, word, folder)
        found.append(f"{name}={given}" if equals else given)
        option = "" if equals else word
    return found


def _options(arguments: list[str]) -> list[tuple[str, str]]:
    """Return options with their values, of `--option value` as of `--option=value`."""
    joined = [(n, value) for n, equals, value in (w.partition("=") for w in arguments) if equals]
    return joined + list(itertools.pairwise(arguments))


def _found(option: str, value: str, folder: str) -> str:
    """Return the path of the config that an option names; any other value as it is."""
    if option in CONFIG:
        return find_config(value)
    # A class path has a capital letter, JSON has a brace; what is left names a file.
    if option != "--model.adapter" or re.search(r"[A-Z{]", Path(value).name) or value == "null":
        return value
    return find_config(value, folder)


def _adapters(arguments: list[str]) -> int:
    options = parser("adapters", "List the adapters that come with hwlit, or show one's card.")
    options.add_argument("name", nargs="?", help="the one to show: its card and its config")
    options.add_argument("--image", action="store_true", help="those for text-to-image models")
    asked = options.parse_args(arguments)
    kind = "image" if asked.image else "text"
    if asked.name is not None:
        say(*adapter_card(asked.name, kind).removesuffix("\n").split("\n"))
        return 0
    listed = adapters(kind)
    width = max(len(name) for name, _ in listed)
    for name, line in listed:
        say(f"{name:<{width}} {line}")
    return 0


def _check(arguments: list[str]) -> int:
    if {"--help", "-h"}.intersection(arguments):
        say(*CHECK_HELP.split("\n"))
        return 0
    from hwlit.checking import check

    return check.main(with_shipped_configs(arguments))


def _predict(arguments: list[str]) -> int:
    asked = predict_parser().parse_args(arguments)
    from hwlit import inference
    from hwlit.records import read_record
    from hwlit.run_inputs import given_texts

    if asked.text or asked.pair:
        texts = given_texts(asked.text or [], asked.pair)
    elif asked.file:
        record = read_record(asked.run)
        texts = inference.read_texts(asked.file, record, asked.column, asked.pair_column)
    else:
        record = read_record(asked.run)
        texts = inference.read_stream(sys.stdin.buffer, "standard input", record)
    inference.predict(asked.run, texts, asked.batch_size, asked.device, asked.output)
    return 0


def _generate(arguments: list[str]) -> int:
    asked = vars(generate_parser().parse_args(arguments))
    from hwlit.generation import Request, generate

    run, out, device = (asked.pop(name) for name in ("run", "out", "device"))
    for path in generate(run, Request(tuple(asked.pop("prompt")), **asked), out, device):
        say(path)
    return 0


def _quantize(arguments: list[str]) -> int:
    asked = quantize_parser().parse_args(arguments)
    from hwlit import quantization

    more = [] if asked.allow_class is None else ["--allow_class", asked.allow_class]
    return quantization.quantize(asked.run, asked.format, asked.output, asked.accelerator, more)


def _export(arguments: list[str]) -> int:
    asked = export_options(arguments)
    from hwlit.exporting import export

    return export(asked)


if __name__ == "__main__":
    run()
