"""Loading what a stranger wrote: looked at first, and one sentence for whatever a library says."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hwlit.errors import (
    HwlitError,
    IntegrityError,
    UsageError,
    is_panic,
    one_line,
    translated,
)
from hwlit.networks.patterns import check_patterns
from hwlit.networks.vetting import held_sizes

# Heads and poolers that no file holds; beyond it, a config makes another network than was saved.
SPARE_VALUES = 1 << 24
# A config may ask for parts without end; of those in use none has three for a tensor.
MODULES, MODULES_PER_TENSOR = 5_000, 20
# Words, numbers, and a letter that few tokenizers know.
SAMPLE = "It's a storm, 12.50 \u00e9\u0e01\U00010348"
OWN_CODE = (
    "it needs code of its own (auto_map), and hwlit runs no custom code; give a model of a type "
    "that transformers knows"
)


@contextlib.contextmanager
def loading(
    what: str, instead: Callable[[Exception], str], kind: type[HwlitError] = UsageError
) -> Iterator[None]:
    """Say in one sentence why something did not load.

    Args:
        what: What it is, such as "the model 'mine'".
        instead: Returns what to give instead.
        kind: What is raised where neither memory nor disk nor damaged weights are the reason.

    Raises:
        HwlitError: It did not load; of the kind, or as `translated` says.
    """
    try:
        yield
    except HwlitError:
        raise
    except BaseException as error:  # of libraries with no common base, some of them in Rust
        if isinstance(error, Exception) and (known := translated(error)) is not None:
            if isinstance(known, IntegrityError):
                known = IntegrityError(f"{what}: {known}")
            raise known from error
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        told = f"{what} cannot be loaded ({type(error).__name__}: {one_line(error)})"
        if "trust_remote_code" in str(error):  # the library's advice is to run it all the same
            told = f"{what} cannot be loaded: {OWN_CODE}"
            raise kind(told) from error
        advice = instead(error) if isinstance(error, Exception) else "fetch it again"
        raise kind(f"{told}; {advice}") from error


def check_size(make: Callable[[], nn.Module], folder: Path, what: str) -> None:
    """Refuse a config that makes a much larger network than the weights beside it.

    Args:
        make: Makes the network by the config.
        folder: Holds config and weights; where it holds none yet, nothing is compared.
        what: What it is, such as "the model 'mine'".

    Raises:
        UsageError: It does.
        IntegrityError: The weights are damaged.
    """
    sizes = held_sizes(folder)
    if not sizes:
        return
    with torch.device("meta"), torch.random.fork_rng(devices=[]), at_most(len(sizes), what):
        asked = sum(parameter.numel() for parameter in make().parameters())
    held = sum(sizes)
    if asked > 2 * held + SPARE_VALUES:
        raise UsageError(
            f"the config.json of {what} asks for {asked:,} values, but its weights hold {held:,}; "
            "give a model whose files belong together"
        )


def try_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Read a line, within `loading`: some tokenizers break only at a word that they do not know.

    Args:
        tokenizer: The tokenizer.
        folder: Where its files lie; what was made of a sentencepiece model is looked at first.

    Raises:
        UsageError: A part of it never ends, or fills the memory.
    """
    made = any(folder.glob("*.model")) and not (folder / "tokenizer.json").is_file()
    if made and isinstance(tokenizer, PreTrainedTokenizerFast):
        backend = tokenizer.backend_tokenizer
        parts = {
            "normalizer": backend.normalizer,
            "pre_tokenizer": backend.pre_tokenizer,
            "post_processor": backend.post_processor,
            "decoder": backend.decoder,
        }
        held = {name: json.loads(part.__getstate__()) for name, part in parts.items() if part}
        check_patterns(folder, held)
    tokenizer(SAMPLE)


@contextlib.contextmanager
def at_most(tensors: int, what: str) -> Iterator[None]:
    """End the making of a network that has no end, as some sizes in a config ask for.

    Args:
        tensors: In the weights beside the config.
        what: What it is, such as "the model 'mine'".

    Raises:
        UsageError: It has many more modules than its weights have tensors.
    """
    made, most = itertools.count(1), MODULES + MODULES_PER_TENSOR * tensors

    def count(module: nn.Module, name: str, child: nn.Module) -> None:
        if next(made) > most:
            raise UsageError(
                f"the config.json of {what} asks for more than {most:,} modules, which its weights "
                "do not fill; give a model whose files belong together"
            )

    hook = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
