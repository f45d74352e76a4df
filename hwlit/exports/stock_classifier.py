"""Reload an exported text classifier as a stranger would: by the code of its model card.

Run as a script in a fresh interpreter: it must not import hwlit, so that it proves what a stranger
gets. Reads a job (JSON) from standard input, prints the logits as the last line of its output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer

CLASSIFIER = "classifier"  # of a PEFT folder, where a config.json beside the adapter would be read
ADAPTER, QUANTIZATION = "adapter_config.json", "quantization_config.json"
INTEGERS = "quantized.safetensors"

# How an export is loaded: the card quotes this and the check after training runs it.
PEFT = """\
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

folder = {folder}
config = AutoConfig.from_pretrained(folder, subfolder="classifier")  # label names and padding
base = AutoModelForSequenceClassification.from_pretrained(
    {base}, config=config, ignore_mismatched_sizes=True{dtype}
)
model = PeftModel.from_pretrained(base, folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
"""
PEFT_QUANTIZED = """\
import json
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.quantizers.auto import AutoQuantizationConfig

folder = {folder}
config = AutoConfig.from_pretrained(folder, subfolder="classifier")  # label names and padding
with open(folder + "/quantization_config.json") as file:  # the base that it was trained on
    quantization = AutoQuantizationConfig.from_dict(json.load(file))
base = AutoModelForSequenceClassification.from_pretrained(
    {base}, config=config, ignore_mismatched_sizes=True, quantization_config=quantization{dtype}
)
for layer in base.modules():  # on a CPU: another kernel of bitsandbytes takes no small layers
    if "support_avx512bf16_for_cpu" in vars(layer):
        layer.support_avx512bf16_for_cpu = False
model = PeftModel.from_pretrained(base, folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
"""
PLAIN = """\
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = {folder}
model = AutoModelForSequenceClassification.from_pretrained(folder{dtype}).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
"""
# No loader of transformers reads these layers.
ROUNDED = """\
from pathlib import Path
from transformers import AutoTokenizer
from hwlit.adapters.quantized_state import restore
from hwlit.exports.quantized_folder import read_quantized
from hwlit.networks.empty import empty_classifier

folder = Path({folder})
model = restore(empty_classifier(folder), *read_quantized(folder))
tokenizer = AutoTokenizer.from_pretrained(folder)
"""
# The shorter ways into a PEFT folder, after one of the codes for it.
SHORTER = """\
from peft import AutoPeftModelForSequenceClassification
from transformers import pipeline

names = ("num_labels", "id2label", "label2id", "pad_token_id")
told = {name: getattr(config, name) for name in names}
told["ignore_mismatched_sizes"] = True
model = AutoModelForSequenceClassification.from_pretrained(folder, **told).eval()
model = AutoPeftModelForSequenceClassification.from_pretrained(folder, **told).eval()
classify = pipeline("text-classification", folder, tokenizer=folder, model_kwargs=told)
"""


SHORTER_QUANTIZED = SHORTER.replace(
    "True\n", 'True\ntold["quantization_config"] = quantization\n', 1
)
# Of methods whose layers share weights, which PEFT cannot put into a model of transformers.
SHORTER_SHARED = "".join(
    line
    for line in SHORTER.splitlines(keepends=True)
    if not line.startswith(("model = AutoModel", "classify"))
).replace("from transformers import pipeline\n", "")
SHARED = ("FROD", "PVERA", "TINYLORA", "UNILORA", "VBLORA", "VERA")
# How the model is given a text, as in training; after one of the codes that load it.
READ = """\
import torch

inputs = tokenizer({texts}, truncation=True, max_length={max_length}, return_tensors="pt")
with torch.inference_mode():
    shares = model(**inputs).logits.float().softmax(-1)[0]
"""
READ_WINDOWS = """\
import torch

inputs = tokenizer(
    {texts}, truncation=True, max_length={max_length}, stride={stride},
    return_overflowing_tokens=True, padding=True, return_tensors="pt",
)
del inputs["overflow_to_sample_mapping"]
with torch.inference_mode():
    shares = model(**inputs).logits.float().mean(0).softmax(-1)
"""

Text = str | tuple[str, str]  # a text, or the two sentences of a pair
# Windows a text that go through the network together: a long text never takes more memory.
WINDOWS_AT_ONCE = 4


def literal(text: str) -> str:
    """Return a text as Python writes it, in ASCII, and so that it ends no block of Markdown."""
    inner = ascii(text)[1:-1].replace('"', r"\"")
    return '"' + inner.replace("`", r"\x60") + '"'


def recipe(files: Collection[str], folder: str, base: str, dtype: str = "") -> str:
    """Return the code that loads an export as `model` and `tokenizer`.

    Args:
        files: The names of the folder's files, by which its kind is known.
        folder: The exported folder.
        base: Location of the pretrained model, for a folder that holds only an adapter.
        dtype: An argument that names the precision; empty leaves the choice to the loader.
    """
    code = PLAIN
    if INTEGERS in files:
        code = ROUNDED
    elif ADAPTER in files:
        code = PEFT_QUANTIZED if QUANTIZATION in files else PEFT
    more = f", {dtype}" if dtype else ""
    return code.format(folder=literal(folder), base=literal(base), dtype=more)


def reading(max_length: int, pairs: bool, between: str, stride: int | None) -> str:
    """Return the code that gives `model` a text or a pair as it was trained on.

    Args:
        max_length: Where texts are cut, in tokens, or how long a window is.
        pairs: Whether it reads pairs of sentences.
        between: What the second sentence begins with.
        stride: Tokens that windows share; None cuts longer texts.
    """
    texts = '"a text"'
    if pairs:
        begun = f"{literal(between)} + " if between else ""
        texts = f'"a sentence", {begun}"another"'
    code = READ if stride is None else READ_WINDOWS
    return code.format(texts=texts, max_length=max_length, stride=stride)


def load(folder: str, base: str) -> Any:
    """Return the exported classifier in fp32 and eval mode, loaded by the code of its card.

    Args:
        folder: The exported folder.
        base: Location of the pretrained model, for a folder that holds only an adapter.
    """
    names: dict[str, Any] = {}
    argument = "torch_dtype" if transformers.__version__.startswith("4.") else "dtype"
    exec(recipe(os.listdir(folder), folder, base, f'{argument}="float32"'), names)
    return names["model"]


def blank_token(tokenizer: Any) -> int:
    """Return what stands for a text without any token: one that ends texts, where there is one."""
    special = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return next((token for token in special if isinstance(token, int)), 0)


def separator(tokenizer: Any) -> str:
    """Return what the second sentence of a pair begins with, "" where the tokenizer parts the two.

    One that adds no special token for the second sentence would write both as one text. A token
    that pads is not taken: some releases of transformers read a text up to the first of these.
    """
    alone, pair = (tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True))
    if pair > alone:
        return ""
    usable = (tokenizer.sep_token, tokenizer.eos_token)
    return next((token for token in usable if token and token != tokenizer.pad_token), "\n")


def arguments(tokenizer: Any, texts: Sequence[Text]) -> list[list[str]]:
    """Return what a tokenizer is given: the texts, or the first and the second sentences."""
    pairs = [text for text in texts if not isinstance(text, str)]
    if not pairs:
        return [[text for text in texts if isinstance(text, str)]]
    between = separator(tokenizer)
    return [[first for first, _ in pairs], [between + second for _, second in pairs]]


def characters(text: Text) -> int:
    """Return the length of a text, or of both sentences of a pair."""
    return len(text) if isinstance(text, str) else sum(map(len, text))


def encode(tokenizer: Any, texts: Sequence[Text], max_length: int) -> Any:
    """Return texts or pairs as one padded batch, those without any token as `blank_token`.

    An empty text has none where the tokenizer adds no special tokens, and no model reads nothing.
    Of a pair the longer sentence is cut first.
    """
    return _padded(
        tokenizer, tokenizer(*arguments(tokenizer, texts), truncation=True, max_length=max_length)
    )


def encode_windows(
    tokenizer: Any, texts: Sequence[Text], max_length: int, stride: int
) -> tuple[Any, list[int]]:
    """Return the windows of texts as one padded batch, and the number of windows of each text.

    Args:
        tokenizer: A fast tokenizer.
        texts: The texts.
        max_length: Tokens of a window, its special tokens among them.
        stride: Tokens that a window shares with the one before.
    """
    rows = tokenizer(
        *arguments(tokenizer, texts), truncation=True, max_length=max_length, stride=stride,
        return_overflowing_tokens=True,
    )  # fmt: skip
    of = rows.pop("overflow_to_sample_mapping")
    return _padded(tokenizer, rows), [of.count(text) for text in range(len(texts))]


def window_logits(
    forward: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    inputs: dict[str, torch.Tensor],
    counts: list[int],
) -> torch.Tensor:
    """Return the logits of texts, (texts, labels): the mean over the windows of each.

    Args:
        forward: Gives the logits of some windows, (windows, labels).
        inputs: The windows, one text after the other, tensors of shape (windows, tokens).
        counts: Number of windows of each text.
    """
    at_once = WINDOWS_AT_ONCE * len(counts)
    chunks = [
        {name: values[start : start + at_once] for name, values in inputs.items()}
        for start in range(0, sum(counts), at_once)
    ]
    logits = torch.cat([forward(chunk) for chunk in chunks])
    return torch.stack([windows.mean(dim=0) for windows in torch.split(logits, counts)])


def score(
    model: Any, tokenizer: Any, texts: Sequence[Text], max_length: int, stride: int | None = None
) -> torch.Tensor:
    """Return the logits of texts or pairs in fp32, (texts, labels), computed in one batch.

    Args:
        model: The classifier, in eval mode.
        tokenizer: Its tokenizer.
        texts: The texts, or the sentences of each pair.
        max_length: Where texts are cut, in tokens, or how long a window is.
        stride: Tokens that windows share; None cuts longer texts.
    """

    def forward(inputs: Any) -> torch.Tensor:
        found: torch.Tensor = model(**inputs).logits
        return found.float()

    if stride is None:
        inputs = encode(tokenizer, texts, max_length).to(model.device)
        return forward(inputs)
    windows, counts = encode_windows(tokenizer, texts, max_length, stride)
    return window_logits(forward, dict(windows.to(model.device)), counts)


def logits(
    folder: str, base: str, texts: list[Text], max_length: int, stride: int | None = None
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the logits of the texts twice: computed one by one, and in one padded batch."""
    model, tokenizer = load(folder, base), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        alone = [score(model, tokenizer, [text], max_length, stride)[0].tolist() for text in texts]
        batch = score(model, tokenizer, texts, max_length, stride).tolist()
    return alone, batch


def _padded(tokenizer: Any, rows: Any) -> Any:
    instead = {"input_ids": blank_token(tokenizer), "attention_mask": 1, "token_type_ids": 0}
    for name, values in rows.items():
        rows[name] = [row or [instead[name]] for row in values]
    return tokenizer.pad(rows, return_tensors="pt")


if __name__ == "__main__":
    found = logits(**json.load(sys.stdin))
    if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
        sys.exit("hwlit was imported: this check proves nothing")
    print(json.dumps(found))
