"""The model card of an exported adapter: what it is, how to load it, what it scored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from types import MappingProxyType

from huggingface_hub import ModelCardData

from hwlit.exports import stock_pipeline
from hwlit.exports.stock_classifier import (
    ADAPTER,
    INTEGERS,
    QUANTIZATION,
    SHARED,
    SHORTER,
    SHORTER_QUANTIZED,
    SHORTER_SHARED,
    literal,
    reading,
    recipe,
)
from hwlit.paths import is_local
from hwlit.plain_text import code, in_markdown, printable
from hwlit.records import Adapter, Data, Model, Reading, Record
from hwlit.records.decoding import encoded

LOCAL_BASE = "path/to/the/base"  # in a snippet, where the base has no public name
NAMELESS = (
    "The base has no public name: it is a {architecture} whose weights have the sha256 {sha256}."
)
FOLDER = "path/to/this/folder"
# By the design of these loaders, which read no file of the adapter's folder for it.
SHORTER_WAY_SHARED = (
    "`AutoModelForSequenceClassification` and `pipeline` cannot load a folder of this method, "
    "whose layers share weights. `AutoPeftModelForSequenceClassification` can, but takes the "
    "number of classes, their names and the padding from the base; tell it those of this model:"
)
SHORTER_WAYS = (
    "`AutoModelForSequenceClassification`, `AutoPeftModelForSequenceClassification` and `pipeline` "
    "load this folder too, but take the number of classes, their names and the padding from the "
    "base; tell them those of this model:"
)
NEEDS_HWLIT = (
    "It needs hwlit, for no loader of transformers reads these layers; `hwlit export RUN --merged "
    "DIR` writes a folder that they read."
)

# What pocket-sd holds is in fp16, and of one precision a pipeline must be; how `from_pretrained`
# calls that differs by version.
LOAD_IMAGES = """```python
import torch
from diffusers import DiffusionPipeline
{imports}
folder = "."  # this folder
pipeline = DiffusionPipeline.from_pretrained({source})
{lines}pipeline.to("cuda" if torch.cuda.is_available() else "cpu", torch.float32)
picture = pipeline(
    {prompt},
    num_inference_steps={steps},
    guidance_scale={guidance},
    generator=torch.Generator().manual_seed(0),
).images[0]
picture.save("picture.png")
```"""
# What loads the method's own files into the pretrained pipeline.
LOAD_WORD = "pipeline.load_textual_inversion(folder, weight_name={file})\n"
LOAD_WORD_XL = """rows = load_file(folder + "/" + {file})
pipeline.load_textual_inversion(rows["clip_l"], token={word})
second = {{"text_encoder": pipeline.text_encoder_2, "tokenizer": pipeline.tokenizer_2}}
pipeline.load_textual_inversion(rows["clip_g"], token={word}, **second)
"""
LOAD_ATTENTION = "pipeline.unet.load_attn_procs(folder, weight_name={name}, _pipeline=pipeline)\n"
SHIFTS = (
    "{names}: the shifts of the singular values, which stock diffusers does not read; `hwlit "
    "export RUN --lora DIR --rank 16` turns them into a LoRA file."
)
POCKET = "pocket-sd"  # it is on no hub, but comes with hwlit
POCKET_SD = f'files("hwlit") / "assets" / "{POCKET}"'
TEXT_RESULTS = ("test/accuracy", "test/f1_macro", "test/f1_positive", "test/loss")
IMAGE_RESULTS = (
    "test/clip_i", "base/clip_i", "test/clip_t", "base/clip_t", "test/dino", "test/diversity",
    "test/memorising", "test/drift", "test/clip_kid", "base/clip_kid",
)  # fmt: skip


def text_model_card(record: Record, files: Collection[str]) -> str:
    """Return the README.md of an exported text classifier.

    Args:
        record: The run's record; the figures are taken from it. A base whose `hub_id` is None has
            no public name.
        files: The names of the folder's files, by which it is known how to load them.
    """
    model, adapter, data = record.model, record.adapter, record.data
    front = ModelCardData(
        base_model=public_base(model),
        library_name="peft" if ADAPTER in files else "transformers",
        pipeline_tag="text-classification",
        tags=["hwlit", re.sub(r"[^\w.+ -]+", " ", adapter.name.lower()).strip()],
    )
    lines = [
        f"---\n{front.to_yaml()}\n---",
        _title(adapter, model),
        f"Classifies texts as {', '.join(map(in_markdown, model.labels or ()))}. Trained by hwlit "
        f"{in_markdown(record.versions['hwlit'])} on "
        f"{', '.join(map(in_markdown, data.source))}, {record.seeds}.",
        *_nameless(model),
        "## Load",
        *_loading(record, files),
        *_reading(record),
        "## Result",
        _results(record.readings, TEXT_RESULTS),
        *_head(model),
        _settings(adapter),
        f"Intervals are 95 %. Training data: {_count(data, 'train')} rows; test: "
        f"{_count(data, 'test')} rows; always saying the commonest class scores "
        f"{data.majority_class_accuracy:.3f}.",
    ]
    return "\n\n".join(lines) + "\n"


def image_model_card(
    record: Record,
    lora: bool,
    steps: int,
    guidance: float,
    files: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> str:
    """Return the README.md of an exported diffusion model that learned a concept.

    Args:
        record: The run's record; the figures are taken from it. A base whose `hub_id` is None has
            no public name.
        lora: Whether the folder holds LoRA weights rather than a whole pipeline.
        steps: Denoising steps of the test's pictures.
        guidance: Their guidance scale.
        files: The method's own files beside a whole pipeline, each with the names of its tensors.
    """
    model, adapter, data = record.model, record.adapter, record.data
    front = ModelCardData(
        base_model=public_base(model),
        library_name="diffusers",
        pipeline_tag="text-to-image",
        instance_prompt=printable(data.rest["instance_prompt"]),
        tags=["hwlit", "text-to-image", "diffusers", *_tags(record, lora, files)],
    )

    snippet = partial(_snippet, record, steps, guidance)
    clip = record.encoders["clip"]["checkpoint"] if record.encoders else "none"
    prompt = in_markdown(data.rest["instance_prompt"])
    lines = [
        f"---\n{front.to_yaml()}\n---",
        f"{_title(adapter, model)}: {prompt}",
        f'Draws what {_count(data, "train")} pictures showed it, as "{prompt}". '
        f"Trained by hwlit {in_markdown(record.versions['hwlit'])}, {record.seeds}.",
        *_nameless(model),
        "## Draw",
        snippet("", "pipeline.load_lora_weights(folder)\n" if lora else ""),
        *_own_files(files, snippet),
        "## Result",
        _results(record.readings, IMAGE_RESULTS),
        f"Measured by CLIP {in_markdown(clip)}; `base/...` is the model before training. Intervals "
        "are 95 %.",
        _settings(adapter),
    ]
    return "\n\n".join(lines) + "\n"


def public_base(model: Model) -> str | None:
    """Return the id that a base has at the hub: none for pocket-sd, none for a folder.

    A folder may be called like ORG/NAME; in `pretrained` it has its whole path.
    """
    names = [name for name in (model.hub_id, model.pretrained) if name is not None]
    return None if POCKET in names or any(map(is_local, names)) else model.hub_id


def _loading(record: Record, files: Collection[str]) -> Iterator[str]:
    """Yield how a text classifier is loaded."""
    model = record.model
    local = model.hub_id is not None and is_local(str(model.pretrained))
    base = str(model.pretrained) if local else model.hub_id  # where it lies, from any folder
    yield _python(recipe(files, FOLDER, base or LOCAL_BASE))
    if INTEGERS in files:
        yield NEEDS_HWLIT
    elif ADAPTER in files and model.hub_id is not None:
        facts = json.dumps(encoded(record.adapter))
        if any(f'"peft_type": "{method}"' in facts for method in SHARED):
            yield SHORTER_WAY_SHARED
            yield _python(SHORTER_SHARED)
            return
        yield SHORTER_WAYS
        yield _python(SHORTER_QUANTIZED if QUANTIZATION in files else SHORTER)


def _reading(record: Record) -> Iterator[str]:
    """Yield how a text classifier is given texts, so that it answers as in its test."""
    data = record.data
    if data.max_length is None:  # of a damaged record
        return
    pairs = "pair_column" in data.rest
    between, stride = str(data.rest.get("pair_separator", "")), data.rest.get("stride")
    windows = stride if isinstance(stride, int) else None
    yield "## Read"
    what = "pairs of sentences" if pairs else "texts"
    how = f"cut to {data.max_length} tokens"
    if windows is not None:
        how = (
            f"in windows of {data.max_length} tokens that share {windows}, whose logits are "
            "averaged"
        )
    parted = (
        f"; the second sentence begins with {code(ascii(between))}, for the tokenizer puts nothing "
        "between the two"
        if between
        else ""
    )
    yield f"It was trained and tested on {what} {how}{parted}. Give it others in the same way:"
    yield _python(reading(data.max_length, pairs, between, windows))


def _head(model: Model) -> Iterator[str]:
    """Yield what became of the head of the base, where it had one."""
    remarks = model.rest.get("remarks")
    if isinstance(remarks, list) and remarks:
        yield f"Of the base: {in_markdown('; '.join(map(str, remarks)))}."


def _python(source: str) -> str:
    return f"```python\n{source}```"


def _title(adapter: Adapter, model: Model) -> str:
    on = f" on {in_markdown(model.hub_id)}" if model.hub_id else ""
    return f"# {in_markdown(adapter.name)}{on}"


def _settings(adapter: Adapter) -> str:
    facts = encoded(adapter)
    settings = {k: v for k, v in facts.items() if k not in ("class", "name", "sites", "heads")}
    return f"Settings: {code(json.dumps(settings))}"


def _count(data: Data, part: str) -> str:
    return in_markdown(str(data.rest["rows"][part]))


def _nameless(model: Model) -> Iterator[str]:
    """Yield what a base is that has no public name."""
    if model.hub_id is None:
        architecture = in_markdown(str(model.rest["architecture"]))
        yield NAMELESS.format(architecture=architecture, sha256=code(str(model.sha256)))


def _snippet(record: Record, steps: int, guidance: float, imports: str, lines: str) -> str:
    """Return the code that draws: of the folder's pipeline, or of the base after further lines."""
    model, prompt = record.model, record.data.rest["instance_prompt"]
    folder = model.pretrained if model.pretrained and is_local(model.pretrained) else None
    base = folder or model.hub_id or LOCAL_BASE
    pocket = bool(lines) and base == POCKET
    named = f"str({POCKET_SD})" if pocket else literal(base)
    if variant := record.model.rest.get("variant"):
        named += f", variant={literal(str(variant))}"
    return LOAD_IMAGES.format(
        imports=imports + ("from importlib.resources import files\n" if pocket else ""),
        source=named if lines else "folder",
        lines=lines,
        prompt=literal(prompt),
        steps=steps,
        guidance=guidance,
    )


def _tags(record: Record, lora: bool, files: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield the tags by which the hub finds what diffusers' own scripts train."""
    if lora:
        yield "lora"
    if any(name.endswith(".bin") for name in files):
        yield "custom-diffusion"
    elif any(not name.startswith(stock_pipeline.SHIFTS) for name in files):
        yield "textual_inversion"
    elif record.data.rest.get("class_images"):  # without them the class is not preserved
        yield "dreambooth"


def _own_files(
    files: Mapping[str, Collection[str]], snippet: Callable[[str, str], str]
) -> Iterator[str]:
    """Yield what the card says of the method's own files: how each is loaded."""
    shifts = [name for name in files if name.startswith(stock_pipeline.SHIFTS)]
    weights = [name for name in files if name.endswith(".bin")]
    words = [name for name in files if name not in (*shifts, *weights, stock_pipeline.EMBEDS)]
    if not files:
        return
    yield "## The method's own files"
    if shifts:
        yield SHIFTS.format(names=", ".join(map(code, shifts)))
        return
    xl = any("clip_g" in names for names in files.values())
    load = LOAD_WORD_XL if xl else LOAD_WORD
    quoted = [(literal(stock_pipeline.word_of(name)), literal(name)) for name in words]
    lines = "".join(load.format(word=word, file=file) for word, file in quoted)
    lines += "".join(LOAD_ATTENTION.format(name=literal(name)) for name in weights)
    yield "Small files for the pretrained pipeline, instead of this one:"
    yield snippet("from safetensors.torch import load_file\n" if xl else "", lines)
    if stock_pipeline.EMBEDS in files:
        yield f"`{stock_pipeline.EMBEDS}` is {code(words[0])} by the usual name."


def _results(readings: Mapping[str, Reading], names: tuple[str, ...]) -> str:
    rows = ["| measure | value | interval |", "|---|---|---|"]
    for name in names:
        if name in readings:
            reading = readings[name]
            known = reading.low is not None and reading.high is not None
            interval = f"{reading.low:.3f} - {reading.high:.3f}" if known else ""
            rows.append(f"| {name} | {reading.value:.4f} | {interval} |")
    return "\n".join(rows)
