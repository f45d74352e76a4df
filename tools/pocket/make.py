"""Make all offline image assets: autoencoder, pocket-sd, pocket-clip, concepts; then judge them.

    python -m tools.pocket.make --out build/pocket

Every stage can be killed: the same command goes on from its last checkpoint. Stages that are done
are not repeated. Each can also be run alone, and then be longer (`--steps`):

    python -m tools.pocket.autoencoder --out build/pocket
    python -m tools.pocket.autoencoder --out build/pocket --decoder
    torchrun --nproc-per-node 2 -m tools.pocket.diffusion --out build/pocket
    python -m tools.pocket.clip --out build/pocket
    python -m tools.pocket.judge --out build/pocket
    python -m tools.pocket.separation

The shipped weights took 99 minutes on the 2 shared cores of a cloud Xeon with AMX: pictures 3,
autoencoder 17 (its first stage only), pocket-sd 45 (1,200 steps in one process, then 2,000 in two),
pocket-clip 36 and then 4 for its text tower, judge 4 beside it. They were resumed with other
numbers of steps and of processes on the way, so this command does not give the same bytes, and has
not been run in one go.
Judge: object 97.5 %, colour 100 % of 200 held-out prompts.
Separation, concept against class pictures: checked-mug 0.72 to 0.16, crowned-fish 0.70 to 0.27.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from hwlit.storage import sha256
from tools.pocket import autoencoder, clip, concepts, diffusion
from tools.pocket.separation import ASSETS

MODELS = ("pocket-sd", "pocket-clip")


def install(out: Path, assets: Path) -> None:
    """Copy the finished models to `assets`, draw the concepts there, and print the hashes.

    The hashes belong in `hwlit/networks/pocket.py`.
    """
    for name in MODELS:
        shutil.rmtree(assets / name, ignore_errors=True)
        shutil.copytree(out / name, assets / name)
    concepts.make(assets / "concepts")
    for name in MODELS:
        for file in sorted((assets / name).rglob("*.safetensors")):
            print(
                f'    "{file.relative_to(assets).as_posix()}": (\n        "{sha256(file)}"\n    ),'
            )


def main() -> None:
    """Run all stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--only-install", action="store_true", help="train nothing")
    given = parser.parse_args()
    if not given.only_install:
        if not (given.out / "decoder").is_dir():  # its frozen encoder is this one's
            autoencoder.main(given.out, autoencoder.STEPS)
        autoencoder.main(given.out, autoencoder.DECODER_STEPS, decoder_only=True)
        diffusion.main(given.out, diffusion.STEPS)
        clip.main(given.out, clip.STEPS)
    install(given.out, given.assets)


if __name__ == "__main__":
    main()
