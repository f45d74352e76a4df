"""`hwlit show`: one record as a table for people. Converts units; records never do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.options import parser
from hwlit.plain_text import write_data
from hwlit.records import (
    ClassFigures,
    Phase,
    Quantisation,
    Reading,
    Record,
    need,
    plain,
    read_record,
    using,
)
from hwlit.study.disturbed import disturbances
from hwlit.study.energy import RANGE, RANKS_AS_TIME, energy_name, ranks_as_processor_time
from hwlit.study.kernels import kernels_told
from hwlit.study.latency import ratio_to_base

PERCENTILES = ("p50", "p90", "p95", "p99")
MAIN = (
    "test/accuracy", "test/accuracy_difference",
    "test/f1_macro", "test/f1_weighted", "test/f1_positive",
    "test/precision_macro", "test/recall_macro", "test/average_precision",
    "test/calibration_error", "test/brier_score", "test/loss",
    "test/clip_i", "base/clip_i", "test/clip_t", "base/clip_t", "test/dino", "test/diversity",
    "test/memorising", "test/drift", "test/clip_kid", "base/clip_kid",
    "params/trainable", "params/total", "params/trainable_share", "adapter/file_size",
    "adapter/requantised_accuracy_difference", "adapter/requantised_difference",
    "weights/memory", "weights/memory/source",
    "fit/wall_time", "fit/step_time", "fit/step_time/p95", "fit/samples_per_second",
    "fit/tokens_per_second", "fit/token_slots_per_second", "fit/padding_share",
    "fit/processor_time", "fit/processor_time/step", "fit/processor_utilisation",
    "fit/run_queue_wait", "fit/gpu_utilisation", "fit/model_flops", "fit/flops_per_second",
    "fit/share_of_peak",
    "load/peak_memory", "quantise/peak_memory",
    "fit/peak_memory", "fit/peak_memory/reserved", "baseline/memory/resident",
    "fit/energy", "fit/energy_codecarbon", "run/wall_time", "fit/monitor_overhead",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the row of the run that the command line names."""
    options = parser("show", "Print a run's row again.")
    options.add_argument("run", type=Path, help="the run's directory")
    options.add_argument(
        "--json", action="store_true", help="print the record itself, in the present schema"
    )
    asked = options.parse_args(arguments)
    record = read_record(asked.run)
    if asked.json:
        write_data(
            json.dumps(plain(record), indent=1) + "\n"
        )  # in ASCII: nothing that a terminal obeys
        return 0
    show_run(record, asked.run)
    return 0


def show_run(record: Record, folder: Path) -> None:
    """Print a run's row and its files.

    Args:
        record: The record.
        folder: The run's directory.
    """
    console = PlainConsole()
    if record.per_class:
        need(folder, record, "data.majority_class_accuracy")
    with using(folder):
        show(record, console)
    show_files(folder, console)


def show(record: Record, console: PlainConsole) -> None:
    """Print a run's row: what it was, its quality, its costs, latencies and phases.

    Args:
        record: The record.
        console: Where to print.
    """
    for line in _headline(record):
        console.print(line, soft_wrap=True)
    console.print(_measures(record))
    if "fit/energy" in record.readings and ranks_as_processor_time(record.readings):
        console.print(f"{RANKS_AS_TIME}; {RANGE}", soft_wrap=True)
    if any(name.startswith("latency/") for name in record.readings):
        console.print(_latencies(record.readings))
    if record.per_class:
        console.print(_classes(record.per_class))
        baseline = record.data.majority_class_accuracy
        console.print(f"always answering the commonest class: accuracy {baseline:.4f}")
    if record.phases:
        console.print(_phases(record.phases, energy_name(record.readings)))
    if told := kernels_told(record.adapter):
        console.print(Text(told), soft_wrap=True)
    for name, reason in record.absent.items():
        console.print(Text(f"absent  {name}: {reason}", style="dim"), soft_wrap=True)
    for remark in record.remarks:
        console.print(Text(f"note    {remark}"), soft_wrap=True)
    if record.check is not None:
        console.print(Text(f"reload check: {_check(record.check)}"), soft_wrap=True)


def show_files(folder: Path, console: PlainConsole) -> None:
    """Print the paths of everything in a run's directory, one line per file or folder."""
    console.print()
    console.print(Text("written", style="bold"))
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        size, is_folder = path.lstat().st_size, path.is_dir() and not path.is_symlink()
        if is_folder:
            size = sum(p.lstat().st_size for p in path.rglob("*"))
        name = str(path) + ("/" if is_folder else "")
        console.print(Text(f"  {name}  {in_unit(size, 'B')}"), soft_wrap=True)


def in_unit(value: float, unit: str) -> str:
    """Return a value in the unit that people read: ms, MiB, Wh, thousands."""
    if unit == "s":
        return f"{value * 1e3:.2f} ms" if value < 1 else f"{value:.1f} s"
    if unit == "B":
        for name in ("B", "KiB", "MiB"):
            if abs(value) < 1024:
                return f"{value:.0f} B" if name == "B" else f"{value:.1f} {name}"
            value /= 1024
        return f"{value:.2f} GiB"
    if unit == "J":
        return f"{value:.1f} J" if value < 3600 else f"{value / 3600:.2f} Wh"
    if unit.startswith("FLOP"):
        for prefix in ("", "k", "M", "G", "T"):
            if value < 1000:
                return f"{value:.4g} {prefix}{unit}"
            value /= 1000
        return f"{value:,.4g} P{unit}"
    if unit in ("1", "nat"):
        return f"{value:,.0f}" if value == int(value) and abs(value) > 1 else f"{value:.4g}"
    return f"{value:,.4g} {unit}"


def _check(check: Mapping[str, Any]) -> str:
    if "pictures" in check:
        return (
            f"{check['pictures']} pictures drawn again in a fresh process from "
            f"{', from '.join(check.get('ways', ('the export',)))}: mean difference "
            f"{check['mean_pixel_difference']:.2g} of 255 levels (tolerance "
            f"{check['tolerance']['mean']:.2g}), largest {check['max_pixel_difference']}; from the "
            f"untuned model's {check['mean_difference_from_base']:.2g}"
        )
    where = "the same" if "the same process" in check["loaded_with"] else "a fresh"
    return (
        f"{check['rows']} test rows in {where} process, largest difference of "
        f"logits {check['max_abs_difference']:.1e} (tolerance {check['tolerance']:.0e})"
    )


def _headline(record: Record) -> list[Text]:
    adapter, model = record.adapter, record.model.hub_id or "?"
    title = Text(record.name, style="bold")
    title.append(f"  {adapter.name} on {model}, {record.device.name}, {record.seeds}", "")
    title.append(f", status {record.status}", "")
    lines = [Text(), title]
    if adapter.quantisation is not None:
        lines.append(Text(_quantised(adapter.quantisation)))
    if (resumed := record.resumed_from) is not None:
        at = f"resumed at step {resumed.step}: times, energy and peaks are of the rest"
        lines.append(Text(at))
    if record.error:
        lines.append(Text(record.error, style="red"))
    return lines


def _quantised(found: Quantisation) -> str:
    told = f"base in {found.got}, {found.rest['layers']} layers of {found.rest['bits']} bits"
    if found.got != found.asked:
        told += f"; asked for {found.asked}"
    if found.why:
        told += f": {found.why}"
    return f"{told}; merged, its weights are {found.rest['merged_dtype']}"


def _measures(record: Record) -> Table:
    readings = record.readings
    table = Table(box=None, pad_edge=False)
    for column, justify in (("measure", "left"), ("value", "right"), ("95 %", "left")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("how", style="dim", no_wrap=True)
    for name in _shown(readings):
        reading = readings[name]
        value = in_unit(reading.value, reading.unit)
        if name.endswith("_share") or name == "fit/monitor_overhead":
            value = f"{100 * reading.value:.3g} %"
        called, how = Text(_called(name, readings)), str(reading.how.tag)
        how += ", disturbed" if disturbances(record, name) else ""
        table.add_row(called, Text(value), _interval(reading), Text(how))
    return table


def _shown(readings: Mapping[str, Reading]) -> list[str]:
    """Return what is shown, in order; each task has measures of quality of its own."""
    known = [name for name in MAIN if name in readings]
    quality = [name for name in known if readings[name].measure.role == "quality"]
    more = [n for n, one in readings.items() if one.measure.role == "quality" and n not in MAIN]
    return [*quality, *more, *(name for name in known if name not in quality)]


def _called(name: str, readings: Mapping[str, Reading]) -> str:
    if name == "fit/energy_codecarbon":
        return f"{name} (RAM, idle)"
    return name.replace("energy", energy_name(readings)) if name == "fit/energy" else name


def _interval(reading: Reading) -> str:
    low, high = reading.low, reading.high
    if low is None or high is None:
        return ""
    if reading.unit in ("1", "nat"):
        return f"{low:.3f} - {high:.3f}"
    if reading.unit != "J":
        return f"{in_unit(low, reading.unit)} - {in_unit(high, reading.unit)}"
    unit, joules = ("Wh", 3600.0) if high >= 3600 else ("J", 1.0)
    return f"({low / joules:,.4g} - {high / joules:,.4g} {unit})"


def _latencies(readings: Mapping[str, Reading]) -> Table:
    table = Table(
        "latency", *PERCENTILES, "over_base", box=None, pad_edge=False, title_justify="left"
    )
    names = [n for n in readings if n.startswith("latency/") and n.endswith("/p50")]
    order = ("reference", "base", "unmerged", "merged")
    inputs = list(dict.fromkeys(name.split("/")[2] for name in names))
    names.sort(key=lambda n: (inputs.index(n.split("/")[2]), order.index(n.split("/")[1])))
    for name in names:
        stem = name.removesuffix("/p50")
        found = [readings.get(f"{stem}/{percentile}") for percentile in PERCENTILES]
        cells = ["" if r is None else Text(in_unit(r.value, r.unit)) for r in found]
        _, network, given = stem.split("/")
        ratio = _ratio(ratio_to_base(readings, network, given))
        table.add_row(Text(stem.removeprefix("latency/")), *cells, ratio)
    return table


def _ratio(reading: Reading | None) -> str:
    if reading is None:
        return ""
    ends = "" if reading.low is None else f" ({reading.low:.2f}-{reading.high:.2f})"
    return f"{reading.value:.2f}x{ends}"


def _classes(rows: Sequence[ClassFigures]) -> Table:
    table = Table("class", "precision", "recall", "f1", "rows", box=None, pad_edge=False)
    for row in rows:
        shares = (f"{share:.3f}" for share in (row.precision, row.recall, row.f1))
        table.add_row(Text(row.label), *shares, str(row.support))
    return table


def _phases(rows: Sequence[Phase], energy_column: str) -> Table:
    table = Table("phase", "time", "share", "peak memory", energy_column, box=None, pad_edge=False)
    for row in rows:
        memory = next(iter(row.peak_memory.values()), None)
        energy = in_unit(sum(row.energy.values()), "J") if row.energy else ""
        table.add_row(
            Text(row.name),
            in_unit(row.wall_time, "s"),
            f"{100 * row.share:.1f} %",
            "" if memory is None else in_unit(memory, "B"),
            energy,
        )
    return table
