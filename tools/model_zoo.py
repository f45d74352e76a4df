"""Take tiny models of 44 families through fit, export, stock load and predict: `OUT`.

    python tools/model_zoo.py [--families bert,t5] [--methods lora,full] [--quick] OUT

Each family is a model type of transformers in miniature (64 wide, two layers, random weights from
its config) with the kind of tokenizer that such models have, trained on hwlit's own tweets. Each
cell of family x method is one `hwlit fit` of four steps on 200 of these tweets, by the method's
defaults, and is held to:

* ``fit``: ends with 0, its own reload in a fresh process included;
* ``stock``: the exported folder, loaded by transformers and peft alone, gives the probabilities
  that `hwlit predict` gives, text by text and in one padded batch;
* ``usual``: so does `AutoModelForSequenceClassification.from_pretrained(FOLDER)`, text by text;
* ``predict``: `hwlit predict` gives the same with batches of 1 and of 16.

It proves that no part of hwlit relies on the names, shapes or padding of one architecture. It says
nothing of quality (weights are random) nor of models whose code is not in transformers.

Prints a table and ends with 1 where a cell fails that `EXPLAINED` does not list. Cells that ended
well lie in OUT/cells and are not run again, so that a run that was stopped goes on; take another
OUT after a change of the code. What a cell said lies in OUT/logs.

A cell takes about 11 s of one core, most of it the imports of its fresh process. All 44 x 2 cells
took 30 minutes on two cores of an Intel Xeon that shared them with much other work.
"""

from __future__ import annotations

import os

# Before torch: two cells run beside each other, and each has one thread.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import csv
import json
import multiprocessing
import multiprocessing.connection
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers as hf
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from hwlit import cli, quiet
from hwlit.__main__ import main as hwlit
from hwlit.exports import stock_classifier
from hwlit.runs import base as runs
from hwlit.storage import write_text

# Cells that may fail, and why; none where all is well.
MIXES = "FNet mixes all places of a row and takes no mask, so that padding changes what it reads"
EXPLAINED = {  # by family and check
    ("fnet", "stock"): MIXES,
    ("fnet", "predict"): MIXES,
    ("bart", "usual"): "the base has a head for three classes, and this loader, which reads the "
    "base's config, has to be told the number of classes: the card says how",
}
METHODS = ("lora", "full")
QUICK = ("bert", "modernbert", "llama", "fnet")
AT_ONCE = 2
LONGEST = 900.0  # seconds for a cell
TOLERANCE = 1e-3  # of probabilities, in fp32
ROWS, TEXTS, MAX_LENGTH, VOCABULARY = 200, 24, 48, 1500
CHECKS = ("fit", "stock", "usual", "predict")

Special = dict[str, str]


class Family(NamedTuple):
    """A model type in miniature.

    Args:
        config: Name of its config class.
        tokenizer: Makes its tokenizer.
        settings: Of the config.
    """

    config: str
    tokenizer: Callable[[], hf.PreTrainedTokenizerFast]
    settings: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write a classifier with random weights, and its tokenizer."""
        torch.manual_seed(0)
        config = getattr(hf, self.config)(vocab_size=VOCABULARY, **self.settings)
        network = hf.AutoModelForSequenceClassification.from_config(config)
        self.tokenizer().save_pretrained(folder)
        network.save_pretrained(folder)


@cache
def tweets() -> list[tuple[str, str]]:
    """Return the bundled tweets with their classes' names."""
    bundled = files("hwlit").joinpath("assets", "tweets.csv")
    with bundled.open(encoding="utf-8", newline="") as file:
        return [(r["text"], ("other", "event")[int(r["target"])]) for r in csv.DictReader(file)]


@cache
def wordpiece() -> hf.PreTrainedTokenizerFast:
    """Return a tokenizer as BERT has it."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special)
    made.train_from_iterator((text for text, _ in tweets()), trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.decoder = decoders.WordPiece()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=128, **dict(zip(names, special, strict=True))
    )


def byte_pairs(
    tokens: str, template: str, max_length: float, named: Special, side: str = "right"
) -> hf.PreTrainedTokenizerFast:
    """Return a tokenizer of byte pairs, as most others have it.

    Args:
        tokens: Its special tokens in the order of their ids.
        template: What stands around a text, `$A`; nothing where it is empty.
        max_length: How many tokens it says that the model takes.
        named: The tokens by their part, such as `pad_token`.
        side: Where it pads.
    """
    special = tokens.split()
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator((text for text, _ in tweets()), trainer)
    made.decoder = decoders.ByteLevel()
    if template:
        made.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(t, i) for i, t in enumerate(special) if t in template]
        )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=int(max_length), padding_side=side, **named
    )


@cache
def roberta() -> hf.PreTrainedTokenizerFast:
    """Return RoBERTa's kind."""
    named = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    named |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    return byte_pairs("<s> <pad> </s> <unk> <mask>", "<s> $A </s>", 128, named)


@cache
def gpt2() -> hf.PreTrainedTokenizerFast:
    """Return GPT-2's kind: one special token, and none that pads."""
    end = "<|endoftext|>"
    return byte_pairs(end, "", 128, dict.fromkeys(("bos_token", "eos_token", "unk_token"), end))


@cache
def llama() -> hf.PreTrainedTokenizerFast:
    """Return Llama 2's kind: no token that pads, no limit."""
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return byte_pairs("<s> </s> <unk>", "<s> $A", 1e30, named)


@cache
def llama3() -> hf.PreTrainedTokenizerFast:
    """Return Llama 3's kind: a token to pad with that nothing names."""
    tokens = "<|begin_of_text|> <|end_of_text|> <|finetune_right_pad_id|>"
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    return byte_pairs(tokens, "<|begin_of_text|> $A", 131072, named)


@cache
def qwen() -> hf.PreTrainedTokenizerFast:
    """Return Qwen's kind: nothing before a text, and a token to pad with."""
    named = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return byte_pairs("<|endoftext|> <|im_end|>", "", 131072, named)


@cache
def gemma() -> hf.PreTrainedTokenizerFast:
    """Return Gemma's kind: padded on the left."""
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    named["unk_token"] = "<unk>"
    return byte_pairs("<bos> <pad> <eos> <unk>", "<bos> $A", 1e30, named, side="left")


# Most configs name sizes in one of these ways.
B = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
D = {**B, "num_key_value_heads": 2, "max_position_embeddings": 256}
N = {"hidden_size": 64, "n_layer": 2, "n_head": 4}
G = {"n_positions": 128, "n_embd": 64, "n_layer": 2, "n_head": 4}
P1 = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}  # RoBERTa's special tokens
E0 = {"bos_token_id": 0, "eos_token_id": 0}  # GPT-2's
E1 = {"bos_token_id": 0, "eos_token_id": 1}  # Llama's
GEMMA = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "head_dim": 16}
ROBERTA = {**B, **P1, "max_position_embeddings": 130, "type_vocab_size": 1}
DEBERTA = {
    **B, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0,
    "position_biased_input": False, "pooler_hidden_size": 64, "pooler_dropout": 0,
    "pooler_hidden_act": "gelu",
}  # fmt: skip
DEBERTA_V2 = {
    "position_buckets": 32, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "max_relative_positions": -1,
}  # fmt: skip
MODERNBERT = {
    **B, "num_hidden_layers": 4, "intermediate_size": 96, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3,
}  # fmt: skip
BIGBIRD = {"pad_token_id": 0, "block_size": 8, "num_random_blocks": 1}
LONG = {"max_position_embeddings": 256}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
FAMILIES: dict[str, Family] = {
    "bert": Family("BertConfig", wordpiece, B),
    "distilbert": Family(
        "DistilBertConfig", wordpiece, {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
    ),
    "roberta": Family("RobertaConfig", roberta, ROBERTA),
    "xlmr": Family("XLMRobertaConfig", roberta, ROBERTA),
    "camembert": Family("CamembertConfig", roberta, ROBERTA),
    "albert": Family("AlbertConfig", wordpiece, {**B, "embedding_size": 32}),
    "electra": Family("ElectraConfig", wordpiece, {**B, "embedding_size": 32}),
    "debertav2": Family("DebertaV2Config", wordpiece, {**DEBERTA, **DEBERTA_V2}),
    "deberta": Family("DebertaConfig", wordpiece, DEBERTA),
    "modernbert": Family("ModernBertConfig", wordpiece, MODERNBERT),
    "mpnet": Family(
        "MPNetConfig", roberta, {**B, "max_position_embeddings": 130, "pad_token_id": 1}
    ),
    "bigbird": Family("BigBirdConfig", wordpiece, {**B, **LONG, **BIGBIRD}),
    "mobilebert": Family(
        "MobileBertConfig", wordpiece, {**B, "embedding_size": 32, "intra_bottleneck_size": 32}
    ),
    "squeezebert": Family("SqueezeBertConfig", wordpiece, {**B, "embedding_size": 64}),
    "funnel": Family(
        "FunnelConfig", wordpiece,
        {"block_sizes": [1, 1], "d_model": 64, "n_head": 4, "d_head": 16, "d_inner": 128},
    ),
    "convbert": Family("ConvBertConfig", wordpiece, {**B, "embedding_size": 64}),
    "rembert": Family(
        "RemBertConfig", wordpiece,
        {**B, "input_embedding_size": 32, "output_embedding_size": 64, "pad_token_id": 0},
    ),
    "roformer": Family("RoFormerConfig", wordpiece, {**B, **LONG}),
    "fnet": Family(
        "FNetConfig", wordpiece,
        {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "pad_token_id": 0,
         **LONG},
    ),
    "xlnet": Family(
        "XLNetConfig", wordpiece,
        {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128, "pad_token_id": 0},
    ),
    "flaubert": Family(
        "FlaubertConfig", wordpiece,
        {"emb_dim": 64, "n_layers": 2, "n_heads": 4, "pad_index": 0, "pad_token_id": 0},
    ),
    "gpt2": Family("GPT2Config", gpt2, {**G, **E0}),
    "gptneo": Family(
        "GPTNeoConfig", gpt2,
        {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "intermediate_size": 128,
         "attention_types": [[["global", "local"], 1]], **LONG, **E0},
    ),
    "gptneox": Family("GPTNeoXConfig", gpt2, {**B, **LONG, **E0}),
    "gptj": Family("GPTJConfig", gpt2, {**G, **E0, "rotary_dim": 8}),
    "opt": Family(
        "OPTConfig", roberta,
        {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 128,
         "word_embed_proj_dim": 64, **LONG, **P1, "bos_token_id": 2},
    ),
    "bloom": Family("BloomConfig", roberta, {**N, **P1}),
    "falcon": Family(
        "FalconConfig", gpt2,
        {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, **E0},
    ),
    "llama": Family("LlamaConfig", llama, {**D, **E1}),
    "llama3": Family("LlamaConfig", llama3, {**D, **E1}),
    "mistral": Family("MistralConfig", llama, {**D, **E1}),
    "mixtral": Family("MixtralConfig", llama, {**D, **E1, "num_local_experts": 4}),
    "qwen2": Family("Qwen2Config", qwen, {**D, **E1}),
    "qwen3": Family("Qwen3Config", qwen, {**D, **E1, "head_dim": 16}),
    "qwen2moe": Family(
        "Qwen2MoeConfig", qwen, {**D, **E1, **MOE, "shared_expert_intermediate_size": 64}
    ),
    "gemma": Family("GemmaConfig", gemma, {**D, **GEMMA}),
    "gemma2": Family("Gemma2Config", gemma, {**D, **GEMMA}),
    "gemma3": Family("Gemma3TextConfig", gemma, {**D, **GEMMA}),
    "phi": Family("PhiConfig", gpt2, {**D, **E0}),
    "phi3": Family("Phi3Config", llama, {**D, **E1, "pad_token_id": 2}),
    "smollm3": Family("SmolLM3Config", llama, {**D, **E1, "pad_token_id": 2}),
    "stablelm": Family("StableLmConfig", gpt2, {**D, **E0}),
    # Its config comes with three classes, the tweets with two.
    "bart": Family(
        "BartConfig", roberta,
        {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
         "decoder_start_token_id": 2, "forced_eos_token_id": 2, **LONG, **P1},
    ),
    "t5": Family(
        "T5Config", roberta,
        {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4,
         "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
    ),
}  # fmt: skip

# What a stranger's process runs: one for all folders, for its imports take longest.
STRANGER = """
import importlib.util, json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
job = json.load(sys.stdin)
spec = importlib.util.spec_from_file_location("stock", job["script"])
stock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stock)
def shares(logits):
    return torch.tensor(logits).softmax(-1).tolist()
def by_stock(cell):
    return [shares(each) for each in stock.logits(**cell["stock"])]
def by_usual(cell):
    folder, length = cell["stock"]["folder"], cell["stock"]["max_length"]
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        rows = [tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
                for text in cell["stock"]["texts"]]
        return [shares([model(**row).logits[0].tolist() for row in rows])]
for cell in job["cells"]:
    told = {"name": cell["name"]}
    for way, load in (("stock", by_stock), ("usual", by_usual)):
        try:
            told[way] = load(cell)
        except Exception as error:
            told[way] = f"{type(error).__name__}: {str(error).strip()[:300]}"
    print("ZOO", json.dumps(told), flush=True)
if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
    sys.exit("hwlit was imported: this proves nothing")
"""


class Zoo:
    """The folders of one run of this tool.

    Args:
        out: Where all is written.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.table, self.texts = out / "tweets.csv", out / "texts.csv"
        for part in ("models", "runs", "logs", "cells"):
            (out / part).mkdir(parents=True, exist_ok=True)
        with self.table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *tweets()[:ROWS]])
        with self.texts.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in self.to_predict)])

    @property
    def to_predict(self) -> list[str]:
        """Texts that no run learns from."""
        return [text for text, _ in tweets()[-TEXTS:]]

    def model(self, family: str) -> Path:
        """Return the folder of a family's model, built once."""
        folder = self.out / "models" / family
        if not (folder / "model.safetensors").exists():
            FAMILIES[family].save(folder)
        return folder

    def cell(self, family: str, method: str) -> Path:
        """Return the file of a cell's results."""
        return self.out / "cells" / f"{family}-{method}.json"

    def shares(self, run: Path, batch_size: int) -> list[list[float]]:
        """Return what `hwlit predict` has written: a probability per class, per text."""
        with (run / f"predicted_{batch_size}.csv").open(encoding="utf-8", newline="") as file:
            return [[float(share) for share in row[2:]] for row in list(csv.reader(file))[1:]]

    def work(self, family: str, method: str) -> None:
        """Train and predict in this process, a child of its own; write the exit codes."""
        log = os.open(self.out / "logs" / f"{family}-{method}.txt", os.O_WRONLY | os.O_CREAT)
        os.ftruncate(log, 0)
        for stream in (1, 2):
            os.dup2(log, stream)
        run, began = self.out / "runs" / f"{family}-{method}", time.monotonic()
        codes = {"fit": run_hwlit(
            "fit", "--config", "text/files", "--data.path", self.table, "--output", run,
            "--model.pretrained", self.model(family), "--model.adapter", method,
            "--data.max_length", MAX_LENGTH, "--trainer.max_steps", 4,
            "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false",
        )}  # fmt: skip
        for size in (1, 16) if codes["fit"] == 0 else ():
            codes[f"predict_{size}"] = run_hwlit(
                "predict", run, "--file", self.texts, "--batch-size", size,
                "--output", run / f"predicted_{size}.csv",
            )  # fmt: skip
        seconds = round(time.monotonic() - began, 1)
        write_text(self.cell(family, method), json.dumps({"codes": codes, "seconds": seconds}))

    def well(self, family: str, method: str) -> bool:
        """Return whether the commands of a cell have run and ended with 0."""
        path = self.cell(family, method)
        return path.exists() and not any(json.loads(path.read_text())["codes"].values())

    def give_up(self, family: str, method: str, code: int | None, why: str) -> None:
        """Write that a cell has no results, in its log as well."""
        write_text(self.cell(family, method), json.dumps({"codes": {"fit": code}}))
        with (self.out / "logs" / f"{family}-{method}.txt").open("a", encoding="utf-8") as log:
            log.write(f"\nhwlit: {why}\n")

    def why(self, family: str, method: str) -> str:
        """Return the last thing that hwlit said in a cell."""
        log = (self.out / "logs" / f"{family}-{method}.txt").read_text("utf-8", "replace")
        return next(
            (t for t in reversed(log.splitlines()) if t.startswith("hwlit: ")), "see its log"
        )


def run_hwlit(*words: object) -> int:
    """Run one command of hwlit in this process; return its exit code."""
    arguments = list(map(str, words))
    sys.argv = ["hwlit", *arguments]
    return hwlit(arguments)


def run_cells(zoo: Zoo, cells: list[tuple[str, str]]) -> None:
    """Run the cells that have not ended well yet, each in a forked child, a few at a time."""
    waiting = [cell for cell in cells if not zoo.well(*cell)]
    context, running = multiprocessing.get_context("fork"), {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            cell = waiting.pop(0)
            zoo.cell(*cell).unlink(missing_ok=True)
            remove(zoo.out / "runs" / "-".join(cell))
            try:
                zoo.model(cell[0])
            except Exception as error:  # whatever transformers raises: the others go on
                zoo.give_up(*cell, 1, f"the model is not built: {type(error).__name__}: {error}")
                continue
            child = context.Process(target=zoo.work, args=cell)
            child.start()
            running[cell] = (child, time.monotonic())
        if running:
            multiprocessing.connection.wait([c.sentinel for c, _ in running.values()], timeout=5)
        for cell, (child, began) in list(running.items()):
            if child.is_alive() and time.monotonic() - began > LONGEST:
                child.kill()
                child.join()
            if not child.is_alive():
                del running[cell]
                if not zoo.cell(*cell).exists():
                    zoo.give_up(
                        *cell, child.exitcode or 1, "it was killed, failed, or took too long"
                    )
                told = zoo.cell(*cell).read_text()
                print(f"{' '.join(cell)}: {told}", file=sys.stderr, flush=True)


def remove(run: Path) -> None:
    """Remove what a cell that was stopped has left."""
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def by_stranger(zoo: Zoo, cells: list[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Load the exported folders in one fresh process without hwlit; return what each gives."""
    jobs = [
        {
            "name": f"{family}-{method}",
            "stock": {
                "folder": str(zoo.out / "runs" / f"{family}-{method}" / "adapter"),
                "base": str(zoo.model(family)),
                "texts": zoo.to_predict,
                "max_length": MAX_LENGTH,
            },
        }
        for family, method in cells
    ]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", STRANGER],
        input=json.dumps({"script": stock_classifier.__file__, "cells": jobs}),
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
    lines = (line for line in done.stdout.splitlines() if line.startswith("ZOO "))
    found = {told["name"]: told for told in (json.loads(line[4:]) for line in lines)}
    return {} if "proves nothing" in done.stderr else found


def apart(first: Any, second: list[list[float]]) -> float:
    """Return the largest difference of two tables of probabilities."""
    return float((torch.tensor(first) - torch.tensor(second)).abs().max())


def judge(zoo: Zoo, cell: tuple[str, str], stranger: dict[str, Any]) -> dict[str, str]:
    """Return per check of a cell `ok`, a difference in brackets with it, or what went wrong."""
    if not zoo.well(*cell):
        codes = json.loads(zoo.cell(*cell).read_text())["codes"]
        return {"fit": f"{codes} {zoo.why(*cell)}"}
    run = zoo.out / "runs" / "-".join(cell)
    alone, batched = zoo.shares(run, 1), zoo.shares(run, 16)
    found = {"fit": "ok", "predict": verdict(apart(alone, batched))}
    for way in ("stock", "usual"):
        given = stranger.get(way, "was not loaded")
        if isinstance(given, str):
            found[way] = given
        else:
            found[way] = verdict(max(apart(shares, alone) for shares in given))
    return found


def verdict(difference: float) -> str:
    """Return `ok` and a difference of probabilities, or that it is too large."""
    return f"{'ok' if difference <= TOLERANCE else 'differs:'} {difference:.0e}"


def report(zoo: Zoo, cells: list[tuple[str, str]]) -> Iterator[tuple[str, list[str], str]]:
    """Yield the family of each cell, its checks that are not well, and its line of the table."""
    ran = [cell for cell in cells if zoo.well(*cell)]
    strangers = by_stranger(zoo, ran) if ran else {}
    for cell in cells:
        found = judge(zoo, cell, strangers.get("-".join(cell), {}))
        wrong = [check for check in CHECKS if not found.get(check, "").startswith("ok")]
        columns = [found.get(check, "-")[:22] for check in CHECKS]
        line = f"{cell[0]:12} {cell[1]:6} " + " ".join(f"{told:22}" for told in columns)
        told = [f"    {check}: {found[check]}" for check in wrong if check in found]
        yield cell[0], wrong, "\n".join([line.rstrip(), *told])


def main(arguments: list[str]) -> int:
    """Run the zoo; return 1 where a cell fails that nothing explains."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="where models, runs and results are written")
    parser.add_argument("--families", help=f"some of {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--methods", default=",".join(METHODS), help="names of hwlit adapters")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    asked = parser.parse_args(arguments)
    families = (
        asked.families.split(",") if asked.families else list(QUICK if asked.quick else FAMILIES)
    )
    if unknown := sorted(set(families) - set(FAMILIES)):
        parser.error(f"there is no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    cells = [(family, method) for family in families for method in asked.methods.split(",")]
    zoo = Zoo(asked.out.absolute())
    quiet.silence()
    assert cli  # imported before the children fork, for it takes seconds
    torch.set_num_threads(1)
    runs.LATENCY_SECONDS = 0.0  # nothing is timed here
    run_cells(zoo, cells)
    print(f"{'family':12} {'method':6} " + " ".join(f"{check:22}" for check in CHECKS))
    good, unexplained = 0, 0
    for family, wrong, line in report(zoo, cells):
        reasons = [EXPLAINED[family, check] for check in wrong if (family, check) in EXPLAINED]
        print("\n    explained: ".join([line, *dict.fromkeys(reasons)]), flush=True)
        good += not wrong
        unexplained += len(reasons) < len(wrong)
    print(f"{good} of {len(cells)} cells are well; {unexplained} of the others are not explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
