"""`hwlit show`: one record as a table for people. Converts units; records never do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.options import parser
from hwlit.plain_text import write_data
from hwlit.records import read_record, using
from hwlit.study.disturbance import is_disturbed
from hwlit.study.kernels import kernels_told

PERCENTILES = ("p50", "p90", "p95", "p99", "over_base")
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
    "fit/energy", "run/wall_time", "fit/monitor_overhead",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the row of the run that the command line names."""
    options = parser("show", "Print a run's row again.")
    options.add_argument("run", type=Path, help="the run's directory")
    options.add_argument("--json", action="store_true", help="print the record itself")
    asked = options.parse_args(arguments)
    record = read_record(asked.run)
    if asked.json:
        write_data(json.dumps(record, indent=1) + "\n")  # in ASCII: nothing that a terminal obeys
        return 0
    show_run(record, asked.run)
    return 0


def show_run(record: Mapping[str, Any], folder: Path) -> None:
    """Print a run's row and its files.

    Args:
        record: The record as plain data.
        folder: The run's directory.
    """
    console = PlainConsole()
    with using(folder):
        show(record, console)
    show_files(folder, console)


def show(record: Mapping[str, Any], console: PlainConsole) -> None:
    """Print a run's row: what it was, its quality, its costs, latencies and phases.

    Args:
        record: The record as plain data, as `read_record` gives it.
        console: Where to print.
    """
    for line in _headline(record):
        console.print(line, soft_wrap=True)
    readings: Mapping[str, Any] = record["readings"]
    console.print(_measures(record))
    if any(name.startswith("latency/") for name in readings):
        console.print(_latencies(readings))
    if record.get("per_class"):
        console.print(_classes(record["per_class"]))
        baseline = record["data"]["majority_class_accuracy"]
        console.print(f"always answering the commonest class: accuracy {baseline:.4f}")
    if record.get("phases"):
        console.print(_phases(record["phases"]))
    if told := kernels_told(record.get("adapter", {})):
        console.print(Text(told), soft_wrap=True)
    for name, reason in record["absent"].items():
        console.print(Text(f"absent  {name}: {reason}", style="dim"), soft_wrap=True)
    for remark in record.get("remarks", ()):
        console.print(Text(f"note    {remark}"), soft_wrap=True)
    if "check" in record:
        console.print(Text(f"reload check: {_check(record['check'])}"), soft_wrap=True)


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


def _headline(record: Mapping[str, Any]) -> list[Text]:
    adapter = record.get("adapter", {}).get("name", "?")
    model = record.get("model", {}).get("hub_id", "?")
    device = record.get("device", {}).get("name", "?")
    title = Text(f"{record.get('name', '?')}", style="bold")
    title.append(f"  {adapter} on {model}, {device}, status {record['status']}", style="")
    lines = [Text(), title]
    if quantised := record.get("adapter", {}).get("quantisation"):
        lines.append(Text(_quantised(quantised)))
    if resumed := record.get("resumed_from"):
        at = f"resumed at step {resumed['step']}: times, energy and peaks are of the rest"
        lines.append(Text(at))
    if record.get("error"):
        lines.append(Text(str(record["error"]), style="red"))
    return lines


def _quantised(found: Mapping[str, Any]) -> str:
    told = f"base in {found['got']}, {found['layers']} layers of {found['bits']} bits"
    if found["got"] != found["asked"]:
        told += f"; asked for {found['asked']}"
    if found["why"]:
        told += f": {found['why']}"
    return f"{told}; merged, its weights are {found['merged_dtype']}"


def _measures(record: Mapping[str, Any]) -> Table:
    readings = record["readings"]
    table = Table(box=None, pad_edge=False)
    for column, justify in (("measure", "left"), ("value", "right"), ("95 %", "left")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("how", style="dim", no_wrap=True)
    for name in MAIN:
        if name not in readings:
            continue
        reading = readings[name]
        interval = f"{reading['low']:.3f} - {reading['high']:.3f}" if "low" in reading else ""
        value = in_unit(reading["value"], reading["unit"])
        if name.endswith("_share") or name == "fit/monitor_overhead":
            value = f"{100 * reading['value']:.3g} %"
        how = reading["method"].partition(":")[0]
        how += ", disturbed" if is_disturbed(record, name) else ""
        table.add_row(name, Text(value), interval, Text(how))
    return table


def _latencies(readings: Mapping[str, Any]) -> Table:
    table = Table("latency", *PERCENTILES, box=None, pad_edge=False, title_justify="left")
    names = [n for n in readings if n.startswith("latency/") and n.endswith("/p50")]
    order = ("reference", "base", "unmerged", "merged")
    inputs = list(dict.fromkeys(name.split("/")[2] for name in names))
    names.sort(key=lambda n: (inputs.index(n.split("/")[2]), order.index(n.split("/")[1])))
    for name in names:
        stem = name.removesuffix("/p50")
        cells: list[str | Text] = []
        for percentile in PERCENTILES:
            reading = readings.get(f"{stem}/{percentile}")
            ratio = percentile == "over_base"
            cells.append(
                "" if reading is None
                else f"{reading['value']:.2f}x" if ratio
                else Text(in_unit(reading["value"], reading["unit"]))
            )  # fmt: skip
        table.add_row(Text(stem.removeprefix("latency/")), *cells)
    return table


def _classes(rows: list[Mapping[str, Any]]) -> Table:
    table = Table("class", "precision", "recall", "f1", "rows", box=None, pad_edge=False)
    for row in rows:
        shares = (f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        table.add_row(Text(row["label"]), *shares, str(row["support"]))
    return table


def _phases(rows: list[Mapping[str, Any]]) -> Table:
    table = Table("phase", "time", "share", "peak memory", "energy", box=None, pad_edge=False)
    for row in rows:
        memory = next(iter(row["peak_memory"].values()), None)
        energy = in_unit(sum(row["energy"].values()), "J") if row["energy"] else ""
        table.add_row(
            Text(row["name"]),
            in_unit(row["wall_time"], "s"),
            f"{100 * row['share']:.1f} %",
            "" if memory is None else in_unit(memory, "B"),
            energy,
        )
    return table
