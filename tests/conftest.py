"""Small models made from configs, the real MiniLM, and the real data where it is."""

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ |= {"OMP_NUM_THREADS": "1"}  # of child processes too: every core has a worker already

from hwlit import quiet

quiet.silence()

import csv
import random

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from hwlit.exports import reload, stock_classifier
from tests.pipelines import KINDS, save_tiny_pipeline

WORDS = [
    "storm",
    "fire",
    "flood",
    "calm",
    "sunny",
    "picnic",
    "the",
    "a",
    "is",
    "near",
    "town",
    "today",
]
CONFIGS = {
    "bert": BertConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40, pad_token_id=0,
    ),
    "distilbert": DistilBertConfig(
        vocab_size=32, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=40, pad_token_id=0
    ),
    "roberta": RobertaConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=42, pad_token_id=0,
    ),
    "llama": LlamaConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=64, max_position_embeddings=40, bos_token_id=1, eos_token_id=2,
    ),
}  # fmt: skip


def moved(task):
    """Return a task with its network built, what learns moved, and in eval mode."""
    task.configure_model()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in task.network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    task.network.eval()
    return task


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)  # two threads a process starve one another on small machines


@pytest.fixture(scope="session")
def tiny_tokenizer():
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        unk_token="[UNK]", model_max_length=40,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory, tiny_tokenizer):
    """Folders of untrained base models by kind, as save_pretrained writes them."""
    folders = {}
    for kind, config in CONFIGS.items():
        folder = tmp_path_factory.mktemp(kind)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            base = AutoModelForSequenceClassification.from_config(config).base_model
        base.save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        folders[kind] = str(folder)
    return folders


@pytest.fixture(scope="session")
def tiny_csv(tmp_path_factory):
    """A set of 160 tweets whose label follows from one word."""
    path = tmp_path_factory.mktemp("tweets") / "train.csv"
    rng = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "keyword", "location", "text", "target"])
        for row in range(160):
            target = row % 2
            word = rng.choice(WORDS[:3] if target else WORDS[3:6])
            filler = [rng.choice(WORDS[6:]) for _ in range(rng.randint(3, 12))]
            writer.writerow([row, "", "", " ".join([word, *filler, str(row)]), target])
    return str(path)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HWLIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def tiny_arguments(tiny_models, tiny_csv, output):
    """The arguments of a fit that takes a second: tiny BERT, tiny tweets."""
    return [
        "fit", "--config", "quickstart", "--data.path", tiny_csv,
        "--model.pretrained", tiny_models["bert"], "--trainer.max_epochs", "2",
        "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false",
        "--data.max_length", "32", "--output", str(output),
    ]  # fmt: skip


def speed_up(monkeypatch):
    """Reload exports in this process and probe latency briefly."""
    monkeypatch.setattr(reload, "_run", lambda job, folder, timeout: stock_classifier.logits(**job))
    monkeypatch.setattr("hwlit.runs.base.LATENCY_SECONDS", 0.0)


@pytest.fixture
def tiny_fit(tiny_models, tiny_csv, tmp_path, monkeypatch):
    speed_up(monkeypatch)
    return tiny_arguments(tiny_models, tiny_csv, tmp_path / "run")


@pytest.fixture(scope="session")
def tiny_pipelines(tmp_path_factory):
    """Folders of tiny text-to-image pipelines by kind: sd, sd_v (v-prediction), sdxl."""
    return {kind: save_tiny_pipeline(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}
