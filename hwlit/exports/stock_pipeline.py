"""Draw from an exported diffusion model with nothing but diffusers, as a user would.

Run as a script in a fresh interpreter: it must not import hwlit, so that it proves what a stranger
gets. Reads a job (JSON) from standard input, writes a PNG per picture, and prints from what and by
which versions they were drawn as the last line of its output.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import diffusers
import torch
from safetensors.torch import load_file

PIPELINE = "model_index.json"
LORA = "pytorch_lora_weights.safetensors"
EMBEDS = "learned_embeds.safetensors"  # the name that `load_textual_inversion(folder)` looks for
QUANTIZED = "quantized_layers.json"  # which layers of the base LoRA was trained on, and how
SHIFTS = "spectral_shifts"  # begins the names of SVDiff's files
UNREADABLE = (SHIFTS, "learned.")  # diffusers has no loader for these


def ways(folder: Path) -> list[list[str]]:
    """Return for each way to draw from a folder, or a LoRA file, what is loaded together.

    A whole pipeline comes first; then, on the base, the files of new words with the weights of the
    attention, once by each word's own file and once by the usual name where there is one.
    """
    if folder.is_file():
        return [[folder.name]]
    if not (folder / PIPELINE).is_file():
        return [[LORA]]
    found, names = [[PIPELINE]], sorted(path.name for path in folder.iterdir() if path.is_file())
    if any(name.startswith(SHIFTS) for name in names):
        return found  # what other files hold is not all that was learned
    weights = [name for name in names if name.endswith(".bin")]
    words = _words(names)
    if words or weights:
        found.append(words + weights)
    if EMBEDS in names:
        found.append([EMBEDS, *weights])
    return found


def load(folder: Path, files: list[str], base: str, dtype: str, device: str) -> Any:
    """Return the exported pipeline, loaded in one of its ways.

    Args:
        folder: The exported folder, or a LoRA file.
        files: What to load of it.
        base: Location of the pretrained pipeline, for files that are not a whole one.
        dtype: Precision that its weights are loaded in, as torch calls it.
        device: Device of torch.

    Raises:
        RuntimeError: They cannot be loaded; names them.
    """
    try:
        source = str(folder) if PIPELINE in files else base
        index = diffusers.DiffusionPipeline.load_config(source)
        pipeline = _pretrained(
            source,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            **({"safety_checker": None} if "safety_checker" in index else {}),
        )
        if LORA in files and (folder / QUANTIZED).is_file():
            quantise(pipeline.to(device), json.loads((folder / QUANTIZED).read_text()))
        for name in files:
            _add(pipeline, folder, name)
    except Exception as error:  # of any library below
        told = " ".join(str(error).split())
        raise RuntimeError(f"{' + '.join(files)}: {type(error).__name__}: {told}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _pretrained(source: str, **settings: Any) -> Any:
    """Return a pipeline from its plain weights, or from the variant that it has in their place."""
    from_pretrained: Any = diffusers.DiffusionPipeline.from_pretrained  # it has no types
    try:
        return from_pretrained(source, **settings)
    except OSError as error:
        for variant in ("fp16", "bf16", "fp32"):
            with contextlib.suppress(OSError, ValueError):
                return from_pretrained(source, variant=variant, **settings)
        raise error


def quantise(pipeline: Any, told: dict[str, Any]) -> None:
    """Quantise linear layers of a pipeline in place; diffusers' own way wants a GPU.

    Args:
        pipeline: The pipeline, in full precision on its device.
        told: `layers`, their names from the part on, and the `quantization_config` of transformers
            for them; where that is null they compute in bf16.
    """
    settings = told["quantization_config"] or {"quant_method": "bf16"}
    make = {"bitsandbytes": _by_bitsandbytes, "torchao": _by_torchao, "bf16": _by_half}
    for name in told["layers"]:
        part, _, inner = name.partition(".")
        network = pipeline.components[part]
        linear = network.get_submodule(inner)
        network.set_submodule(inner, make[settings["quant_method"]](linear, settings))


def _by_bitsandbytes(linear: Any, settings: dict[str, Any]) -> Any:
    import bitsandbytes as bnb

    shape = linear.in_features, linear.out_features, linear.bias is not None
    if settings.get("load_in_8bit"):
        threshold = settings["llm_int8_threshold"]
        layer = bnb.nn.Linear8bitLt(*shape, has_fp16_weights=False, threshold=threshold)
    else:
        layer = bnb.nn.Linear4bit(
            *shape,
            compute_dtype=linear.weight.dtype,
            compress_statistics=settings["bnb_4bit_use_double_quant"],
            quant_type=settings["bnb_4bit_quant_type"],
        )
        layer.support_avx512bf16_for_cpu = False  # it rounds further, and takes no small layers
    layer.load_state_dict({name: tensor.cpu() for name, tensor in linear.state_dict().items()})
    return layer.to(linear.weight.device)


def _by_torchao(linear: Any, settings: dict[str, Any]) -> Any:
    from torchao.core.config import config_from_dict
    from torchao.quantization import quantize_

    quantize_(torch.nn.Sequential(linear), config_from_dict(settings["quant_type"]["default"]))
    return linear


def _by_half(linear: Any, settings: dict[str, Any]) -> Any:
    dtype = linear.weight.dtype
    linear.register_forward_pre_hook(lambda layer, given: (given[0].to(layer.weight.dtype),))
    linear.register_forward_hook(lambda layer, given, found: found.to(dtype))
    return linear.to(torch.bfloat16)


def _add(pipeline: Any, folder: Path, name: str) -> None:
    if folder.is_file():
        pipeline.load_lora_weights(str(folder.parent), weight_name=name)
    elif name == LORA:
        pipeline.load_lora_weights(str(folder))
    elif name.endswith(".bin"):
        # Without `_pipeline` diffusers reads the file and installs nothing.
        pipeline.unet.load_attn_procs(str(folder), weight_name=name, _pipeline=pipeline)
    elif name != PIPELINE:
        _add_word(pipeline, folder / name)


def _add_word(pipeline: Any, path: Path) -> None:
    rows = load_file(path)
    if "clip_g" not in rows:
        pipeline.load_textual_inversion(str(path))
        return
    (word,) = (
        _words([f.name for f in path.parent.iterdir()]) if path.name == EMBEDS else [path.name]
    )
    for row, ending in (("clip_l", ""), ("clip_g", "_2")):
        pipeline.load_textual_inversion(
            rows[row],
            token=word_of(word),
            text_encoder=pipeline.components[f"text_encoder{ending}"],
            tokenizer=pipeline.components[f"tokenizer{ending}"],
        )


def word_of(name: str) -> str:
    """Return the new word that a file holds: `%3Cnew1%3E.safetensors` holds `<new1>`."""
    return unquote(name.removesuffix(".safetensors"))


def _words(names: list[str]) -> list[str]:
    """Return the files of new words among the names of files, each called as its word."""
    return [
        name
        for name in names
        if name.endswith(".safetensors") and name != EMBEDS and not name.startswith(UNREADABLE)
    ]


def draw(
    folder: str,
    base: str,
    dtype: str,
    device: str,
    out: str,
    prompts: list[str],
    seeds: list[int],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Write the pictures of the prompts as PNG, `<way>-<prompt>.png`, both numbers from 0.

    Args:
        folder: The exported folder, or a LoRA file.
        base: Location of the pretrained pipeline.
        dtype: Precision.
        device: Device of torch.
        out: Where to write.
        prompts: What to draw, one at a time.
        seeds: The seed of each.
        settings: What the pipeline is called with beside these, such as `num_inference_steps`.

    Returns:
        `ways`, as the function of that name gives them, and `versions`.
    """
    found = ways(Path(folder))
    for way, files in enumerate(found):
        pipeline = load(Path(folder), files, base, dtype, device)
        for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            picture = _picture(pipeline, prompt, seed, settings)
            picture.save(Path(out) / f"{way}-{index}.png")
        del pipeline
        gc.collect()  # its modules refer to one another, and the next needs the room
    names = ("diffusers", "transformers", "peft", "torch")
    return {
        "ways": found,
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


@torch.no_grad()
def _picture(pipeline: Any, prompt: str, seed: int, settings: dict[str, Any]) -> Any:
    """Return a picture; a decoder that overflows in half precision decodes in fp32."""
    latents: list[torch.Tensor] = []

    def keep(_: Any, step: int, time: Any, state: dict[str, Any]) -> dict[str, Any]:
        latents[:] = [state["latents"]]
        return state

    levels = pipeline(
        prompt,
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
        callback_on_step_end=keep,
        **settings,
    ).images
    vae, processor = pipeline.vae, pipeline.image_processor
    if not bool(torch.isfinite(levels).all()):
        wide = copy.deepcopy(vae).to(torch.float32)
        found = wide.decode(latents[0].float() / vae.config.scaling_factor).sample
        levels = (found / 2 + 0.5).clamp(0, 1)
    return processor.numpy_to_pil(processor.pt_to_numpy(levels))[0]


if __name__ == "__main__":
    found = draw(**json.load(sys.stdin))
    if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
        sys.exit("hwlit was imported: this check proves nothing")
    print(json.dumps(found))
