"""Which classes a config may name, slot by slot. Standard library only: nothing is imported.

A config is data, also a stranger's. The parser makes an object of any class that a config names and
calls any function that stands where a callable is due, so a list of packages protects nobody:
those packages hold functions that start programs. So this list is closed, and a name that is not in
it is refused before anything is imported. Each class of another package was read before it came in:
its arguments are numbers, words and switches; it opens no file and no address and starts no program
by them; none of them is a callable.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent

OPTIMIZERS = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "RAdam",
    "RMSprop", "Rprop", "SGD", "SparseAdam",
)  # fmt: skip
# Methods that change layers. Not BOFT (it compiles), X-LoRA and Shadow (they load other models).
METHODS = (
    "AdaLora", "Adamss", "Beft", "C3A", "Deft", "Delora", "FourierFT", "Frod", "Glora", "Gralora",
    "HRA", "Hira", "IA3", "LNTuning", "Lily", "LoHa", "LoKr", "Lora", "Miss", "OFT", "OSF",
    "Peanut", "Psoft", "Pvera", "RandLora", "Road", "Shira", "Supertuning", "TinyLora", "UniLora",
    "VBLoRA", "Vera", "WaveFT",
)  # fmt: skip
# Not those that write (checkpoints, predictions), take functions, or change what is trained.
CALLBACKS = (
    "DeviceStatsMonitor", "EarlyStopping", "GradientAccumulationScheduler", "LearningRateMonitor",
    "ModelSummary", "RichModelSummary", "RichProgressBar", "TQDMProgressBar",
)  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """What a key may name.

    Args:
        what: What its values are, for a sentence.
        classes: The paths of the classes.
        words: Names that Lightning knows itself; None where any word is taken and checked later.
        folder: The folder of hwlit whose classes it takes beside these.
        root: The class of that folder that they are kinds of.
        hint: What to do instead of naming another class.
    """

    what: str
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] | None = ()
    folder: str = ""
    root: str = ""
    hint: str = ""

    def names(self) -> tuple[str, ...]:
        """Return the paths of all classes that may be named."""
        return (*self.classes, *(kinds_in(self.folder, self.root) if self.folder else ()))


def _of(package: str, names: tuple[str, ...], ending: str = "") -> tuple[str, ...]:
    return tuple(f"{package}.{name}{ending}" for name in names)


ADAPTER = Slot("adapter", folder="adapters", root="Adapter")
SLOTS: Mapping[str, Slot] = {
    "model": Slot("task", folder="tasks", root="Task"),
    "data": Slot("data set", folder="data", root="ResumableData"),
    "adapter": ADAPTER,
    "adapters": ADAPTER,  # of a chain, by name
    "format": Slot("quantised format", folder="adapters", root="Format"),
    "method": Slot("PEFT config", _of("peft", METHODS, "Config")),
    "optimizer": Slot("optimizer", _of("torch.optim", OPTIMIZERS)),
    "callbacks": Slot(
        "callback", _of("lightning.pytorch.callbacks", CALLBACKS),
        hint="hwlit saves checkpoints itself: --checkpoint.help shows how often",
    ),
    "accelerator": Slot("accelerator", words=None),
    "strategy": Slot("strategy", words=None),
    "profiler": Slot(
        "profiler", words=("simple", "advanced", "pytorch"),
        hint="classes of profilers write wherever they are told",
    ),
    "logger": Slot(
        "logger", hint="hwlit writes TensorBoard's files and metrics.csv itself, and --wandb "
        "PROJECT adds Weights & Biases; give true or false",
    ),
    "plugins": Slot("plugin"),
}  # fmt: skip


@dataclass(frozen=True)
class Allowed:
    """What may be named in this process: the list, and what the command line adds to it.

    Args:
        more: Paths of classes of the user's own.
    """

    more: tuple[str, ...] = ()

    @classmethod
    def given(cls, words: Sequence[str]) -> Allowed:
        """Return what a command line allows, by --allow_class with commas between.

        Args:
            words: The command line, options as `--key value` or `--key=value`.
        """
        joined = [word.partition("=")[::2] for word in words if "=" in word]
        values = [v for name, v in (*joined, *pairwise(words)) if name == "--allow_class"]
        return cls(tuple(name.strip() for value in values for name in value.split(",")))

    def names(self, slot: Slot) -> tuple[str, ...]:
        """Return the paths of the classes that a slot may name."""
        return (*slot.names(), *self.more)

    def every(self) -> list[str]:
        """Return all paths, for the parser: each class where it may be named and where it lies."""
        return sorted({name for slot in SLOTS.values() for name in self.names(slot)})


@cache
def kinds_in(folder: str, root: str) -> tuple[str, ...]:
    """Return the paths of the classes in a folder of hwlit that derive from one there.

    Read from the source, for importing them takes seconds.

    Args:
        folder: The folder, such as `adapters`.
        root: The class, itself left out, as are private ones.
    """
    bases: dict[str, tuple[str, list[str]]] = {}
    for file in sorted((HERE / folder).glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                path = f"hwlit.{folder}.{file.stem}.{node.name}"
                bases[node.name] = path, [_last_name(base) for base in node.bases]
    found, grown = {root}, True
    while grown:
        more = {name for name, (_, over) in bases.items() if found.intersection(over)} - found
        found, grown = found | more, bool(more)
    return tuple(bases[name][0] for name in sorted(found - {root}) if not name.startswith("_"))


def _last_name(base: ast.expr) -> str:
    """Return a base class's own name: of `formats.Format` as of `Task[Batch]`."""
    if isinstance(base, ast.Subscript):
        return _last_name(base.value)
    return ast.unparse(base).rpartition(".")[2]
