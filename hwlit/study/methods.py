"""Puts the runs that differ in nothing but their seeds together, and names what is left."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hwlit.errors import UsageError
from hwlit.paths import without_folders
from hwlit.plain_text import printable
from hwlit.study.collect import Run
from hwlit.yaml_files import config_text, load_strictly

SEED = re.compile(r"^seed_everything:.*\n?", re.MULTILINE)
# The division's, which stands among the data's settings.
DATA_SEED = re.compile(r"^(data:\n(?:  .*\n)*?)    seed:.*\n?", re.MULTILINE)
HEADING = re.compile(r"^#.*\n", re.MULTILINE)
SEED_AXES = ("seed", "seed_everything", "data.seed", "data.init_args.seed")
FOUND = ("sites", "heads", "targets_rule", "targets_left_out")  # by the run, in the network
NOT_SETTINGS = ("name", "class", "forms", "svd", *FOUND)
HARDWARE = ("device", "precision", "torch", "threads", "world_size")
# What sets methods of any two adapters apart, and so is named for all where it is not one.
EVERYWHERE = ("model", "device", "precision", "source", "world_size")


@dataclass
class Method:
    """Runs that differ in nothing but their seeds, that of training or that of the division.

    Args:
        label: Name for people; no two methods of a comparison share one.
        runs: At least one, all finished, by seeds.
        settings: What is known of it, by name.
        data: What it learned and was tested on; figures on other data are no rivals.
    """

    label: str
    runs: list[Run] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    data: str = ""

    @property
    def adapter(self) -> str:
        """Name of the adapter's class."""
        record = self.runs[0].record
        # What was rounded after training is named by what had learned it.
        before = "" if record.source is None else f"{record.source.adapter} -> "
        return f"{before}{record.adapter.name}"

    @property
    def task(self) -> str | None:
        """Name of the task; None of old runs that do not tell."""
        return self.runs[0].record.task

    @property
    def world(self) -> tuple[str | None, str]:
        """Task and data: methods of another one are no rivals."""
        return self.task, self.data


def methods(runs: Sequence[Run]) -> list[Method]:
    """Return the methods of the runs that finished, in the order in which they come."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.status == "ok":
            groups.setdefault(_identity(run), []).append(run)
    found = [Method("", sorted(group, key=lambda run: run.seeds)) for group in groups.values()]
    for method in found:
        method.settings = _common([dict(_settings(run)) for run in method.runs])
    _name_data(found)
    _name(found)
    return found


def _name_data(found: Sequence[Method]) -> None:
    """Give methods whose files, or the rows in them, are the same one name of their data."""
    keys = []
    for method in found:
        data = method.runs[0].record.data
        rows = [] if data.fingerprint is None else [("rows", data.fingerprint)]
        keys.append([("source", _short(data.source)), *rows])
    names: dict[tuple[str, str], str] = {}
    for own in keys:
        known = list(dict.fromkeys(names[key] for key in own if key in names))
        name = known[0] if known else own[0][1]
        names |= {key: name for key, other in names.items() if other in known}
        names |= dict.fromkeys(own, name)
    for method, own in zip(found, keys, strict=True):
        method.data = names[own[0]]


def label_of_axes(run: Run, others: Sequence[Run]) -> str:
    """Return the name of a cell by the axes of its study, its seeds included."""
    values = [
        _named(axis, value)
        for axis, value in run.values.items()
        if len({other.values.get(axis) for other in others}) > 1
    ]
    return _with(values[0], values[1:]) if values else run.name


def _identity(run: Run) -> str:
    """Return a text that is equal for runs that differ in nothing but their seeds."""
    key = run.record.comparability
    own = {axis: value for axis, value in run.values.items() if not is_seed(axis)}
    what: Any = [str(run.study), own]  # another study may mean another thing by the same label
    if not run.values:
        what = [_config(run) or dict(_settings(run)), run.record.adapter.name]
    return json.dumps([what, [key.get(name) for name in HARDWARE]], sort_keys=True, default=str)


def _named(axis: str, value: str) -> str:
    """Return a value of an axis, with the axis where it is a number, which alone says nothing."""
    return f"{axis.rpartition('.')[2]} {value}" if value[:1].isdigit() else value


def is_seed(axis: str) -> bool:
    """Return whether an axis of a study is a seed: of training, or of the division."""
    return axis in SEED_AXES


def _config(run: Run) -> str | None:
    """Return the resolved config without its heading and its seeds."""
    if run.folder is None:
        return None
    try:
        text = config_text(Path(run.folder, "config.yaml"))
    except UsageError:
        return None
    return DATA_SEED.sub(r"\1", SEED.sub("", HEADING.sub("", text)))


def _settings(run: Run) -> Iterator[tuple[str, str]]:
    record = run.record
    yield from _flat(record.adapter.rest)
    if (base := record.adapter.quantisation) is not None:
        facts = {"asked": base.asked, "got": base.got, "why": base.why, **base.rest}
        yield from _flat(facts, "quantisation.")
    key = record.comparability
    named = {
        "model": record.model.hub_id,
        "source": record.data.source,
        **{
            name: key.get(name)
            for name in (*HARDWARE, "batch", "max_length", "stride", "resolution")
        },
        "config": record.name,
    }
    yield from ((name, _short(value)) for name, value in named.items() if value is not None)


def _flat(facts: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if name in NOT_SETTINGS:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, "" if name == "adapters" else f"{stem}{name}.")
        else:
            yield stem + name, _short(value)


def _short(value: object) -> str:
    if isinstance(value, list):
        return "+".join(str(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _common(settings: list[dict[str, str]]) -> dict[str, str]:
    """Return what all seeds agree in: what differs was found by the run, not set."""
    first, *rest = settings
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in rest)}


def _name(found: list[Method]) -> None:
    """Give each method the shortest name that sets it apart."""
    everywhere = [name for name in EVERYWHERE if _differs(found, name)]
    titles = [_axes(method, found) or method.adapter for method in found]
    for title in dict.fromkeys(titles):
        alike = [method for method, own in zip(found, titles, strict=True) if own == title]
        names = [] if alike[0].runs[0].values else list(everywhere)
        if len(alike) > 1:
            own = dict.fromkeys(name for method in alike for name in method.settings)
            names += [n for n in own if n not in names and _differs(alike, n)]
        for method in alike:
            told = [f"{name} {method.settings[name]}" for name in names if name in method.settings]
            method.label = _with(title, [*map(without_folders, told)])
    for method in found:  # a sign that turns the writing round would turn whole sentences
        method.label = printable(method.label)
    _tell_apart(found)


def _with(title: str, told: Sequence[str]) -> str:
    """Return a name with what sets it apart in brackets."""
    if not told:
        return title
    inside = ", ".join(told)
    return f"{title[:-1]}, {inside})" if title.endswith(")") else f"{title} ({inside})"


def _differs(found: Sequence[Method], name: str) -> bool:
    return len({method.settings.get(name) for method in found}) > 1


def _axes(method: Method, found: list[Method]) -> str:
    """Return the values of the study's axes that differ between methods; "" without a study."""
    values = method.runs[0].values
    axes = [
        axis
        for axis in values
        if not is_seed(axis) and len({other.runs[0].values.get(axis) for other in found}) > 1
    ]
    names = [_named(axis, values[axis]) for axis in axes]
    return _with(names[0], names[1:]) if names else ""


def _tell_apart(found: list[Method]) -> None:
    """Name what the configs differ in where the records do not, and at last the directory."""
    for label in _repeated(found):
        alike = [method for method in found if method.label == label]
        configs = [dict(_leaves(_parsed(method.runs[0]))) for method in alike]
        names = dict.fromkeys(name for config in configs for name in config)
        names = {n: None for n in names if len({config.get(n) for config in configs}) > 1}
        for method, config in zip(alike, configs, strict=True):
            told = [f"{n.rpartition('.')[2]} {config[n]}" for n in names if n in config]
            method.label = _with(label, [*map(without_folders, told)])
    for label in _repeated(found):
        for method in found:
            if method.label == label:
                method.label = _with(label, [method.runs[0].name])
    for label in _repeated(found):
        for number, method in enumerate([m for m in found if m.label == label], 1):
            method.label = _with(label, [str(number)])


def _repeated(found: list[Method]) -> list[str]:
    return [label for label, n in Counter(method.label for method in found).items() if n > 1]


def _parsed(run: Run) -> object:
    try:
        return load_strictly(_config(run) or "")
    except yaml.YAMLError:
        return None


def _leaves(value: object, stem: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{stem}.{name}")
    else:
        yield stem, _short(value)
