"""Folders of studies and files of them that mean harm, and Python files beside them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from hwlit.study.plan import read_study
from tools.hostile.case import MARK, Hostile, Stock
from tools.hostile.screens import write_study

GRID = "base: quickstart\naxes: {seed: [0]}\n"
RUN = ("study", "run", "grid.yaml", "--output", "study")
STATUS, COMPARE = ("study", "status", "study"), ("compare", "study")
MODULES = ("torch", "filelock", "psutil", "yaml", "rich", "matplotlib", "sitecustomize", "hwlit")
Prepare = Callable[[Path, Stock], None]


def cases() -> list[Hostile]:
    """Return every case."""
    return [
        *_processes(),
        *_places(),
        *_links(),
        *_files(),
        *_older(),
        *_python(),
        *_grids(),
        *_damaged(),
    ]


def _damaged() -> list[Hostile]:
    """Return directories of studies whose files hold other than hwlit writes."""
    rows: dict[str, dict[str, Any]] = {
        "values that are a list": {"values": [1]},
        "values that are a text": {"values": "x"},
        "remarks that are a number": {"remarks": 1},
        "a million cells": {"cells": [f"c{number}" for number in range(1_000_000)]},
    }

    def case(name: str, row: dict[str, Any]) -> Hostile:
        def prepare(here: Path, stock: Stock) -> None:
            write_study(here, **row)

        return Hostile(f"a study directory with {name}", "answer", STATUS, (0, 5), "", prepare)

    return [case(*each) for each in rows.items()]


def _grids() -> list[Hostile]:
    """Return studies whose few lines make more cells than there is memory for."""
    names = [f"model.adapter.a{number}" for number in range(40)]
    pairs = {name: [0, 1] for name in names}
    many = {name: [*range(10)] for name in names[:6]}
    listed = [{name: [n % 10 for n in range(3_000)] for name in names[:3]}]
    method: dict[str, Any] = {"adapter": "full", "hardware": [1]}
    methods = {"a": method, "q": method | {"quantize": "int8"}}
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "of forty axes": ({"axes": pairs}, "more than 10,000"),
        "that includes billions": ({"axes": many, "include": listed}, "more than 10,000"),
        "that includes ever more": (
            {"axes": {name: [0, 1] for name in names[:12]},
             "include": [{name: [0, 1] for name in names[:12]}] * 200}, "more than 10,000",
        ),
        "of a list for a device": ({"axes": {"method": methods}}, ""),
    }  # fmt: skip

    def case(name: str, said: dict[str, Any], told: str) -> Hostile:
        def prepare(here: Path, stock: Stock) -> None:
            (here / "grid.yaml").write_text(json.dumps({"base": "quickstart", **said}))

        codes = (2,) if told else (0, 2)
        return Hostile(f"a study {name}", "answer", (*RUN, "--dry-run"), codes, told, prepare)

    return [case(name, *values) for name, values in asked.items()]


def _begun(here: Path, name: str = "grid") -> Path:
    """Write a study all of whose cells have ended, so that nothing of it is run; return it."""
    (here / f"{name}.yaml").write_text(GRID)
    (cell,) = read_study(here / f"{name}.yaml").cells
    study = write_study(here, cells=[cell.name])
    (study / "rows/a.json").unlink()
    (study / "study.json").write_text(json.dumps({
        "schema": 1, "name": name, "metric": "test/accuracy", "mode": "max", "cells": [cell.name],
    }))  # fmt: skip
    row = {"schema": 1, "name": cell.name, "values": {"seed": "seed0"}, "status": "failed",
           "config_hash": cell.config_hash(), "reason": "r", "exit_code": 1, "attempts": 1,
           "run": None, "wall_time": 1.0, "remarks": []}  # fmt: skip
    (study / "rows" / f"{cell.name}.json").write_text(json.dumps(row))
    (study / "started").mkdir()
    return study


def _victim(*words: str) -> psutil.Process:
    """Start a process of somebody's work, which leads a session of its own, and ends by itself."""
    code = "import time; time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code, *words], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found = psutil.Process(process.pid)
    while "-S" not in found.cmdline():  # it is not yet what it will be
        time.sleep(0.01)
    process.returncode = 0  # nobody waits for it
    return found


def _ends_another(*words: str, name: str = "x", **facts: Any) -> tuple[Prepare, Any]:
    """Return what names a process in a study's folder, and what asserts that it goes on."""

    def prepare(here: Path, stock: Stock) -> None:
        study = _begun(here)
        victim = _victim(*(word.replace("HERE", str(here)) for word in words))
        said = {"pid": victim.pid, "created": victim.create_time(), "host": platform.node()}
        (study / "started" / f"{name}.json").write_text(json.dumps(said | facts))
        (here / "victim").write_text(json.dumps([victim.pid, victim.create_time()]))

    def check(here: Path, told: str) -> None:
        number, born = json.loads((here / "victim").read_text())
        try:
            process = psutil.Process(number)
            lives = process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            lives = False
        assert lives, "it ended another process"
        process.kill()

    return prepare, check


def _process(name: str, *words: str, **facts: Any) -> Hostile:
    prepare, check = _ends_another(*words, **facts)
    # 1: the study's one row has failed.
    return Hostile(f"started/x.json names {name}", "files", RUN, (0, 1), prepare=prepare,
                   check=check)  # fmt: skip


def _started(text: str) -> Prepare:
    def prepare(here: Path, stock: Stock) -> None:
        (_begun(here) / "started" / "seed0.json").write_text(text)

    return prepare


def _processes() -> list[Hostile]:
    """Return study folders that name processes which are none of theirs."""
    strange = {
        "the first process": json.dumps({"pid": 1, "created": 0, "host": platform.node()}),
        "all processes": json.dumps({"pid": -1, "created": 0, "host": platform.node()}),
        "a text": '{"pid": "x", "created": "y", "host": 3, "attempts": "many", "remarks": 7}',
        "a list": "[1, 2]",
        "a number without end": '{"pid": 1e999, "created": NaN}',
        "nests": "[" * 100_000,
    }
    return [
        _process("a process of other work"),
        _process("a run of another folder", "hwlit", "fit", "--output", "/elsewhere/runs/x"),
        _process("a run of another cell", "hwlit", "fit", "--output", "HERE/study/runs/y"),
        _process("an editor of its run", "vim", "fit", "--output", "HERE/study/runs/x"),
        _process("a prediction by its run", "hwlit", "predict", "HERE/study/runs/x"),
        _process("a process that has its id since", "hwlit", "fit", "--output",
                 "HERE/study/runs/x", created=1.0),
        *(
            Hostile(f"started/seed0.json holds {what}: {command[1]}", "files", command, (0, 1),
                    prepare=_started(text))
            for what, text in strange.items()
            for command in (RUN, STATUS)
        ),
    ]  # fmt: skip


def _study(**said: Any) -> Prepare:
    def prepare(here: Path, stock: Stock) -> None:
        stock.copy("finished", here / "other")
        (here / "grid.yaml").write_text(GRID)
        write_study(here, **said)
        text = (here / "study/study.json").read_text()
        (here / "study/study.json").write_text(text.replace('"name": "s"', '"name": "grid"'))

    return prepare


def _places() -> list[Hostile]:
    """Return rows and names of cells that lead out of the study's folder."""
    told = "inside its directory"
    rows = {"../../other": told, "../runs/../../other": told, "/etc": told, "runs/b": told}
    made = [
        Hostile(f"a row of the run {run}: {' '.join(command[:2])}", "files", command, (5,), told,
                prepare=_study(run=run, status="ok", cells=["a"]))
        for run, told in rows.items()
        for command in (COMPARE, STATUS)
    ]  # fmt: skip
    made += [
        Hostile(f"a cell called {name!r}: {' '.join(command[:2])}", "files", command, (5,), told,
                prepare=_study(cells=["a", name]))
        for name in ("../../other/record", "/etc/passwd", "..", "", "a/../b", "x" + os.sep)
        for command in (COMPARE, STATUS, RUN)
    ]  # fmt: skip
    made.append(Hostile("a row of another cell's name", "files", STATUS, (5,), "is the row of",
                        prepare=_study(name="../x", cells=["a"])))  # fmt: skip
    made.append(Hostile("report -o of a study that leads out", "files",
                        ("report", "study", "-o", "out.html"), (5,), told,
                        prepare=_study(run="../../other", status="ok")))  # fmt: skip
    return made


def _link(name: str, to: str) -> Prepare:
    def prepare(here: Path, stock: Stock) -> None:
        path = _begun(here) / name
        path.parent.mkdir(exist_ok=True)
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        if to == "FIFO":
            os.mkfifo(path)
        else:
            path.symlink_to(here.parent / "outside" / to)

    return prepare


LINKS = {
    "logs": "", "started": "", "runs": "", "runs/seed0": "", "replaced": "", "tensorboard": "",
    "tensorboard/seed0": "", "logs/seed0.log": "thesis.tex", ".lock": "my_backup.ckpt",
    ".owner.json": "thesis.tex", "rows/seed0.json": "thesis.tex", "study.json": "thesis.tex",
    "started/seed0.json": "FIFO", "logs/seed0.log ": "FIFO", "rows/other.json": "FIFO",
}  # fmt: skip


def _links() -> list[Hostile]:
    """Return study folders in which something leads elsewhere, or never ends."""
    again = (*RUN, "--retry")
    return [
        Hostile(f"{name} of a study is {'a pipe' if to == 'FIFO' else 'a link'}", "files", again,
                (5,), "study's directory holds plain files alone", prepare=_link(name.strip(), to))
        for name, to in LINKS.items()
    ] + [
        Hostile(f"{' '.join(command[:2])} of a study with a link", "files", command, (5,),
                "is a link", prepare=_link("runs/seed0", ""))
        for command in (COMPARE, STATUS)
    ]  # fmt: skip


def _grid(text: str) -> Prepare:
    def prepare(here: Path, stock: Stock) -> None:
        (here / "evil.yaml").write_text("trainer: {max_epochs: 1}\n")
        (here / "grid.yaml").write_text(text.replace("HERE", str(here)))

    return prepare


def _configs_that_name_one_another(here: Path, stock: Stock) -> None:
    names = [f"c{i}.yaml" for i in range(30)]
    for name in names:
        (here / name).write_text("\n".join(f"# {other}" for other in names))
    (here / "grid.yaml").write_text("base: c0.yaml\naxes: {seed: [0]}\n")


def _a_config_that_is(write: Callable[[Path], None]) -> Prepare:
    def prepare(here: Path, stock: Stock) -> None:
        write(here / "evil.yaml")
        (here / "grid.yaml").write_text("base: evil.yaml\naxes: {seed: [0]}\n")

    return prepare


FILES = {
    "an output as a setting": "base: quickstart\nset: {output: /elsewhere}\n",
    "an output as a value": "base: quickstart\nset: {wandb: --output=HERE/../outside}\n",
    "an output as a value of a switch":
        "base: quickstart\naxes: {a: {b: {trainer.deterministic: --output=HERE/../outside}}}\n",
    "a config as a value": "base: quickstart\nset: {trainer.deterministic: -cHERE/evil.yaml}\n",
    "an output in a key": "base: quickstart\nset: {'trainer.x --output': HERE/../outside}\n",
    "two options in a key": 'base: quickstart\nset: {"model.x=1\\n--output": a}\n',
    "an option for the format": "base: quickstart\naxes: {q: {a: {}, b: {quantize: --output=x}}}\n",
    "a model as a list": "base: quickstart\naxes: {model: [[{a: b}], ~]}\nsearch: 3\n",
    "keys that are numbers": "base: quickstart\nset: {1: 2}\n",
    "axes that are numbers": "base: quickstart\naxes: {1: [2]}\n",
    "a base that is a list": "base: [quickstart]\naxes: {seed: [0]}\n",
    "a base elsewhere that is none": "base: ../../../../etc/passwd\naxes: {seed: [0]}\n",
    "a metric that is a list": "base: quickstart\nmetric: [a]\nbudget: []\n",
    "an adapter that is a device": "base: quickstart\naxes: {adapter: [/dev/zero]}\n",
    "resources by a text": "base: quickstart\nresources: {memory: '1; touch pwned'}\nbudget: 3\n",
}  # fmt: skip


def _files() -> list[Hostile]:
    """Return files of studies that say what none may, or never end."""
    text = _a_config_that_is(lambda path: path.write_bytes(b"model: \xff\xfe\x00"))
    return [
        *(
            Hostile(f"a study's file with {what}", "files", RUN, (2,), prepare=_grid(said))
            for what, said in FILES.items()
        ),
        Hostile("configs that name one another", "answer", (*RUN, "--dry-run"), (0, 2),
                prepare=_configs_that_name_one_another),
        Hostile("configs that name one another, run", "answer", RUN, (2,),
                "names more than", prepare=_configs_that_name_one_another),
        Hostile("a config of a study that is no text", "answer", RUN, (2,), "is no text",
                prepare=text),
        Hostile("a config of a study that is a pipe", "answer", RUN, (2,), prepare=(
            _a_config_that_is(os.mkfifo))),
        Hostile("labels of a study that lead out", "files", (*RUN, "--dry-run"), (0,),
                prepare=_grid("base: quickstart\naxes: {a: {../../x: {}, /etc: {}, '..': {}}}\n"),
                check=_cells_stay),
        Hostile("a study called dots", "files", ("study", "run", "...yaml", "--dry-run"), (0,),
                prepare=lambda here, stock: (here / "...yaml").write_text("base: quickstart\n")
                and None, check=_cells_stay),
    ]  # fmt: skip


def _cells_stay(here: Path, told: str) -> None:
    names = [line for line in told.splitlines() if not line.startswith(" ")]
    assert not [name for name in names if ".." in name or "/" in name], names


OLD = "# hwlit fit --config x\n"
DIVIDED = "data: {class_path: Tweets, init_args: {path: bundled}}\n"
SAVED = {
    "no text": b"\xff\xfe\x00",
    "no end": b"a: {" * 10_000,
    "a list of data": f"{OLD}data: [{{class_path: Tweets}}]\n".encode(),
    "a class without a name": f"{OLD}data: {{class_path: [Tweets], init_args: 3}}\n".encode(),
    "a list for a seed": f"{OLD}seed_everything: [1, --output=x]\n{DIVIDED}".encode(),
    "a seed that leads out": f"{OLD}seed_everything: ../../x\n{DIVIDED}".encode(),
}


def _older() -> list[Hostile]:
    """Return older studies, whose configs tell how their data is divided, with odd configs."""

    def case(name: str, text: bytes, has_facts: bool) -> Hostile:
        def prepare(here: Path, stock: Stock) -> None:
            study = _begun(here)  # its file is of an older study
            if not has_facts:
                (study / "study.json").unlink()
            (study / "runs" / "seed0").mkdir(parents=True, exist_ok=True)
            (study / "runs" / "seed0" / "config.yaml").write_bytes(text)
            (here / "evil.yaml").write_bytes(text)
            (here / "grid.yaml").write_text("base: evil.yaml\naxes: {seed: [0]}\n")

        what = "an older study" if has_facts else "a study without its file"
        words = (*RUN, "--dry-run")
        return Hostile(f"{what} on {name}", "files", words, (0, 2, 5), "", prepare)

    return [case(name, text, has) for name, text in SAVED.items() for has in (True, False)]


def _modules(here: Path, stock: Stock) -> None:
    for name in MODULES:
        (here / f"{name}.py").write_text(f"open('{MARK}-{name}', 'w')\n")
    (here / "grid.yaml").write_text("base: quickstart\naxes: {seed: [0], hardware: [cpu, tpu]}\n")


def _settings(here: Path, stock: Stock) -> None:
    _modules(here, stock)
    (here / "matplotlibrc").write_bytes(b"text.usetex: True\nbackend: module://hwlit\n\xff\n")


def _python() -> list[Hostile]:
    """Return Python files, and settings of libraries, in the directory that hwlit is started in."""
    path = (("PYTHONPATH", "/nowhere"),)
    return [
        Hostile("Python files beside a study that asks for a device", "code",
                (*RUN, "--dry-run"), (0,), prepare=_modules, environment=path),
        Hostile("Python files and settings of matplotlib beside a fit", "code",
                ("fit", "--config", "quickstart", "--data.path", "nope.csv"), (3,),
                prepare=_settings, process=True, environment=path),
    ]  # fmt: skip
