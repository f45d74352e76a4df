"""What a record holds: the row of one run, typed, with a sentence for each field.

A record is written from these classes and read into them, so they are the one place that knows the
layout of `record.json`. Needs neither torch nor Lightning, so that records can be read where they
are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hwlit.records.readings import Exhibit, Reading, TestRows

SCHEMA = 2

Status = Literal["ok", "failed", "oom", "interrupted"]
Precision = Literal["float32", "float16", "bfloat16", "float64"]
Rest = dict[str, Any]


@dataclass(frozen=True)
class Phase:
    """One phase of the ledger; the wall times of all add up to the run."""

    name: str
    """Its name."""
    wall_time: float
    """Seconds, other phases excluded."""
    share: float = 0.0
    """Share of the run."""
    peak_memory: dict[str, float] = field(default_factory=dict)
    """Peak in bytes, by kind of memory."""
    energy: dict[str, float] = field(default_factory=dict)
    """Joules, by component."""
    processor_time: float | None = None
    """Processor seconds of the process tree."""


@dataclass(frozen=True)
class Disturbance:
    """What else used the machine in a phase, beyond the limit."""

    phase: str
    """The phase whose times are not the machine's alone."""
    cause: str
    """What disturbed it, such as: run-queue wait."""
    value: float
    """How much: a share of 0 to 1 unless the cause says otherwise."""
    limit: float
    """The most that goes unmarked."""


@dataclass(frozen=True)
class ClassFigures:
    """The test rows of one class."""

    label: str
    """The class."""
    precision: float
    """Share of the rows that were predicted so which are so."""
    recall: float
    """Share of its rows that were predicted so."""
    f1: float
    """Their harmonic mean."""
    support: int
    """How many rows it has."""


@dataclass(frozen=True)
class Quantisation:
    """What became of a base network that was to be quantised."""

    asked: str
    """The format that was asked for."""
    got: str
    """The format that it has."""
    why: str | None = None
    """Why it is another, if it is."""
    rest: Rest = field(default_factory=dict)
    """`bits`, `layers`, `fell_back`, `merged_dtype`, `kernels` and further facts."""


@dataclass(frozen=True)
class Adapter:
    """The method: its class, its settings and what it touches."""

    name: str = "?"
    """Name of the method, for people."""
    class_: str = "?"
    """Path of its class."""
    quantisation: Quantisation | None = None
    """What became of a quantised base."""
    rest: Rest = field(default_factory=dict)
    """Its settings, `sites` (modules it touches), `heads` (modules the task trains), and so on."""


@dataclass(frozen=True)
class Model:
    """The pretrained network."""

    pretrained: str | None = None
    """Where it was loaded from: a name, a hub id or a folder."""
    hub_id: str | None = None
    """Its name for people: the hub id, or the folder's."""
    sha256: str | None = None
    """Hash of its weights."""
    dtype: Precision | None = None
    """Type of the frozen weights."""
    labels: tuple[str, ...] | None = None
    """Class names in the order of their ids."""
    rest: Rest = field(default_factory=dict)
    """`revision`, `architecture`, `fresh` (parameters without pretrained weights), and so on."""


@dataclass(frozen=True)
class Data:
    """What was read, and how it was divided."""

    source: Any = None
    """The file or files, or the hub id."""
    fingerprint: str | None = None
    """Hash of the rows as read."""
    seed: int | None = None
    """The seed that divided the data, `data.seed`; absent where nothing was divided."""
    max_length: int | None = None
    """Tokens after which a text is cut."""
    majority_class_accuracy: float | None = None
    """Accuracy of always answering the commonest class."""
    text_column: str | None = None
    """The column of the texts."""
    label_column: str | None = None
    """The column of the labels."""
    before: tuple[str, ...] = ()
    """The columns that stand before the text."""
    identifier: str | None = None
    """The words that name a concept in prompts."""
    rest: Rest = field(default_factory=dict)
    """Rows per part, duplicates, dropped rows and why, `leakage`, class balance, and so on."""

    def __post_init__(self) -> None:
        if self.max_length is not None and not 0 < self.max_length < 2**31:
            raise ValueError(f"max_length must be from 1 to 2^31 - 1, got {self.max_length}")


@dataclass(frozen=True)
class Device:
    """What computed."""

    kind: str = "?"
    """cpu, cuda, tpu, ..."""
    name: str = "?"
    """The vendor's name."""
    rest: Rest = field(default_factory=dict)
    """Cores, threads, memory, driver, host, and so on."""


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint that was tested."""

    path: str
    """Where it is, from the run's directory."""
    monitor: str | None = None
    """The validation metric that chose it."""
    score: float | None = None
    """Its value there."""


@dataclass(frozen=True)
class ResumedFrom:
    """Where a resumed run went on; its times, energy and peaks are those of the rest."""

    step: int
    """Optimizer steps that were done."""
    rest: Rest = field(default_factory=dict)
    """`path`, `epoch`, `damaged` checkpoints, `not_bit_exact` reasons."""


@dataclass(frozen=True)
class Source:
    """The run whose result was quantised."""

    run: str | None = None
    """Its directory."""
    name: str | None = None
    """Its name."""
    adapter: str | None = None
    """Its method."""
    config_sha256: str | None = None
    """Hash of its config."""


@dataclass(frozen=True)
class Code:
    """The commit of hwlit that ran."""

    commit: str | None = None
    """Its hash; null where it was not run from a checkout."""
    dirty: bool | None = None
    """Whether files differed from it."""
    reason: str | None = None
    """Why there is no commit."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run, one record: what was asked, what was run, what was measured."""

    schema: int = SCHEMA
    """Version of this layout."""
    status: Status
    """How the run ended."""
    error: str | None = None
    """Why, in a sentence, where it is not ok."""
    task: str | None = None
    """Name of the task, such as text_classification; rows of other tasks are not ranked with it."""
    name: str = "?"
    """Name of the config."""
    started: str | None = None
    """When it began, UTC."""
    seed: int | None = None
    """`seed_everything`: weights, row order, dropout, noise."""
    precision: str | None = None
    """The trainer's precision."""
    config_sha256: str | None = None
    """Hash of the resolved config, less where it writes, loggers and workers."""
    device: Device = field(default_factory=Device)
    """What computed."""
    platform: str | None = None
    """The operating system."""
    threads: int | None = None
    """Threads of torch."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of hwlit, Python and the packages that matter."""
    code: Code | None = None
    """The commit of hwlit that ran."""
    parallel: dict[str, Any] = field(default_factory=dict)
    """`world_size` (processes), `nodes` and `strategy`."""
    ranks: list[dict[str, Any]] = field(default_factory=list)
    """Of several processes: node, device, peak memory and training energy of each."""
    adapter: Adapter = field(default_factory=Adapter)
    """The method."""
    model: Model = field(default_factory=Model)
    """The pretrained network."""
    data: Data = field(default_factory=Data)
    """What was read, and how it was divided."""
    comparability: dict[str, Any] = field(default_factory=dict)
    """What must be equal before two rows are compared."""
    best_checkpoint: Checkpoint | None = None
    """The checkpoint that was tested, and what chose it."""
    resumed_from: ResumedFrom | None = None
    """Where a resumed run went on."""
    source: Source | None = None
    """Of a quantised run, the run that it rounds."""
    check: dict[str, Any] | None = None
    """The reload in a fresh process: rows or pictures, largest difference, tolerance."""
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The networks that measured pictures: checkpoint and hash of each."""
    readings: dict[str, Reading]
    """What was measured, by `phase/quantity`."""
    absent: dict[str, str]
    """What could not be had, by name, with the reason."""
    remarks: list[str] = field(default_factory=list)
    """What a reader of the row is to know, a sentence each."""
    disturbed: list[Disturbance] | None = None
    """The phases in which something else used the machine; absent where nobody looked."""
    test_rows: TestRows | None = None
    """The file of the test rows."""
    exhibits: list[Exhibit] = field(default_factory=list)
    """What the run shows beside numbers."""
    phases: list[Phase] = field(default_factory=list)
    """The ledger."""
    step_times: list[float] = field(default_factory=list)
    """Seconds of every step, warm-up steps included."""
    per_class: list[ClassFigures] = field(default_factory=list)
    """The test rows by class."""
    per_prompt: list[dict[str, Any]] = field(default_factory=list)
    """The test pictures by prompt."""
    cut_for_clip: list[str] = field(default_factory=list)
    """Prompts whose end CLIP does not read."""

    def __post_init__(self) -> None:
        for name, reading in self.readings.items():
            if (reading.low is None) != (reading.high is None):
                raise ValueError(f"{name} has one end of an interval without the other")

    @property
    def seeds(self) -> str:
        """Both seeds in words: seed 3, data.seed 0."""
        told = f"seed {'unknown' if self.seed is None else self.seed}"
        return told if self.data.seed is None else f"{told}, data.seed {self.data.seed}"

    def value(self, name: str) -> float | None:
        """Return the value of a reading; None where it is missing."""
        reading = self.readings.get(name)
        return None if reading is None else reading.value

    def exhibit(self, name: str) -> Exhibit | None:
        """Return what is shown under a name; None where there is nothing."""
        return next((one for one in self.exhibits if one.name == name), None)
