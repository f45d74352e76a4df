"""Load every export with the oldest and the newest libraries, and compare what they give.

    python -m tools.old_loaders --work build/old_loaders            # makes the environment and runs
    python -m tools.old_loaders --work DIR --environment VENV RUN...  # with what is there already

Proves that a stranger with diffusers 0.33, transformers 4.48 and peft 0.14 gets from an export what
one with today's versions gets: for pictures the same ones within a few levels, and not the base's;
for texts the same logits. Both load as `hwlit/exports/stock_pipeline.py` and `stock_classifier.py`
do, in processes of their own without hwlit, from each file in each way.

Without RUN it first makes a tiny run of every kind, of 4 steps each: pictures on pocket-sd and on
an SDXL of random weights, texts on minilm; and from them `hwlit export --lora`, `--kohya` and
`--merged`. Runs that lie in the work folder already are not made again. It prints a row per export
and way, and ends with 1 where one does not load or differs.

The environment is torch as installed here, from where pip finds it, and the versions of `OLDEST`.
On two cores of a cloud Xeon that other work shared, the runs took about half an hour and the
comparison ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hwlit.exports import stock_classifier, stock_pipeline
from hwlit.exports.pipeline_folder import write_for_older_loaders
from hwlit.exports.redraw import TOLERANCES
from hwlit.exports.reload import TOLERANCES as LOGITS
from hwlit.networks.pipelines import find_pipeline
from hwlit.networks.text import find_pretrained
from hwlit.records import Record, read_record
from tests.pipelines import save_tiny_pipeline

OLDEST = (
    "diffusers==0.33.1", "transformers==4.48.3", "peft==0.14.0", "huggingface_hub==0.27.1",
    "tokenizers==0.21.0", "accelerate", "safetensors", "numpy", "pillow",
)  # fmt: skip
FEW = (
    "--trainer.max_steps=4", "--data.epoch_steps=4", "--data.class_images=2",
    "--data.class_steps=2", "--data.validation_levels=2", "--data.images_per_prompt=1",
    "--data.batch_size=2", "--model.sampling_steps=3", "--model.clip=pocket-clip",
)  # fmt: skip
TEXT = ("--trainer.max_steps=4",)
BOTH = '--model.adapter.targets=["unet.*.to_[qkv]","unet.*.conv1","text_encoder*.[qv]_proj"]'
# Convolutions have no PiSSA.
MATRICES = '--model.adapter.targets=["unet.*.to_[qkv]","text_encoder*.[qv]_proj"]'
LORA = ("pocket/dreambooth_lora", "--model.adapter.alpha=64")
# Each kind of export: its config and what differs from that. XL stands for the tiny SDXL.
XL = "--model.pretrained=XL"
PICTURES: dict[str, tuple[str, ...]] = {
    "dreambooth": ("pocket/dreambooth",),
    "svdiff": ("pocket/svdiff",),
    "custom_diffusion": ("pocket/custom_diffusion",),
    "textual_inversion": ("pocket/textual_inversion",),
    "lora": LORA,
    "rslora": (*LORA, "--model.adapter.rslora=true"),
    "pissa": (*LORA, "--model.adapter.pissa=true", MATRICES),
    "dora": (*LORA, "--model.adapter.dora=true"),
    "lora_q_v": (*LORA, BOTH),
    "lora_all": (
        *LORA,
        '--model.adapter.targets=["unet.*"]',
        "--model.adapter.rank=4",
        "--model.train_text_encoder=false",
    ),
    "xl_dreambooth": ("pocket/dreambooth", XL),
    "xl_lora": (*LORA, XL, BOTH),
    "xl_textual_inversion": ("pocket/textual_inversion", XL),
}
TEXTS = {"text_lora": (), "text_full": ("--model.adapter=full",)}
EXPORTS = {  # by kind of run: the option, and what stands behind it
    "svdiff": ("--lora", "svdiff_as_lora", "--rank", "8"),
    "lora": ("--kohya", "lora.safetensors"),
    "lora_q_v": ("--kohya", "lora_q_v.safetensors"),
    "xl_lora": ("--kohya", "xl_lora.safetensors"),
    "text_lora": ("--merged", "text_merged"),
}
SEED, STEPS, GUIDANCE = 3, 3, 4.0


@dataclass(frozen=True)
class Row:
    """What was found of one way to load an export.

    Args:
        name: The export.
        way: The files that are loaded together.
        found: Differences in words.
        same: Whether old and new give the same, and not the base's.
    """

    name: str
    way: str
    found: str
    same: bool


def main(arguments: Sequence[str]) -> int:
    """Make what is not there, compare, and print the table; 0 where all is the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="finished runs")
    parser.add_argument("--work", type=Path, required=True, help="where all that is made goes")
    parser.add_argument("--environment", type=Path, help="one with the oldest versions, as it is")
    asked = parser.parse_args(arguments)
    work = asked.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    old = _python(asked.environment or _environment(work / "environment"))
    exports = [(run.name, run, run / "adapter") for run in asked.runs] or _tiny(work)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rows = [
            row for found in pool.map(lambda one: _compared(old, *one), exports) for row in found
        ]
    width = [max(len(cell) for cell in column) for column in zip(*map(_cells, rows), strict=True)]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(_cells(row), width, strict=True)).rstrip())
    wrong = sum(not row.same for row in rows)
    print(f"{len(rows)} ways to load {len(exports)} exports, {wrong} of them wrong")
    return int(wrong > 0)


def _cells(row: Row) -> tuple[str, str, str, str]:
    return row.name, row.way, row.found, "same" if row.same else "WRONG"


def _environment(folder: Path) -> Path:
    """Make an environment with the oldest versions, where there is none."""
    if not (folder / "made").exists():
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(_python(folder)), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, f"torch=={torch.__version__}", *OLDEST], check=True)
        (folder / "made").touch()
    return folder


def _python(environment: Path) -> Path:
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return environment.absolute() / inside


def _tiny(work: Path) -> list[tuple[str, Path, Path]]:
    """Make a tiny run of every kind and what can be exported of it: name, run, export of each."""
    xl = work / "sdxl"
    if not xl.exists():
        save_tiny_pipeline("sdxl", xl)
        pipeline = stock_pipeline.load(xl, [stock_pipeline.PIPELINE], "", "float32", "cpu")
        write_for_older_loaders(xl, pipeline)
    kinds: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    kinds = {name: (words, FEW) for name, words in PICTURES.items()}
    kinds |= {name: (("quickstart", *words), TEXT) for name, words in TEXTS.items()}

    def make(name: str) -> list[tuple[str, Path, Path]]:
        (config, *words), few = kinds[name]
        words = [word.replace("XL", str(xl)) for word in words]
        run = work / name
        if not _is_done(run):
            shutil.rmtree(run, ignore_errors=True)
            _hwlit("fit", "--config", config, "--output", str(run), *few, *words)
        found = [(name, run, run / "adapter")]
        if name in EXPORTS:
            option, file, *more = EXPORTS[name]
            if not (work / file).exists():
                _hwlit("export", str(run), option, str(work / file), *more)
            found.append((f"{name} {option}", run, work / file))
        return found

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [one for made in pool.map(make, kinds) for one in made]


def _is_done(run: Path) -> bool:
    return (run / "record.json").exists() and read_record(run).status == "ok"


def _hwlit(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hwlit", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        sys.exit(f"hwlit {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    print(f"made: hwlit {' '.join(words[:4])} ...", flush=True)


def _compared(old: Path, name: str, run: Path, export: Path) -> list[Row]:
    """Return a row for each way to load an export, or one that says why it does not load."""
    record, pythons = read_record(run), (old, Path(sys.executable))
    kind = _pictures if record.task == "personalization" else _logits
    try:
        return list(kind(pythons, name, record, export))
    except RuntimeError as error:
        return [Row(name, export.name, str(error)[:400], same=False)]


def _pictures(pythons: tuple[Path, Path], name: str, record: Record, export: Path) -> Iterator[Row]:
    base = find_pipeline(str(record.model.pretrained)).location
    drawn = [_drawn(python, export, base, record) for python in pythons]
    (untuned,) = _drawn(pythons[1], Path(base), base, record).values()
    limit = TOLERANCES[torch.float32]
    if drawn[0].keys() != drawn[1].keys():
        raise RuntimeError(f"old loads {[*drawn[0]]}, new {[*drawn[1]]}")
    for way, before in drawn[0].items():
        off, change = (np.abs(before - other) for other in (drawn[1][way], untuned))
        found = f"largest {off.max()}, mean {off.mean():.3f}; from base {change.mean():.3f}"
        same = off.max() <= limit.largest and off.mean() <= limit.mean
        yield Row(name, way, found, bool(same and change.mean() > 2 * off.mean()))


def _drawn(python: Path, export: Path, base: str, record: Record) -> dict[str, Any]:
    """Return what an interpreter draws from an export, in levels, by way."""
    prompts = list((record.check or {})["prompts"])
    settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE}
    job = {"folder": str(export), "base": base, "dtype": "float32", "device": "cpu"}
    job |= {"prompts": prompts, "seeds": [SEED] * len(prompts), "settings": settings}
    with tempfile.TemporaryDirectory() as out:
        ways = _run(python, stock_pipeline.__file__, job | {"out": out})["ways"]
        return {
            " + ".join(files): np.stack(
                [
                    np.asarray(Image.open(f"{out}/{way}-{index}.png"), dtype=np.int16)
                    for index in range(len(prompts))
                ]
            )
            for way, files in enumerate(ways)
        }


def _logits(pythons: tuple[Path, Path], name: str, record: Record, export: Path) -> Iterator[Row]:
    base = find_pretrained(str(record.model.pretrained)).location
    job = {"folder": str(export), "base": base, "max_length": record.data.max_length}
    job |= {"texts": ["a good day", "this is bad", "nothing at all, or is it", "yes"]}
    before, now = (np.asarray(_run(p, stock_classifier.__file__, job)) for p in pythons)
    off = float(np.abs(before - now).max())
    same = off <= LOGITS[torch.float32] and (now.argmax(-1) == before.argmax(-1)).all()
    yield Row(name, export.name, f"logits differ by up to {off:.2g}", bool(same))


def _run(python: Path, script: str, job: dict[str, Any]) -> Any:
    """Return what a script prints at its end, run by an interpreter.

    Raises:
        RuntimeError: It fails.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), "-P", script],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=kept | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{python.parents[1].name}: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
