"""One run of a study: what it is asked to do, the hash of that, and what it may use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwlit.bounded_files import read_bounded
from hwlit.errors import UsageError
from hwlit.yaml_files import MAX_BYTES

MAX_FILES = 200  # a config that names others that name one another

# What changes nothing that a row says.
UNHASHED = ("wandb", "data.num_workers", "trainer.logger", "trainer.enable_progress_bar")


@dataclass(frozen=True)
class Budget:
    """What one run may use.

    Args:
        time: Seconds; None for no limit.
        memory: Bytes, of the process tree's resident memory and of the record's peak while
            training; None for no limit.
    """

    time: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        name: Unique in the study; the name of its directory.
        values: Label by axis.
        configs: Paths of its configs, the first one's settings overridden by the next.
        overrides: Settings by option, without the dashes.
        limit: Of a try of a search, the memory that it is to fit into, which is part of its hash.
        source: The cell whose finished run this one quantises; None where it trains.
        data_seed: What divides its data in a study of a time when that was its seed_everything,
            so that no setting says it; no part of its hash. None elsewhere.
    """

    name: str
    values: Mapping[str, str]
    configs: tuple[str, ...]
    overrides: Mapping[str, Any]
    limit: float | None = None
    source: str | None = None
    data_seed: str | None = None

    def arguments(self, runs: Path) -> list[str]:
        """Return the command line of `hwlit`, less where it writes.

        Args:
            runs: Where the study's runs are.
        """
        if self.source is not None:
            words = ["quantize", str(runs / self.source), "--format", self.overrides["quantize"]]
            accelerator = self.overrides.get("trainer.accelerator")
            return words + ([] if accelerator is None else ["--accelerator", as_text(accelerator)])
        words = ["fit"]
        for config in self.configs:
            words += ["--config", config]
        # An adapter's config comes before what is changed of it.
        for key in sorted(self.overrides, key=lambda key: key != "model.adapter"):
            words += [f"--{key}", as_text(self.overrides[key])]
        return words + ([] if self.data_seed is None else ["--data.seed", self.data_seed])

    def config_hash(self) -> str:
        """Return the hash of what is asked for: settings, and the content of its configs."""
        asked = {k: v for k, v in self.overrides.items() if k not in UNHASHED}
        files = [_content(config) for config in self.configs]
        adapter = asked.get("model.adapter")
        if isinstance(adapter, str) and Path(adapter).is_file():
            files.append(_content(adapter))
            del asked["model.adapter"]
        whole = json.dumps([files, asked, self.limit], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()

    def tried(self, key: str, value: int, memory: float | None) -> Cell:
        """Return the cell of one try of a search for what fits into so much memory."""
        label = f"{key.rpartition('.')[2]}{value}"
        return replace(
            self, name=f"{self.name}-{label}" if self.name else label,
            values={**self.values, key.rpartition(".")[2]: str(value)},
            overrides={**self.overrides, key: value}, limit=memory,
        )  # fmt: skip


def as_text(value: Any) -> str:
    """Return a setting as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _content(path: str) -> str:
    """Return the text of a config and of those that it names; none within itself.

    Raises:
        UsageError: It is no text, or there are more than anybody writes by hand.
    """
    texts: list[str] = []
    waiting: list[tuple[Path, ...]] = [(Path(path),)]
    while waiting:
        *above, file = waiting.pop()
        if len(texts) == MAX_FILES:
            raise UsageError(f"config {path} names more than {MAX_FILES} others; is it a config?")
        text = _text(file)
        texts.append(text)
        here = [*(one.resolve() for one in above), file.resolve()]
        named = [file.parent / word for word in re.findall(r"[\w./-]+\.ya?ml", text)]
        inner = [one for one in named if one.is_file() and one.resolve() not in here]
        waiting += [(*above, file, one) for one in reversed(inner)]
    return "\n".join(texts)


def _text(file: Path) -> str:
    try:
        return read_bounded(file, MAX_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"config {file} is no text of up to {MAX_BYTES:,} bytes; is it a config?"
        ) from error
