"""Model folders, pipelines and adapters of strangers: names of code, sizes, patterns, damage."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from hwlit.networks.pocket import ASSETS
from hwlit.storage import write_with_manifest
from tools.hostile.case import MARK, Hostile, Stock

Prepare = Callable[[Path, Stock], None]
Change = Callable[[Path], None]
BASE, RUN = ("fit", "SMALL", "--model.pretrained", "evil"), ("predict", "evil", "--text", "storm")
DRAWS = (
    "fit",
    "--config",
    "pocket/dreambooth_lora",
    "--trainer.accelerator",
    "cpu",
    "--output",
    "run",
)
PIPELINE = (*DRAWS, "--model.pretrained", "evil", "--model.clip", "pocket-clip")
KERNEL = "kernels-community/flash-attn"
GPTQ = {"quant_method": "gptq", "bits": 4}


class Pickled:
    """Leaves its mark where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {MARK}",))


def cases() -> list[Hostile]:
    """Return the cases."""
    return [*_configs(), *_tokenizers(), *_weights(), *_adapters(), *_pipelines(), *_checkpoints()]


def _model(change: Change) -> Prepare:
    return lambda here, stock: change(stock.copy("model", here / "evil"))


def _run(change: Change) -> Prepare:
    return lambda here, stock: change(stock.copy("finished", here / "evil") / "adapter")


def _set(file: str, **values: Any) -> Change:
    """Return a change of a JSON file's fields; it is made where there is none."""

    def change(folder: Path) -> None:
        path = folder / file
        found = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(found | values))

    return change


def _configs() -> list[Hostile]:
    """Return configs that name code, or sizes that no memory holds."""
    text = {"model_type": "bert", "attn_implementation": KERNEL}
    fields: dict[str, dict[str, Any]] = {
        "a kernel of the hub as attention": {"attn_implementation": KERNEL},
        "its private spelling": {"_attn_implementation": "evil/kernel@main:run"},
        "the field that transformers keeps": {"_attn_implementation_internal": KERNEL},
        "a kernel for one part": {"attn_implementation": {"": "sdpa", "text_config": KERNEL}},
        "a kernel in a nested config": {"text_config": text},
        "a kernel deep in a list": {"per_layer_config": [[{"attn_implementation": KERNEL}]]},
        "a package as attention": {"attn_implementation": "flash_attention_2"},
        "a kernel for experts": {"_experts_implementation": "deepgemm"},
        "a package that quantises": {"quantization_config": GPTQ},
        "one in a nested config": {"vision_config": {"quantization_config": GPTQ}},
        "an older name of it": {"compression_config": {"quant_method": "compressed-tensors"}},
        "kernels switched on": {"use_kernels": True},
        "layers replaced by kernels": {"kernel_config": {"kernel_mapping": {"RMSNorm": KERNEL}}},
        "trust in code": {"trust_remote_code": True},
        "timm by name": {"use_timm_backbone": True, "backbone": "resnet50"},
        "weights of another file": {"transformers_weights": "../../elsewhere.safetensors"},
        "another config": {"configuration_files": ["config.4.0.0.json"]},
        "a billion layers": {"num_hidden_layers": 10**9},
        "a billion labels": {"num_labels": 10**9},
        "a billion words": {"vocab_size": 10**9},
        "a billion positions": {"max_position_embeddings": 10**9},
        "a tokenizer that is none": {"tokenizer_class": "AutoModel"},
        "answers that are plain tuples": {"return_dict": False},
        "texts cut in pieces of seven": {"chunk_size_feed_forward": 7},
        "ten billion kinds of attention": {
            "model_type": "gpt_neo",
            "attention_types": [[["global"], 10**10]],
        },
        "many kinds of attention": {
            "model_type": "gpt_neo",
            "attention_types": [[["global"], 10**3]] * 10**3,
        },
        "a billion inner groups for words": {"model_type": "albert", "inner_group_num": 10**9},
        "ten million groups for words": {"model_type": "albert", "num_hidden_groups": 10**7},
        "ten million networks within layers for words": {
            "model_type": "mobilebert",
            "num_feedforward_networks": 10**7,
        },
    }
    made = ("quantises", "attention", "words", "positions", "labels")  # what only a base is asked
    found = [
        Hostile(
            f"config.json with {name}",
            "code",
            *((BASE,) if name.endswith(made) else (RUN,)),
            (2,),
            "evil",
            (_model if name.endswith(made) else _run)(_set("config.json", **values)),
        )
        for name, values in fields.items()
    ]
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}

    def code(folder: Path) -> None:
        (folder / "mine.py").write_text(f"open({MARK!r}, 'w')")
        _set("config.json", **own)(folder)

    def deep(folder: Path) -> None:
        (folder / "config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)

    def large(folder: Path) -> None:
        _set("config.json", padding="x" * (17 << 20))(folder)

    found += [
        Hostile(
            "config.json with code of its own", "code", BASE, (2,), "no custom code", _model(code)
        ),
        Hostile(
            "config.json nested 100,000 deep", "answer", BASE, (2,), "not a valid", _model(deep)
        ),
        Hostile("config.json of 17 MB", "answer", BASE, (2,), "bytes", _model(large)),
    ]
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        found.append(
            Hostile(f"a pipe as {file}", "answer", BASE, (2,), "evil", _model(_pipe(file)))
        )
    return found


def _pipe(file: str) -> Change:
    def change(folder: Path) -> None:
        (folder / file).unlink()
        os.mkfifo(folder / file)

    return change


def _tokenizers() -> list[Hostile]:
    """Return tokenizers that never end, fill the memory or name code."""

    def part(**parts: Any) -> Prepare:
        return _run(_set("tokenizer.json", **parts))

    def split(pattern: str) -> dict[str, Any]:
        return {
            "type": "Split",
            "pattern": {"Regex": pattern},
            "behavior": "Isolated",
            "invert": False,
        }

    def replace(pattern: str, content: str) -> dict[str, Any]:
        return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}

    nested = {"type": "Sequence", "pretokenizers": [split("\\s+"), split(r"(\p{L}|\w)*#")]}
    grow = {"type": "Sequence", "normalizers": [replace("a", "a" * 60)] * 5}
    bombs = {
        "that goes back for ever": part(pre_tokenizer=split("(a+)+$")),
        "that goes back over words": part(pre_tokenizer=split(r"(\w+\s?)+:")),
        "of six loops in a row": part(pre_tokenizer=split(r"\s*\s*\s*\s*\s*\s*x")),
        "that branches within a loop": part(pre_tokenizer=nested),
        "that is none": part(pre_tokenizer=split("[")),
        "in a normaliser": part(normalizer=replace("(.*)*x", "")),
        "that makes a book of a letter": part(normalizer=replace("a", "b" * 10**6)),
        "that makes one in steps": part(normalizer=grow),
        "before which a book is put": part(normalizer={"type": "Prepend", "prepend": "x" * 10**7}),
    }
    found = [
        Hostile(
            f"tokenizer.json with a pattern {name}", "answer", RUN, (2,), "tokenizer.json", prepare
        )
        for name, prepare in bombs.items()
    ]

    def sparse(folder: Path) -> None:
        os.truncate(folder / "tokenizer.json", 1 << 34)

    words = {"type": "WordPiece", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    words |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 10**9}
    settings = {
        "code of its own": {
            "auto_map": {"AutoTokenizer": ["mine.Slow", None]},
            "tokenizer_class": "Mine",
        },
        "a model as its class": {"tokenizer_class": "AutoModelForCausalLM"},
        "a function as its class": {"tokenizer_class": "pipeline"},
        "other files": {"fast_tokenizer_files": ["tokenizer.4.0.0.json"]},
    }
    return [
        *found,
        Hostile(
            "a tokenizer.json of 16 GiB of holes", "answer", BASE, (2,), "bytes", _model(sparse)
        ),
        Hostile(
            "a WordPiece that reads words of any length",
            "answer",
            RUN,
            (2,),
            "max_input_chars",
            part(model=words),
        ),
        *(
            Hostile(
                f"tokenizer_config.json with {name}",
                "code",
                RUN,
                (2,),
                "",
                _run(_set("tokenizer_config.json", **values)),
            )
            for name, values in settings.items()
        ),
    ]


def _header(header: bytes, size: int | None = None) -> Change:
    """Return a change that writes a safetensors file by hand."""
    length = struct.pack("<Q", len(header) if size is None else size)

    def change(folder: Path) -> None:
        for path in folder.glob("*.safetensors"):
            path.write_bytes(length + header + bytes(64))

    return change


def _tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def _damage() -> dict[str, Change]:
    """Return how a file of weights may be damaged, with what a reader would do."""

    def cut(folder: Path) -> None:
        for path in folder.glob("*.safetensors"):
            os.truncate(path, path.stat().st_size // 2)

    def empty(folder: Path) -> None:
        for path in folder.glob("*.safetensors"):
            path.write_bytes(b"")

    overlap = {"a": _tensor([8], 0, 32), "b": _tensor([8], 16, 48)}
    return {
        "cut off": cut,
        "empty": empty,
        "a header of 2**60 bytes": _header(b"{}", 1 << 60),
        "tensors that overlap": _header(json.dumps(overlap).encode()),
        "a tensor of 2**60 values": _header(json.dumps({"a": _tensor([1 << 60], 0, 64)}).encode()),
        "an unknown type": _header(json.dumps({"a": _tensor([16], 0, 64, "F7")}).encode()),
        "a header that is no JSON": _header(b"{nope"),
        "a header nested 10,000 deep": _header(b'{"a":' * 10_000),
    }


def _weights() -> list[Hostile]:
    """Return weights that are damaged, pickled, or lie elsewhere."""
    found = [
        Hostile(f"model weights: {name}", "answer", BASE, (5,), "damaged", _model(change))
        for name, change in _damage().items()
    ]

    def index(*names: Any) -> Change:
        def change(folder: Path) -> None:
            weights = {f"a{i}": name for i, name in enumerate(names)}
            _set("model.safetensors.index.json", metadata={}, weight_map=weights)(folder)

        return change

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save({"a": Pickled()}, folder / "pytorch_model.bin")

    def linked(folder: Path) -> None:
        """Let a million spare values look like a billion."""
        held = load_file(folder / "model.safetensors")
        spare = {"spare": torch.zeros(10**6, dtype=torch.uint8)}
        save_file(held | spare, folder / "model.safetensors", {"format": "pt"})
        for number in range(1_000):
            (folder / f"m{number}.safetensors").symlink_to("model.safetensors")
        _set("config.json", vocab_size=10**7)(folder)

    elsewhere = index("../../outside/x.safetensors")
    return [
        *found,
        Hostile(
            "weights that links make more of", "answer", BASE, (2,), "asks for", _model(linked)
        ),
        Hostile("weights listed elsewhere", "files", BASE, (5,), "beside it", _model(elsewhere)),
        Hostile(
            "weights listed by a whole path",
            "files",
            BASE,
            (5,),
            "beside it",
            _model(index("/etc/passwd")),
        ),
        Hostile(
            "pickled weights in a list", "code", BASE, (5,), "beside it", _model(index("x.bin"))
        ),
        Hostile("a list of no files", "answer", BASE, (5,), "beside it", _model(index(7))),
        Hostile("pickled model weights", "code", BASE, (2,), "convert older .bin", _model(pickled)),
        Hostile(
            "an adapter beside a model",
            "code",
            BASE,
            (2,),
            "an adapter of PEFT",
            _model(_set("adapter_config.json", base_model_name_or_path="evil/other")),
        ),
    ]


def _adapters() -> list[Hostile]:
    """Return runs whose exported adapter means harm or is damaged."""
    prompt = {
        "peft_type": "PROMPT_TUNING",
        "tokenizer_name_or_path": "evil/repo",
        "num_virtual_tokens": 2,
    }
    fields: dict[str, dict[str, Any]] = {
        "a module to import": {"megatron_config": {}, "megatron_core": "evil"}
        | {"megatron_config": {"a": 1}},
        "a pickle to read": {
            "corda_config": {"cache_file": "/tmp/x.pt"},
            "init_lora_weights": "corda",
        },
        "adapters of others": {"peft_type": "XLORA", "adapters": {"a": "evil/repo"}},
        "a prompt and a tokenizer": prompt | {"tokenizer_kwargs": {"trust_remote_code": True}},
        "layers made a billion times": {"layer_replication": [[0, 10**9]]},
        "a start from data": {"init_lora_weights": "eva"},
        "a start without end": {"init_lora_weights": "pissa_niter_1000000000"},
        "a method that compiles": {"peft_type": "BOFT", "boft_n_butterfly_factor": 1},
        "a method that loads a model": {"peft_type": "SHADOW", "shadow_model": "elsewhere"},
        "an unknown method": {"peft_type": "NOSUCH"},
        "a list for a method": {"peft_type": ["LORA"]},
        "a pattern for its layers": {"target_modules": r"(([a-z0-9_]|\.)+)+X"},
        "a pattern among its layers": {"target_modules": [r"(([a-z0-9_]|\.)+)+X"]},
        "a pattern of layers left out": {"exclude_modules": r"(([a-z0-9_]|\.)+)+X"},
        "a pattern for ranks": {"rank_pattern": {r"(([a-z0-9_]|\.)+)+X": 8}},
        "a pattern for strengths": {"alpha_pattern": {r"(([a-z0-9_]|\.)+)+X": 8}},
        "a pattern of numbered layers": {
            "layers_to_transform": [0],
            "layers_pattern": r"(([a-z0-9_]|\.)+)+X",
        },
        "a pattern for what is saved": {"modules_to_save": [r"(([a-z0-9_]|\.)+)+X"]},
    }
    found = [
        Hostile(
            f"adapter_config.json with {name}",
            "code",
            RUN,
            (2,),
            "adapter_config.json",
            _run(_set("adapter_config.json", **values)),
        )
        for name, values in fields.items()
    ]
    damaged: dict[str, dict[str, Any]] = {
        "a rank of a billion": {"r": 10**9},
        "one in its patterns": {"rank_pattern": {"query": 10**9}},
        "a rank of a billion and a half": {"r": 1.5e9},
        "a table of a billion": {"peft_type": "VBLORA", "num_vectors": 30_000_000},
        "waves without end": {"peft_type": "FOURIERFT", "n_frequency": 10**9},
        "a rank of minus one": {"r": -1},
        "a strength that is no number": {"lora_alpha": "x"},
        "a target that is none": {"target_modules": ["nosuch"]},
    }
    found += [
        Hostile(
            f"adapter_config.json with {name}",
            "answer",
            RUN,
            (5,),
            "",
            _run(_set("adapter_config.json", **values)),
        )
        for name, values in damaged.items()
    ]
    found += [
        Hostile(f"adapter weights: {name}", "answer", RUN, (5,), "", _run(change))
        for name, change in _damage().items()
    ]

    def tensors(change: Callable[[dict[str, Any]], Any]) -> Prepare:
        def write(folder: Path) -> None:
            path = folder / "adapter_model.safetensors"
            held = load_file(path)
            change(held)
            save_file(held, path, metadata={"format": "pt"})

        return _run(write)

    def pickled(folder: Path) -> None:
        (folder / "adapter_model.safetensors").unlink()
        torch.save({"a": Pickled()}, folder / "adapter_model.bin")

    def quantised(**told: Any) -> Prepare:
        return _run(_set("quantization_config.json", **told))

    names: dict[str, Any] = {
        "a class less": {"0": 0},
        "two classes in one row": {"0": 0, "1": 0},
        "a row that is none": {"0": 0, "1": 2},
        "a text for a row": {"0": 0, "1": "1"},
        "a list for its rows": [0, 1],
    }
    found += [
        Hostile(
            f"the classes of an adapter: {name}",
            "answer",
            RUN,
            (5,),
            "does not name the classes",
            _run(_set("classifier/config.json", label2id=value)),
        )
        for name, value in names.items()
    ]

    def nested(folder: Path) -> None:
        (folder / "classifier" / "config.json").write_text('{"label2id":' * 100_000)

    torchao = {"_type": "run_fresh", "_data": {"script": "x"}}
    return [
        *found,
        Hostile(
            "the classes of an adapter: nested 100,000 deep",
            "answer",
            RUN,
            (5,),
            "bring the run's own files back",
            _run(nested),
        ),
        Hostile(
            "adapter weights that are pickled", "code", RUN, (5,), "adapter_model", _run(pickled)
        ),
        Hostile(
            "adapter weights without a head",
            "answer",
            RUN,
            (5,),
            "own files",
            tensors(lambda held: held.pop(max(held))),
        ),
        Hostile(
            "adapter weights without a layer",
            "answer",
            RUN,
            (5,),
            "lacks",
            tensors(lambda held: held.pop(min(held))),
        ),
        Hostile(
            "adapter weights of NaN",
            "answer",
            RUN,
            (5,),
            "not finite",
            tensors(lambda held: [t.fill_(torch.nan) for t in held.values()]),
        ),
        Hostile(
            "adapter weights of another shape",
            "answer",
            RUN,
            (5,),
            "",
            tensors(lambda held: held.update({n: t[..., :1].clone() for n, t in held.items()})),
        ),
        Hostile(
            "an adapter with a kernel in config.json",
            "code",
            RUN,
            (2,),
            "attn_implementation",
            _run(_set("config.json", attn_implementation=KERNEL)),
        ),
        Hostile(
            "an adapter on a base of another package", "code", RUN, (5,), "gptq", quantised(**GPTQ)
        ),
        Hostile(
            "an adapter on a base by any function",
            "code",
            RUN,
            (5,),
            "run_fresh",
            quantised(quant_method="torchao", quant_type={"default": torchao}),
        ),
        *(
            Hostile(
                f"an adapter on a base of {method} with a pattern",
                "answer",
                RUN,
                (5,),
                "hwlit writes no",
                quantised(quant_method=method, **{key: [r"(([a-z0-9_]|\.)+)+X"]}),
            )
            for method, key in (
                ("bitsandbytes", "llm_int8_skip_modules"),
                ("torchao", "modules_to_not_convert"),
            )
        ),
        Hostile(
            "an adapter without a tokenizer",
            "answer",
            RUN,
            (5,),
            "tokenizer",
            _run(lambda f: [p.unlink() for p in f.glob("tokenizer*")] and None),
        ),
    ]


def _pipelines() -> list[Hostile]:
    """Return pipelines and encoders of pictures."""

    def pipeline(change: Change) -> Prepare:
        def prepare(here: Path, stock: Stock) -> None:
            folder = here / "evil"
            for path in (ASSETS / "pocket-sd").rglob("*"):  # weights as links, for they are large
                (folder / path.relative_to(ASSETS / "pocket-sd")).parent.mkdir(
                    parents=True, exist_ok=True
                )
                if path.is_file():
                    copy = folder / path.relative_to(ASSETS / "pocket-sd")
                    if path.suffix == ".safetensors":
                        copy.symlink_to(path)
                    else:
                        copy.write_bytes(path.read_bytes())
            change(folder)

        return prepare

    def clip(change: Change) -> Prepare:
        def prepare(here: Path, stock: Stock) -> None:
            for path in (ASSETS / "pocket-clip").iterdir():
                (here / "evil").mkdir(exist_ok=True)
                (here / "evil" / path.name).write_bytes(path.read_bytes())
            change(here / "evil")

        return prepare

    def code(folder: Path) -> None:
        (folder / "scheduler" / "diffusers.py").write_text(f"open({MARK!r}, 'w')")

    index = "model_index.json"
    changes: dict[str, Change] = {
        "a class of a module of its own": _set(index, _class_name=["evil", "Pipeline"]),
        "a part of a module of its own": _set(index, scheduler=["evil", "DDIMScheduler"]),
        "another part of a package": _set(index, helper=["os", "system"]),
        "a class that is no scheduler": _set(index, scheduler=["diffusers", "DiffusionPipeline"]),
        "a tokenizer that is a model": _set(index, tokenizer=["transformers", "AutoModel"]),
        "a part that is a dict": _set(index, scheduler={"a": "b"}),
        "code beside its scheduler": code,
        "a quantised denoiser": _set(
            "unet/config.json", quantization_config={"quant_method": "quanto"}
        ),
        "a kernel in its text encoder": _set(
            "text_encoder/config.json", attn_implementation=KERNEL
        ),
        "a trillion noise levels": _set(
            "scheduler/scheduler_config.json", num_train_timesteps=10**12
        ),
        "a billion layers": _set("text_encoder/config.json", num_hidden_layers=10**9),
        "a denoiser of a billion channels": _set("unet/config.json", in_channels=10**9),
        "a denoiser of nine channels": _set("unet/config.json", in_channels=9),
        "channels that are a word": _set("unet/config.json", in_channels="4"),
        "features as wide as a word": _set("unet/config.json", cross_attention_dim={"a": 1}),
        "a text encoder of no width": _set("text_encoder/config.json", hidden_size=[]),
        "a billion layers a block": _set("unet/config.json", layers_per_block=10**9),
        "ten million layers a block": _set("unet/config.json", layers_per_block=10**7),
        "ten million in its VAE": _set("vae/config.json", layers_per_block=10**7),
        "a side that is a word": _set("unet/config.json", sample_size="x"),
        "a scale that is a word": _set("vae/config.json", scaling_factor="x"),
        "a scale of NaN": _set("vae/config.json", scaling_factor=float("nan")),
        "channels that are a number": _set("vae/config.json", block_out_channels=7),
        "prompts of ten million tokens": _set(
            "tokenizer/tokenizer_config.json", model_max_length=10**7
        ),
    }
    seeing = {
        "a kernel": _set("config.json", attn_implementation=KERNEL),
        "a processor that is a model": _set(
            "preprocessor_config.json", image_processor_type="AutoModel"
        ),
        "a processor that starts a program": _set(
            "preprocessor_config.json",
            image_processor_type="LayoutLMv2ImageProcessor",
            apply_ocr=True,
        ),
        "a processor that opens files": _set(
            "preprocessor_config.json",
            image_processor_type="OneFormerImageProcessor",
            repo_path="evil/repo",
        ),
        "pictures of 20,000 pixels in a list": _set(
            "preprocessor_config.json", crop_size=[20_000, 20_000]
        ),
        "a mean of too few colours": _set("preprocessor_config.json", image_mean=[0.5]),
        "a way to resample that is none": _set("preprocessor_config.json", resample=99),
        "pictures of 100,000 pixels": _set(
            "preprocessor_config.json", size={"height": 10**5, "width": 10**5}
        ),
    }
    return [
        *(
            Hostile(f"a pipeline with {name}", "code", PIPELINE, (2,), "evil", pipeline(change))
            for name, change in changes.items()
        ),
        *(
            Hostile(
                f"a CLIP with {name}",
                "code",
                (*DRAWS, "--model.clip", "evil"),
                (2,),
                "evil",
                clip(change),
            )
            for name, change in seeing.items()
        ),
    ]


def _checkpoints() -> list[Hostile]:
    """Return checkpoints that are pickled or damaged, with a manifest that fits them."""

    def checkpoint(write: Callable[[Any], Any]) -> Prepare:
        return lambda here, stock: write_with_manifest(
            here / "evil.ckpt", write, {"step": 1, "epoch": 0}
        )

    asked = ("validate", *("SMALL",), "--ckpt_path", "evil.ckpt")
    writes: dict[str, Callable[[Any], Any]] = {
        "that runs a command": lambda file: torch.save({"state_dict": Pickled()}, file),
        "of plain pickle": lambda file: pickle.dump(Pickled(), file),
        "of zeros": lambda file: file.write(bytes(1000)),
        "that is a text": lambda file: file.write(b"hello"),
        "without a state": lambda file: torch.save({}, file),
        "that is a tensor": lambda file: torch.save(torch.zeros(3), file),
    }
    return [
        Hostile(f"a checkpoint {name}", "code", asked, (5,), "", checkpoint(write))
        for name, write in writes.items()
    ]
