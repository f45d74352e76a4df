"""Run directories from elsewhere: links, pipes, files that are not hwlit's, damaged manifests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hwlit.__main__ import main
from hwlit.resume import QUANTIZED
from hwlit.storage import MANIFEST, verify
from hwlit.temporaries import temporary_prefix
from hwlit.yaml_files import read_config
from tools.hostile.case import MARK, Hostile, Stock

RESUME = ("fit", "--resume", "run")
NONE = "is whole and hwlit's; start a new run"
NEVER = 2**22 + 1  # no process has this number on Linux
Damage = Callable[[Path, Path], None]  # of a run, with the folder outside


@dataclass(frozen=True)
class Damaged:
    """Copies a finished run to `run` and damages it.

    Args:
        damage: What is done to it.
        unfinished: Whether its record is removed before, so that it can be resumed.
    """

    damage: Damage
    unfinished: bool = True

    def __call__(self, here: Path, stock: Stock) -> None:
        """Prepare the working directory."""
        run = stock.copy("finished", here / "run")
        if self.unfinished:
            (run / "record.json").unlink()
        self.damage(run, here.parent / "outside")


def cases() -> list[Hostile]:
    """Return the cases of this subject."""
    return [
        *_links_on_resume(),
        *_links_elsewhere(),
        *_pipes(),
        *_hard_links(),
        *_foreign_files(),
        *_in_the_way(),
        *_sizes(),
        *_contents(),
        *_manifests(),
        *_checkpoints(),
        *_newest(),
        *_copies(),
        *_records(),
        *_targets(),
    ]


def _files(
    name: str, words: tuple[str, ...], code: int, damage: Damage, told: str = "", **more: Any
) -> Hostile:
    unfinished = more.pop("unfinished", words == RESUME)
    return Hostile(name, "files", words, (code,), told, Damaged(damage, unfinished), **more)


def _link(place: str, target: str = "") -> Damage:
    """Return what puts a link to something outside in a place, and moves away what was there."""

    def damage(run: Path, outside: Path) -> None:
        path = run / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(run.parent / f"before-{path.name}")
        path.symlink_to(outside / target)

    return damage


def _links_on_resume() -> list[Hostile]:
    folders = [("checkpoints", ""), ("adapter", ""), ("tensorboard", ""), ("samples", "")]
    files = [
        "metrics.csv",
        "config.yaml",
        "predictions.csv",
        "test_rows.csv",
        ".lock",
        ".owner.json",
        "adapter/README.md",
        "adapter/adapter_config.json",
        "adapter/deep/er.txt",
        "checkpoints/newest.ckpt",
        "checkpoints/newest.ckpt" + MANIFEST,
        "samples/step-000001.png",
        "tensorboard/events.0",
        "notes.txt",
    ]
    both = [*folders, *((name, "thesis.tex") for name in files)]
    found = [
        _files(
            f"resume a run whose {name} is a link", RESUME, 5, _link(name, to), f"{name} is a link"
        )
        for name, to in both
    ]
    dangling = _link("checkpoints", "nowhere")
    return [*found, _files("resume a run with a dangling link", RESUME, 5, dangling, "is a link")]


def _links_elsewhere() -> list[Hostile]:
    commands = {
        "quantise": ("quantize", "run", "--format", "int8"),
        "predict with": ("predict", "run", "--text", "storm"),
        "export": ("export", "run", "--merged", "plain"),
        "export as LoRA": ("export", "run", "--lora", "lora", "--rank", "4"),
        "draw with": ("generate", "run", "--prompt", "a dog", "--out", "drawn"),
    }
    found = [
        _files(
            f"{does} a run whose adapter is a link", words, 5, _link("adapter"), "adapter is a link"
        )
        for does, words in commands.items()
    ]
    kohya = ("export", "run", "--kohya", "kohya.safetensors")
    place, private = "adapter/pytorch_lora_weights.safetensors", "thesis.tex"
    report = ("report", ".", "-o", "report.html")
    return [
        *found,
        _files("export a linked file for kohya", kohya, 5, _link(place, private), "is a link"),
        _files(
            "show a linked record", ("show", "run"), 5, _link("record.json", private), "is a link"
        ),
        _files(
            "compare a linked record",
            ("compare", "."),
            5,
            _link("record.json", private),
            "is a link",
        ),
        _files("embed linked samples", report, 5, _link("samples"), "samples is a link"),
        _files(
            "embed a linked picture", report, 5, _link("samples/test-00.png", private), "is a link"
        ),
        _files(
            "resume through a link a run whose manifests name a file outside",
            ("fit", "--resume", "link"),
            0,
            _reached,
        ),
    ]


def _reached(run: Path, outside: Path) -> None:
    (run / "record.json").unlink()
    (run.parent / "link").symlink_to(run)
    _rewritten(lambda facts: facts | {"file": "../../outside/my_backup.ckpt"})(run, outside)


def _pipes() -> list[Hostile]:
    def pipe(place: str) -> Damage:
        def damage(run: Path, outside: Path) -> None:
            (run / place).parent.mkdir(exist_ok=True)
            (run / place).unlink(missing_ok=True)
            os.mkfifo(run / place)

        return damage

    told, report = "is neither a file nor a folder", ("report", ".", "-o", "report.html")
    found = [
        _files(f"resume a run whose {name} is a pipe", RESUME, 5, pipe(name), told)
        for name in ("metrics.csv", "config.yaml", ".lock", "checkpoints/a.ckpt" + MANIFEST)
    ]
    return [
        *found,
        _files("show a record that is a pipe", ("show", "run"), 5, pipe("record.json"), told),
        _files("compare a record that is a pipe", ("compare", "."), 5, pipe("record.json"), told),
        _files("embed a picture that is a pipe", report, 5, pipe("samples/test-00.png"), told),
        _files(
            "predict with a pipe",
            ("predict", "run", "--text", "a"),
            5,
            pipe("adapter/config.json"),
            told,
        ),
        _files(
            "resume a run whose checkpoints are a file",
            RESUME,
            5,
            _file_for_folder,
            "should be a folder",
        ),
    ]


def _file_for_folder(run: Path, outside: Path) -> None:
    (run / "checkpoints").rename(run.parent / "before")
    (run / "checkpoints").touch()


def _hard_links() -> list[Hostile]:
    def linked(*places: str) -> Damage:
        def damage(run: Path, outside: Path) -> None:
            for place in places:
                (run / place).unlink(missing_ok=True)
                os.link(outside / "thesis.tex", run / place)

        return damage

    written = (
        "predictions.csv", "test_rows.csv", "adapter/config.json", "adapter/tokenizer.json",
        "adapter/README.md", "adapter/adapter_model.safetensors", ".owner.json",
    )  # fmt: skip
    return [
        _files("resume over hard links", RESUME, 0, linked(*written)),
        _files("a lock that is a thesis", RESUME, 5, linked(".lock"), "is no lock of hwlit's"),
    ]


MINE = (
    ".tmp-draft",
    "checkpoints/my_backup.ckpt",
    "checkpoints/.tmp-2",
    "adapter/notes.md",
    "a.md",
)


def _put_mine(run: Path, outside: Path) -> None:
    for name in MINE:
        (run / name).write_text("mine")


def _mine_stays(here: Path, printed: str) -> None:
    for name in MINE:
        assert (here / "run" / name).read_text() == "mine", f"{name} was lost"


def _foreign_files() -> list[Hostile]:
    def unmanifested(run: Path, outside: Path) -> None:
        _put_mine(run, outside)
        for path in run.glob("checkpoints/*" + MANIFEST):
            path.unlink()

    def without_any(run: Path, outside: Path) -> None:
        for path in run.glob("checkpoints/*.ckpt"):
            path.unlink()

    def kept(here: Path, printed: str) -> None:
        _mine_stays(here, printed)
        assert len([*(here / "run" / "checkpoints").glob("*.ckpt")]) > 1, "checkpoints were lost"

    def begun(here: Path, printed: str) -> None:
        assert "has no checkpoint yet: it begins anew" in printed, "in silence"

    return [
        _files("resume beside files of the user", RESUME, 0, _put_mine, check=_mine_stays),
        _files("resume without manifests", RESUME, 5, unmanifested, "to begin anew", check=kept),
        _files("a manifest without its checkpoint", RESUME, 0, without_any, check=begun),
    ]


def _in_the_way() -> list[Hostile]:
    """Return a user's files that have the names of what a run writes."""
    names = (
        "predictions.csv", "test_rows.csv", "adapter/README.md", "adapter/adapter_config.json",
        "adapter/tokenizer.json", "adapter/adapter_model.safetensors",
    )  # fmt: skip

    def put(run: Path, outside: Path) -> None:
        for name in (*names, "record.json", "adapter/README.md.kept"):
            (run / name).write_text("mine")

    def kept(here: Path, printed: str) -> None:
        for name in (*names, "record.json"):
            new = f"{name}.kept" + ("-2" if name == "adapter/README.md" else "")
            assert (here / "run" / new).read_text() == "mine", f"{name} was lost"
            assert (here / "run" / name).read_bytes() != b"mine", f"{name} is not the run's"
            assert f"kept as {Path(new).name}" in printed, "in silence"

    def own(here: Path, printed: str) -> None:
        assert not [*(here / "run").rglob("*.kept*")], "what hwlit wrote was kept"

    def nothing(run: Path, outside: Path) -> None:
        pass

    def unknown(run: Path, outside: Path) -> None:
        (run / ".written.json").write_text('{"adapter/README.md": 3, "predictions.csv": null}')

    def all_kept(here: Path, printed: str) -> None:
        assert (here / "run" / "predictions.csv.kept").is_file(), "it was lost"

    return [
        _files("resume over files of the user", RESUME, 0, put, check=kept),
        _files("resume over files of the run", RESUME, 0, nothing, check=own),
        _files("a damaged list of what was written", RESUME, 0, unknown, check=all_kept),
    ]


def _sizes() -> list[Hostile]:
    """Return files of six gigabytes that take no room on the disk."""

    def huge(place: str) -> Damage:
        def damage(run: Path, outside: Path) -> None:
            os.truncate(run / place, 6 << 30)

        return damage

    show, quantise = ("show", "run"), ("quantize", "run", "--format", "int8")
    tried = [
        (RESUME, "config.yaml", 2, "is larger than"),
        (RESUME, "record.json", 0, ""),
        (RESUME, ".owner.json", 0, ""),
        (RESUME, "metrics.csv", 5, "none of its kind has over"),
        (show, "record.json", 5, "none of its kind has over"),
        (quantise, "predictions.csv", 5, "none of its kind has over"),
        (("compare", ".", "--format", "json"), "predictions.csv", 0, ""),
        (("compare", ".", "--format", "json"), "config.yaml", 0, ""),
        (("compare", ".", "--format", "json"), "metrics.csv", 0, ""),
    ]  # fmt: skip
    return [
        _files(
            f"{words[0]} {name} of 6 GiB", words, code, huge(name), told,
            unfinished=words == RESUME and name != "record.json",
        )
        for words, name, code, told in tried
    ]  # fmt: skip


def _contents() -> list[Hostile]:
    """Return files of a run that hold something else."""

    def written(place: str, content: bytes) -> Damage:
        def damage(run: Path, outside: Path) -> None:
            (run / place).write_bytes(content)

        return damage

    metrics = {
        "has no step": b"a,b\n1,2\n",
        "is empty but for a name": b"x\n\n",
        "has a step that is a word": b"step,a\nx,1\n",
        "has a step that is missing": b"a,step\n1\n",
        "has one field too many": b"step,a\n1,2,3\n",
        "has a long field": b"step,a\n1," + b"9" * 200_000 + b"x,\n",
        "leaves a quote open": b'step,a\n1,"2\n',
        "is no UTF-8": b"step,a\n1,\xff\n",
        "has a step of many digits": b"step,a\n" + b"9" * 5000 + b",1\n",
    }
    right = {"is empty but for a name"}
    return [
        _files("a config of a run that is no UTF-8", RESUME, 2, written("config.yaml", b"\xff"),
               "is not UTF-8"),
        *(
            _files(f"a metrics.csv that {name}", RESUME, 0 if name in right else 5,
                   written("metrics.csv", content), "" if name in right else "metrics.csv")
            for name, content in metrics.items()
        ),
    ]  # fmt: skip


def _rewritten(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Return what changes every manifest of a run's checkpoints."""

    def damage(run: Path, outside: Path) -> None:
        for path in run.glob("checkpoints/*" + MANIFEST):
            changed = change(json.loads(path.read_text()))
            path.write_text(changed if isinstance(changed, str) else json.dumps(changed))

    return damage


def _manifests() -> list[Hostile]:
    wrong: dict[str, Callable[[dict[str, Any]], Any]] = {
        "is cut short": lambda facts: json.dumps(facts)[:20],
        "is empty": lambda facts: "",
        "is a list": lambda facts: [facts],
        "nests too deeply": lambda facts: "[" * 100_000,
        "has megabytes": lambda facts: facts | {"note": "x" * 5_000_000},
        "has a step that is text": lambda facts: facts | {"step": "7"},
        "has a step that is true": lambda facts: facts | {"step": True},
        "has an infinite step": lambda facts: json.dumps(facts | {"step": math.inf}),
        "has a negative step": lambda facts: facts | {"step": -1},
        "has no step": lambda facts: {k: v for k, v in facts.items() if k != "step"},
        "has a score that is a list": lambda facts: facts | {"score": [1]},
        "has a hash that is a number": lambda facts: facts | {"sha256": 1},
        "replaces what is no object": lambda facts: facts | {"sha256": "0", "replaces": 3},
        "tells of another step": lambda facts: facts | {"step": 3},
    }  # fmt: skip
    found = [
        _files(f"a manifest that {name}", RESUME, 5, _rewritten(change), NONE)
        for name, change in wrong.items()
        if name != "tells of another step"
    ]
    other = _rewritten(wrong["tells of another step"])
    return [
        *found,
        _files("a manifest that tells of another step", RESUME, 5, other, NONE),
    ]


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {MARK}",)


def _checkpoints() -> list[Hostile]:
    def replaced(content: Callable[[Path], None]) -> Damage:
        """Return what gives every checkpoint another content, and the manifest of that."""

        def damage(run: Path, outside: Path) -> None:
            for path in run.glob("checkpoints/*.ckpt"):
                content(path)
                data, manifest = path.read_bytes(), path.with_name(path.name + MANIFEST)
                facts = json.loads(manifest.read_text())
                facts |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                manifest.write_text(json.dumps(facts))

        return damage

    def without(part: str) -> Callable[[Path], None]:
        def content(path: Path) -> None:
            loaded = torch.load(path, weights_only=True)
            del loaded[part]
            torch.save(loaded, path)

        return content

    def with_odd(part: str, value: Any) -> Callable[[Path], None]:
        def content(path: Path) -> None:
            torch.save(torch.load(path, weights_only=True) | {part: value}, path)

        return content

    evil = {
        "a pickled checkpoint": lambda path: path.write_bytes(pickle.dumps(Evil())),
        "a checkpoint with a command": lambda path: torch.save({"state_dict": Evil()}, path),
        "a checkpoint that is a list": lambda path: torch.save([1, 2], path),
        "a checkpoint that is text": lambda path: path.write_text("mine"),
        "a checkpoint of numbers": lambda path: torch.save(
            {"state_dict": {"a": 1}, "global_step": 1, "epoch": 0}, path
        ),
        "a checkpoint without weights": without("state_dict"),
        "a checkpoint without its place in the loops": without("loops"),
    }
    # What only Lightning looks into, when it restores.
    odd = {
        "empty loops": with_odd("loops", {}),
        "an optimizer that is a number": with_odd("optimizer_states", [5]),
        "a schedule of numbers": with_odd("lr_schedulers", [{"base_lrs": 5}]),
    }
    found = [
        _files(f"resume from {name}", RESUME, 5, replaced(content), "cannot be gone on from")
        for name, content in odd.items()
    ]
    for name, content in evil.items():
        found.append(_files(f"resume from {name}", RESUME, 5, replaced(content), NONE))
    pickled = replaced(evil["a pickled checkpoint"])
    quantise = ("quantize", "run", "--format", "int8")
    flipped = _flip
    return [
        *found,
        _files("quantise a pickled checkpoint", quantise, 5, pickled, "use another"),
        _files("resume from a flipped bit", RESUME, 5, flipped, NONE),
        _files("quantise a flipped bit", quantise, 5, flipped, "use another checkpoint"),
    ]


def _newest() -> list[Hostile]:
    """Return newer checkpoints that cannot be gone on from, beside one that can."""

    def newer(content: Callable[[Path], None]) -> Damage:
        def damage(run: Path, outside: Path) -> None:
            old = next(run.glob("checkpoints/*.ckpt"))
            new = old.with_name("epoch=1-step=14.ckpt")
            new.write_bytes(old.read_bytes())
            content(new)
            data, facts = new.read_bytes(), json.loads(Path(f"{old}{MANIFEST}").read_text())
            facts |= {"step": 14, "epoch": 1, "file": new.name, "size": len(data)}
            facts["sha256"] = hashlib.sha256(data).hexdigest()
            Path(f"{new}{MANIFEST}").write_text(json.dumps(facts))

        return damage

    contents: dict[str, Callable[[Path], Any]] = {
        "is text": lambda path: path.write_text("mine"),
        "is of an earlier step": lambda path: None,
        "holds a command": lambda path: torch.save({"state_dict": Evil()}, path),
    }

    def said(here: Path, printed: str) -> None:
        assert "epoch=1-step=14.ckpt is no checkpoint of" in printed, "in silence"

    return [
        _files(f"resume where the newest {name}", RESUME, 0, newer(content), check=said)
        for name, content in contents.items()
    ]


def _copies() -> list[Hostile]:
    """Return copies of checkpoints with their manifests that a careful user made."""
    names = ("a_backup.ckpt", "my_backup.ckpt", "epoch=1-step=14.ckpt")

    def copied(run: Path, outside: Path) -> None:
        own = next(run.glob("checkpoints/*.ckpt"))
        for name in names:
            for end in ("", MANIFEST):
                own.with_name(name + end).write_bytes(Path(f"{own}{end}").read_bytes())
        config = run / "config.yaml"
        config.write_text(config.read_text().replace("max_epochs: 1", "max_epochs: 4"))

    def alone(run: Path, outside: Path) -> None:
        own = next(run.glob("checkpoints/*.ckpt"))
        for end in ("", MANIFEST):
            Path(f"{own}{end}").rename(own.with_name(f"a_backup.ckpt{end}"))

    def kept(here: Path, printed: str) -> None:
        for name in names:
            path = here / "run" / "checkpoints" / name
            assert path.is_file(), f"{name} was lost"
            assert verify(path)["step"] == 7, f"{name} was replaced"
        record = json.loads((here / "run" / "record.json").read_text())
        own = here / "run" / record["best_checkpoint"]["path"]
        assert own.is_file(), f"{own.name} was lost"
        assert own.name not in names, f"{own.name} is the best"

    def read(here: Path, printed: str) -> None:
        assert (here / "run" / "checkpoints" / "a_backup.ckpt").is_file(), "it was lost"

    return [
        _files("resume beside copies of a checkpoint", RESUME, 0, copied, check=kept),
        _files("resume from a copy alone", RESUME, 0, alone, check=read),
    ]


def _flip(run: Path, outside: Path) -> None:
    for path in run.glob("checkpoints/*.ckpt"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def _records() -> list[Hostile]:
    def record(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Damage:
        def damage(run: Path, outside: Path) -> None:
            path = run / "record.json"
            path.write_text(json.dumps(change(json.loads(path.read_text()))))

        return damage

    def best(path: object) -> Damage:
        return record(lambda facts: facts | {"best_checkpoint": {"path": path}})

    def gone(run: Path, outside: Path) -> None:
        for path in run.glob("checkpoints/*"):
            path.unlink()

    quantise, elsewhere = ("quantize", "run", "--format", "int8"), "is not in its checkpoints/"
    ok = ("a record that says ok", RESUME, 2, lambda run, outside: None, "is finished")
    return [
        _files(
            "a best checkpoint above the run",
            quantise,
            5,
            best("../outside/my_backup.ckpt"),
            elsewhere,
        ),
        _files("a best checkpoint by its full path", quantise, 5, best("/etc/passwd"), elsewhere),
        _files("a best checkpoint that is a number", quantise, 5, best(3), "is damaged"),
        _files("a best checkpoint that is not there", quantise, 5, gone, "use another checkpoint"),
        _files(*ok, unfinished=False),
    ]


def _targets() -> list[Hostile]:
    """Return what lies where a command is to write."""

    def draft(here: Path, stock: Stock) -> None:
        (here / "run").mkdir()
        (here / "run" / ".tmp-draft").write_text("mine")

    def locked(here: Path, stock: Stock) -> None:
        (here / "run").mkdir()
        (here / "run" / ".lock").symlink_to(here.parent / "outside" / "thesis.tex")

    def stale(run: Path, outside: Path) -> None:
        mine = temporary_prefix("plain").replace(f"-{os.getpid()}@", f"-{NEVER}@")
        (run.parent / f"{mine}a1b2c3d4").mkdir()
        (run.parent / f"{mine}a1b2c3d4" / "model.safetensors").touch()
        (run.parent / ".tmp-draft").write_text("mine")

    def cleared(here: Path, printed: str) -> None:
        left = sorted(path.name for path in here.iterdir())
        assert left == [".tmp-draft", "plain", "run"], f"there are {left}"

    def began(run: Path, outside: Path) -> None:
        (run.parent / "run-int8").mkdir()
        (run.parent / "run-int8" / "config.yaml").write_text(f'{QUANTIZED}"/other" --format int8\n')

    def nowhere(run: Path, outside: Path) -> None:
        (run.parent / "plain").symlink_to(outside / "nowhere")

    export, quantise = (
        ("export", "run", "--merged", "plain"),
        ("quantize", "run", "--format", "int8"),
    )
    odd = "a\nb: 1\x7f\u2028"

    def again(here: Path, printed: str) -> None:
        for folder in (odd, f"{odd}-int8"):
            first, *_ = (here / folder / "config.yaml").read_text().split("\n")
            assert first.startswith("# hwlit")
            assert "seed_everything" in read_config(here / folder / "config.yaml")

    def made(here: Path, stock: Stock) -> None:
        with contextlib.chdir(here):
            assert main(["fit", *stock.fit()[:-1], odd]) == 0

    return [
        Hostile(
            "fit and quantise in a folder of two lines",
            "files",
            ("quantize", odd, "--format", "int8"),
            (0,),
            "",
            made,
            again,
        ),
        Hostile("fit beside a draft", "files", ("fit", "SMALL"), (2,), "other files", draft),
        Hostile("fit with a linked lock", "files", ("fit", "SMALL"), (5,), "is a link", locked),
        _files("export again after a kill", export, 0, stale, check=cleared),
        _files("export to a dangling link", export, 6, nowhere, "cannot write plain"),
        _files("quantise over another's row", quantise, 2, began, "holds an earlier run"),
    ]
