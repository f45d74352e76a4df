"""Make the runs of schema 1 that are kept as test data, with the hwlit that wrote that schema.

    git worktree add --detach /tmp/old 6c7abfb
    mkdir -p /home/ada/work && cd /home/ada/work
    PYTHONPATH=/tmp/old python TREE/tools/make_old_runs.py TREE/tests/runs_of_schema_1

Makes them in the current directory, which is empty and which the records name, and copies them
without event files, and without checkpoints where no command reads them. Needs five minutes and no
network.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

TOPICS = {"storm": ("storm", "flood", "gale"), "garden": ("rose", "lawn", "hedge")}
FILLERS = ("the", "a", "is", "near", "town", "today")
STUDY = """\
# Two methods under two seeds, on texts of one's own.
base: base.yaml
axes:
  adapter:
    lora:
      model.adapter: hwlit.adapters.lora.Lora
      model.adapter.rank: 2
      model.adapter.learning_rate: 0.03
    bitfit:
      model.adapter: hwlit.adapters.bitfit.BitFit
      model.adapter.learning_rate: 0.03
  seed: [1, 2]
metric: test/accuracy
baseline: bitfit
"""
BASE = """\
model:
  class_path: hwlit.tasks.text_classification.TextClassification
  init_args:
    pretrained: ./model
data:
  class_path: hwlit.data.text_files.TextFiles
  init_args:
    path: texts.csv
    text_column: body
    label_column: topic
    test_size: 0.2
    max_length: 32
    batch_size: 4
trainer:
  max_epochs: 2
  accelerator: cpu
"""
PICTURES = (
    "--model.pretrained", "./pipeline", "--model.clip", "pocket-clip",
    "--model.sampling_steps", "2", "--data.path", "concept", "--data.instance_prompt",
    "photo of sks dog", "--data.class_prompt", "photo of dog", "--data.test_prompts",
    '["photo of sks dog", "sks dog on the beach"]', "--data.unrelated_prompts",
    '["photo of red square"]', "--data.images_per_prompt", "1", "--data.class_images", "2",
    "--data.class_steps", "2", "--data.batch_size", "2", "--data.epoch_steps", "4",
    "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--seed_everything", "1",
)  # fmt: skip
HOST, PLATFORM = "desk", "Linux-6.1.0-x86_64-with-glibc2.36"


def main(target: Path) -> None:
    """Make the runs and copy them.

    Args:
        target: Where they go, new or without what is made here.
    """
    here = Path.cwd()
    write_inputs(here)
    text = [
        "fit", "--config", "text/tweets", "--model.pretrained", "./model", "--data.path",
        "tweets.csv", "--data.test_size", "0.2", "--data.max_length", "32", "--data.batch_size",
        "4", "--trainer.accelerator", "cpu", "--seed_everything", "1",
    ]  # fmt: skip
    lora = ["--model.adapter.rank", "2", "--model.adapter.learning_rate", "0.02"]
    hwlit(*text, *lora, "--trainer.max_epochs", "2", "--output", "runs/lora")
    whole = ["--model.adapter", "full", "--model.adapter.learning_rate"]
    moved = ["--model.pretrained", str(here / "model"), "--data.path", str(here / "tweets.csv")]
    hwlit(*text, *whole, "0.01", *moved, "--trainer.max_epochs", "2", "--output", "runs/full")
    often = ["--trainer.max_epochs", "4", "--checkpoint.every_n_steps", "10"]
    stopped(*text, *lora, *often, "--output", "runs/stopped")
    shutil.copytree(here / "runs/stopped", here / "expected/resumed")
    hwlit("fit", "--resume", "expected/resumed")
    hwlit(*text, *whole, "1e30", "--output", "runs/diverged", code=4)
    hwlit("quantize", "runs/lora", "--format", "int8")
    hwlit("fit", "--config", "pocket/svdiff", *PICTURES, "--output", "runs/svdiff")
    drawn = ("--num_images", "1", "--out", "expected/svdiff")
    hwlit("generate", "runs/svdiff", "--prompt", "photo of sks dog", *drawn)
    hwlit("study", "run", "study.yaml", "--output", "study")
    keep(here, target)


def keep(here: Path, target: Path) -> None:
    """Copy what the tests read; the name of this machine and of its system are replaced."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        place = Path(folder).relative_to(here)
        if place == Path("expected/resumed"):
            return {*names} - {"predictions.csv"}
        unread = place.parent == Path("study/runs") or (Path(folder) / "samples").is_dir()
        left = {"tensorboard", ".lock", "cache", *(["checkpoints"] if unread else [])} & {*names}
        if place == Path("runs/full/checkpoints"):  # the largest, of which the best is read
            left |= {name for name in names if name.startswith("epoch=0")}
        return left

    shutil.copytree(here, target, dirs_exist_ok=True, ignore=ignored)
    for path in target.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        told = text.replace(json.dumps(platform.platform()), json.dumps(PLATFORM))
        told = told.replace(f'"host": {json.dumps(platform.node())}', f'"host": "{HOST}"')
        if told != text:
            path.write_text(told, encoding="utf-8")


def hwlit(*words: str, code: int = 0) -> None:
    """Run one command, which must end with a code."""
    ended = subprocess.run(program(words), env=environment(), check=False).returncode
    if ended != code:
        raise SystemExit(f"{words} ended with {ended}, not {code}")


def stopped(*words: str) -> None:
    """Run one command and stop it by SIGTERM between two of its checkpoints."""
    run = Path(words[-1])
    process = subprocess.Popen(program(words), env=environment())
    while process.poll() is None and not any((run / "checkpoints").glob("*.json")):
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    if process.wait() != 143:
        raise SystemExit(f"{words} ended with {process.returncode} before it was stopped")


def program(words: tuple[str, ...]) -> list[str]:
    """Return the command line of `hwlit`."""
    return [sys.executable, "-P", "-m", "hwlit", *words]


def environment() -> dict[str, str]:
    """Return this environment with one thread, no hub and a cache in the current directory."""
    own = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HWLIT_CACHE": "cache"}
    return {**os.environ, **own}


def write_inputs(here: Path) -> None:
    """Write data, base models and the study's files."""
    rng = random.Random(0)
    rows = []
    for number in range(100):
        topic = list(TOPICS)[number % 2]
        easy = number % 10 > 1
        words = [*rng.choices(TOPICS[topic], k=3 if easy else 1), *rng.choices(FILLERS, k=4)]
        rng.shuffle(words)
        rows.append((f"{' '.join(words)} {number}", topic))
    write_csv(here / "tweets.csv", ("text", "target"), [(t, int(k == "storm")) for t, k in rows])
    write_csv(here / "texts.csv", ("body", "topic"), rows)
    (here / "study.yaml").write_text(STUDY)
    (here / "base.yaml").write_text(BASE)
    write_classifier(here / "model")
    write_pipeline(here / "pipeline")
    (here / "concept").mkdir()
    for number in range(3):
        picture = Image.new("RGB", (16, 16), (200, 60 * number, 30))
        picture.paste((20, 60, 220), (4 + number, 4, 10 + number, 10))
        picture.save(here / "concept" / f"{number}.png")


def write_csv(path: Path, names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Write a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])


def write_classifier(folder: Path) -> None:
    """Write a BERT of one layer with random weights, and a tokenizer of whole words."""
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *FILLERS, *TOPICS["storm"], *TOPICS["garden"]]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        unk_token="[UNK]", model_max_length=40,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=40, pad_token_id=0,
            initializer_range=0.3,  # so that its features differ and a few steps learn
        )
    ).save_pretrained(folder)  # fmt: skip


def write_pipeline(folder: Path) -> None:
    """Write a latent diffusion pipeline of 16 x 16 pixels with random weights."""
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "tokenizer").mkdir(parents=True)
    files = {"vocab.json": json.dumps({token: i for i, token in enumerate(vocabulary)})}
    for name, text in {**files, "merges.txt": "#version: 0.2\n"}.items():
        (folder / "tokenizer" / name).write_text(text)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(
        folder / "tokenizer", model_max_length=77
    )
    torch.manual_seed(0)
    text_encoder = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=1, max_position_embeddings=77, projection_dim=8,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    denoiser = diffusers.UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(4, 4), cross_attention_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), norm_num_groups=2,
        attention_head_dim=4,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4, 4), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=2,
        layers_per_block=1, sample_size=16,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        clip_sample=False, set_alpha_to_one=False,
    )  # fmt: skip
    diffusers.StableDiffusionPipeline(
        vae, text_encoder, tokenizer, denoiser, scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
