"""What a model card says, done: each block of code is run in a process that has no hwlit."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import VeraConfig
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
    RobertaConfig,
    T5Config,
)

from hwlit.adapters.bitsandbytes_linear import NF4
from hwlit.adapters.chain import Chain
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.peft import Peft
from hwlit.adapters.quantized import Quantized
from hwlit.exports.model_card import text_model_card
from hwlit.exports.stock_classifier import literal
from hwlit.exports.transformers_folder import write_whole
from hwlit.networks.exported import adapted
from hwlit.networks.text import load_classifier
from hwlit.records import record_of
from hwlit.tasks.text_classification import TextClassification
from tests.conftest import moved

TEXTS = ["storm near town", "a sunny picnic today", "fire", "the the the the fire"]
LABELS = ("bad", "good", "😀 `c`")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = {"vocab_size": 32, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS = {
    "bert": BertConfig(**SMALL, intermediate_size=64, pad_token_id=0),
    "roberta": RobertaConfig(**SMALL, intermediate_size=64, pad_token_id=0),
    "distilbert": DistilBertConfig(
        vocab_size=32, dim=64, n_layers=2, n_heads=2, hidden_dim=64, pad_token_id=0
    ),
    "llama": LlamaConfig(**SMALL, intermediate_size=64, bos_token_id=1, eos_token_id=2),
    "t5": T5Config(
        vocab_size=32, d_model=64, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
        pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
    ),
}  # fmt: skip
DORA = Lora(rank=2, dora=True)
VERA = Peft(config=VeraConfig(r=8), targets=("*.query", "*.value"))
QLORA = Chain(adapters={"base": Quantized(format=NF4()), "learned": Lora(rank=2)})

# Reads codes by name; prints what `model`, `tokenizer` of each answer, by the label's name.
STRANGER = """
import json, sys
import torch
texts, codes = json.load(sys.stdin)
found = {}
for name, code in codes.items():
    names = {}
    try:
        exec(code, names)
        model, tokenizer = names["model"], names["tokenizer"]
        with torch.inference_mode():
            batch = tokenizer(texts, padding=True, return_tensors="pt")
            logits = model(**batch).logits.T.tolist()
        labels = [model.config.id2label[row] for row in range(len(logits))]
        found[name] = dict(zip(labels, logits)) | {"training": model.training}
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
assert not any(name.partition(".")[0] == "hwlit" for name in sys.modules)
print(json.dumps(found))
"""
# The usual ways, with nothing told.
USUAL = {
    "auto": """
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained({folder}).eval()
tokenizer = AutoTokenizer.from_pretrained({folder})
""",
    "peft": """
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoTokenizer
model = AutoPeftModelForSequenceClassification.from_pretrained({folder}).eval()
tokenizer = AutoTokenizer.from_pretrained({folder})
""",
    "pipeline": """
from transformers import pipeline
classify = pipeline("text-classification", {folder})
model, tokenizer = classify.model, classify.tokenizer
""",
}
SHORTER = {  # which line of the card's second block makes the model
    "auto": ("model = AutoPeft", "classify"),
    "peft": ("model = AutoModel", "classify"),
    "pipeline": ("model = Auto",),
}


def bases(folder, tokenizer):
    """Pretrained classifiers by name: of each family, and some with class names of their own."""
    named = {
        "five": ("bert", [f"LABEL_{row}" for row in range(5)]),
        "swapped": ("distilbert", ["GOOD", "BAD"]),
        "swapped_dense": ("roberta", ["good", "bad"]),
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for name, (kind, labels) in {**{kind: (kind, None) for kind in CONFIGS}, **named}.items():
            config = type(CONFIGS[kind])(**CONFIGS[kind].to_dict())
            if labels is not None:
                config.id2label = dict(enumerate(labels))
                config.label2id = {label: row for row, label in enumerate(labels)}
            model = AutoModelForSequenceClassification.from_config(config)
            model.save_pretrained(folder / name)
            tokenizer.save_pretrained(folder / name)
    snapshot = folder / "hub" / "models--org--base" / "snapshots" / COMMIT
    shutil.copytree(folder / "five", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    return folder


def trained(adapter, base, labels):
    """A task whose learned weights were moved."""
    return moved(TextClassification(adapter=adapter, pretrained=str(base), labels=labels))


def answers(network, tokenizer, labels):
    with torch.no_grad():
        logits = network(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    return dict(zip(labels, logits.T, strict=True))


def card(folder, base, adapter):
    how = {"unit": "1", "how": {"tag": "measured", "text": ""}}
    facts = {
        "schema": 2,
        "status": "ok",
        "model": {"hub_id": base, "pretrained": base, "labels": list(LABELS)},
        "adapter": adapter.describe(),
        "data": {"source": ["x"], "rows": {"train": 5, "test": 5}, "majority_class_accuracy": 0.5},
        "readings": {"test/accuracy": {"value": 0.9, "low": 0.85, "high": 0.95} | how},
        "absent": {},
        "versions": {"hwlit": "0.1"},
        "seed": 3,
    }
    return text_model_card(record_of(facts, Path("record.json")), os.listdir(folder))


def blocks(folder, base, adapter):
    """The codes of a card, as a stranger pastes them."""
    codes = re.findall(r"```python\n(.*?)```", card(folder, base, adapter), re.DOTALL)
    return [code.replace('"path/to/this/folder"', literal(str(folder))) for code in codes]


def shorter(first, second, without):
    lines = [line for line in second.splitlines() if not line.startswith(without)]
    lines = [line.replace("classify = ", "model = ") for line in lines]
    end = ["model = model.model"] if "pipeline" in lines[-1] else []
    return "\n".join([first, "del model", *lines, *end])


def every_code(folder, made_on, tokenizer, expected):
    """Export what each case learned, move it, and return the codes that load it."""
    codes = {}
    own = {"qlora": ("bert", QLORA), "dora": ("bert", DORA), "vera": ("bert", VERA)}
    own["hub"] = ("five", Lora(rank=2))
    for kind in (*CONFIGS, "five", *own):
        name, adapter = own.get(kind, (kind, Lora(rank=2)))
        base = made_on / name
        task = trained(adapter, base, LABELS)
        expected[kind] = answers(task.network, tokenizer, LABELS)
        task.export(folder / "before" / kind)
        place = folder / kind
        shutil.move(folder / "before" / kind, place)
        if kind == "hub":
            config = json.loads((place / "adapter_config.json").read_text())
            config["base_model_name_or_path"] = "org/base"
            (place / "adapter_config.json").write_text(json.dumps(config))
        first, second = blocks(place, "org/base" if kind == "hub" else str(base), adapter)
        codes[f"{kind} card"] = first
        for way, without in SHORTER.items() if kind != "vera" else [("peft", ())]:
            codes[f"{kind} {way}"] = shorter(first, second, without)
        if kind == "bert":
            merged = adapted(load_classifier(str(base), LABELS).network, _run(folder, place))
            write_whole(folder / "merged", merged.merge_and_unload(), tokenizer)
            (codes["merged card"],) = blocks(folder / "merged", str(base), Full())
            expected["merged"] = expected["bert"]
    task = trained(Full(), made_on / "five", LABELS)
    expected["full"] = answers(task.network, tokenizer, LABELS)
    task.export(folder / "full")
    (codes["full card"],) = blocks(folder / "full", "five", Full())
    for kind in ("full", "merged"):
        for way in ("auto", "pipeline"):
            codes[f"{kind} {way}"] = USUAL[way].format(folder=literal(str(folder / kind)))
    for kind in ("distilbert", "t5", "swapped", "swapped_dense"):
        task = trained(Lora(rank=2), made_on / kind, ("bad", "good"))
        expected[f"two_{kind}"] = answers(task.network, tokenizer, ("bad", "good"))
        task.export(folder / f"two_{kind}")
        for way, code in USUAL.items():
            codes[f"two_{kind} {way}"] = code.format(folder=literal(str(folder / f"two_{kind}")))
    return codes


def _run(folder, export):
    """A run's directory with that export."""
    shutil.copytree(export, folder / "run" / "adapter")
    return folder / "run"


@pytest.fixture(scope="module")
def found(tmp_path_factory, tiny_tokenizer):
    """What a stranger's process answers by each code, and what it should."""
    pytest.importorskip("bitsandbytes")
    folder, expected = tmp_path_factory.mktemp("exports"), {}
    made_on = bases(tmp_path_factory.mktemp("bases"), tiny_tokenizer)
    codes = every_code(folder, made_on, tiny_tokenizer, expected)
    environment = os.environ | {"HF_HUB_CACHE": str(made_on / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", STRANGER], input=json.dumps([TEXTS, codes]),
        capture_output=True, text=True, cwd=folder, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), expected


WAYS = ("card", "auto", "peft", "pipeline")
TOLD = [f"{kind} {way}" for kind in (*CONFIGS, "five", "qlora", "dora", "hub") for way in WAYS]
TOLD += ["vera card", "vera peft"]  # PEFT puts it into no model of transformers
WHOLE = [f"{kind} {way}" for kind in ("full", "merged") for way in ("card", "auto", "pipeline")]
BARE = [
    f"two_{kind} {way}"
    for kind in ("distilbert", "t5", "swapped", "swapped_dense")
    for way in ("auto", "peft", "pipeline")
]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*TOLD, *WHOLE, *BARE])
def test_a_stranger_gets_the_logits_of_the_run_under_its_names(case, found):
    by_code, expected = found
    got, wanted = by_code[case], expected[case.split()[0]]
    assert isinstance(got, dict), got
    assert got.pop("training") is False
    names = {label.casefold(): label for label in got}
    if case in BARE and "swapped" not in case:  # these ways know the names of the base alone
        assert list(got) == ["LABEL_0", "LABEL_1"]
        names = {"bad": "LABEL_0", "good": "LABEL_1"}
    exact = {"atol": 2e-2, "rtol": 2e-2} if "qlora" in case else {"atol": 1e-5, "rtol": 1e-4}
    for label, logits in wanted.items():
        torch.testing.assert_close(torch.tensor(got[names[label]]), logits, **exact)
