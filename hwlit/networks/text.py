"""Text classifiers and tokenizers from a hub id, a local folder or the offline MiniLM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.quantization_config import QuantizationConfigMixin

from hwlit.errors import UsageError
from hwlit.networks import small_llama
from hwlit.networks.hub import vetted, why_not
from hwlit.networks.label_names import NO_HEAD, check_label_ids, settle_head
from hwlit.networks.limits import Limits, limits_of
from hwlit.networks.loading import check_size, loading, try_tokenizer
from hwlit.networks.minilm import HUB_ID, minilm_path
from hwlit.networks.no_model import lacks_sentencepiece, refuse_no_model
from hwlit.networks.padding import pad_id, settle_padding
from hwlit.networks.plain_files import read_object
from hwlit.networks.reached import reached
from hwlit.storage import sha256


@dataclass(frozen=True)
class Source:
    """Where a pretrained model comes from.

    Args:
        location: What the loaders take: a folder or a hub id.
        hub_id: The public name that is written into exported files; the location where none is
            known.
    """

    location: str
    hub_id: str


@dataclass(frozen=True)
class Classifier:
    """A classifier as loaded.

    Args:
        network: The network, in train mode, every parameter still as loaded.
        heads: Names of the modules that belong to the task: the classification head and whatever
            else has no pretrained weights (BERT's pooler, where it is fresh).
        fresh: Names of the parameters that have no pretrained weights.
        tokenizer: Its tokenizer; it pads with the token that the network takes for padding.
        limits: What the network can read.
        head: What became of the pretrained head, in one sentence.
        remarks: What a user should know about the model, one sentence each.
        unread: Names of the parameters that are computed with and then passed over, so that
            nothing can be learned in them.
    """

    network: PreTrainedModel
    heads: tuple[str, ...]
    fresh: tuple[str, ...]
    tokenizer: PreTrainedTokenizerBase
    limits: Limits
    head: str
    remarks: tuple[str, ...]
    unread: tuple[str, ...]


def find_pretrained(pretrained: str) -> Source:
    """Resolve a model name: `minilm`, `small-llama`, a local folder or a hub id.

    Raises:
        UsageError: The name is a path that does not hold a model.
    """
    if pretrained == "minilm":
        return Source(str(minilm_path()), HUB_ID)
    if pretrained == small_llama.NAME:
        return Source(str(small_llama.small_llama_path()), small_llama.NAME)
    if not pretrained.strip():
        raise UsageError("--model.pretrained is empty; give minilm, a folder or a hub id")
    folder = Path(pretrained).expanduser()
    if folder.is_file():
        raise UsageError(f"--model.pretrained {pretrained} is a file; give the model's folder")
    if folder.is_dir():
        refuse_no_model(folder, pretrained)
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"model folder {folder} holds no config.json; give the folder that "
                "save_pretrained wrote"
            )
        if not any(folder.glob("*.safetensors")):
            raise UsageError(
                f"model folder {folder} holds no weights (*.safetensors); convert older "
                ".bin weights with save_pretrained first"
            )
        return Source(str(folder.absolute()), str(folder))
    if folder.is_absolute() or pretrained.startswith((".", "~")) or pretrained.count("/") > 1:
        raise UsageError(f"model folder {pretrained} does not exist; give a folder or a hub id")
    return Source(pretrained, pretrained)


def load_tokenizer(pretrained: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model; one that has no padding token gets one of its own tokens.

    Raises:
        UsageError: It cannot be found, has no token that could pad, or its model's config.json
            cannot be read.
    """
    location = find_pretrained(pretrained).location
    folder = vetted(location)
    refuse_no_model(folder, pretrained)
    check_label_ids(read_object(folder / "config.json"), pretrained)
    try:
        with loading(f"the tokenizer {pretrained!r}", _instead(pretrained)):
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                location, trust_remote_code=False, revision=_commit(folder)
            )
            try_tokenizer(tokenizer, folder)
    except UsageError as error:
        if (told := lacks_sentencepiece(folder)) is not None:
            raise UsageError(f"the tokenizer of {pretrained} {told}") from error
        raise
    files = set(tokenizer.vocab_files_names.values())
    if Path(location).is_dir() and not has_vocabulary(tokenizer, folder):
        raise UsageError(
            f"model folder {folder} holds no tokenizer ({', '.join(sorted(files))}); "
            "save one beside the weights with save_pretrained"
        )
    with loading(f"the model {pretrained!r}", _instead(pretrained)):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        settle_padding(tokenizer, pretrained, folder, config, lambda: _made(config))
    return tokenizer


def has_vocabulary(tokenizer: PreTrainedTokenizerBase, folder: Path) -> bool:
    """Return whether a folder holds any file of words for a tokenizer that was made from it.

    Without one some tokenizers are made all the same, and know no word. Those that read bytes or
    characters (ByT5, CANINE, Perceiver) have no such file.
    """
    files = tokenizer.vocab_files_names.values()
    return not files or any((folder / file).is_file() for file in files)


def load_classifier(
    pretrained: str,
    labels: tuple[str, ...],
    dtype: torch.dtype = torch.float32,
    quantization: QuantizationConfigMixin | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Classifier:
    """Load a sequence classifier with a head for the given labels.

    Args:
        pretrained: `minilm`, a local folder or a hub id.
        labels: Class names in id order; they go into the network's config.
        dtype: Precision of the weights, loaded directly.
        quantization: How transformers quantises the weights as it loads them.
        tokenizer: The one that goes with it; None takes the model's own.

    Raises:
        UsageError: The model cannot be found, has no safetensors weights or those of another
            network, is quantised already, needs code of its own, or lacks tokens of its tokenizer.
        IntegrityError: The weights are damaged.
    """
    location, what = find_pretrained(pretrained).location, f"the model {pretrained!r}"
    folder = vetted(location)
    tokenizer = tokenizer or load_tokenizer(pretrained)
    names = _label_names(labels)
    made_by: Any = AutoModelForSequenceClassification
    with loading(what, _instead(pretrained)):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **names)
        told = pad_id(config)
        names |= _one_padding(pretrained, tokenizer, config)
        check_size(lambda: _made(config, dtype), folder, what)
        network, info = made_by.from_pretrained(
            location,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # a head for other labels; it counts as fresh below
            output_loading_info=True,
            revision=_commit(folder),
            **names,
            **({} if quantization is None else {"quantization_config": quantization}),
        )
    _refuse_other_weights(network, info, pretrained)
    _keep_packing(network)
    network.config.problem_type = "single_label_classification"
    network.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    unread = unread_pooler(network)
    fresh = _without_weights(network, info, unread)
    heads = find_heads(network, fresh)
    head, renewed = settle_head(network, read_object(folder / "config.json"), info, labels)
    # Lightning keeps the mode it finds, and from_pretrained leaves the network in eval mode.
    return Classifier(
        network.train(), heads, (*fresh, *renewed), tokenizer, limits_of(network), head,
        _remarks(head, told, tokenizer), unread,
    )  # fmt: skip


def _without_weights(
    network: PreTrainedModel, info: Mapping[str, Any], unread: Sequence[str]
) -> tuple[str, ...]:
    """Return the parameters that no file gives trained weights, but for those that are unread."""
    mismatched = (key[0] for key in info["mismatched_keys"])
    found = {*info["missing_keys"], *mismatched, *untrained_pooler(network)}
    return tuple(sorted(found.difference(unread)))


def _label_names(labels: tuple[str, ...]) -> dict[str, Any]:
    """Return what a config says of the classes."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _one_padding(
    pretrained: str, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig
) -> dict[str, Any]:
    """Give a config the tokenizer's padding token, in place of another or of none.

    Networks that count positions from that token, as RoBERTa does, cannot be made without one.

    Returns:
        What changed.

    Raises:
        UsageError: The network would have no row for a token of the tokenizer.
    """
    rows = getattr(config.get_text_config(), "vocab_size", None)
    Limits(rows, None).check_tokenizer(pretrained, tokenizer)
    own = "pad_token_id" in vars(config)  # of Perceiver it is none, and no argument either
    if pad_id(config) == tokenizer.pad_token_id or not own:
        return {}
    config.pad_token_id = tokenizer.pad_token_id
    return {"pad_token_id": tokenizer.pad_token_id}


def _remarks(head: str, told: int | None, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return what was changed of the pretrained model.

    Args:
        head: What became of its head.
        told: The padding id in its config.
        tokenizer: Its tokenizer.
    """
    found = [] if head == NO_HEAD else [f"head: {head}"]
    if told not in (None, tokenizer.pad_token_id):
        found.append(
            f"padding: the model's config has token {told}, its tokenizer pads with token "
            f"{tokenizer.pad_token_id} ({tokenizer.pad_token}), which both have now"
        )
    return tuple(found)


def _made(config: PreTrainedConfig, dtype: torch.dtype | None = None) -> nn.Module:
    made_by: Any = AutoModelForSequenceClassification
    network: nn.Module = made_by.from_config(config, dtype=dtype)
    return network


def find_heads(network: PreTrainedModel, fresh: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the modules beside the base model, and those inside it that have no weights yet.

    Args:
        network: A sequence classifier of transformers.
        fresh: Names of parameters that were not in the checkpoint.
    """
    heads = [
        name
        for name, child in network.named_children()
        if name != network.base_model_prefix and any(True for _ in child.parameters())
    ]
    for parameter in fresh:
        module = parameter.rpartition(".")[0]
        if not any(module == head or module.startswith(head + ".") for head in heads):
            heads.append(module)
    return tuple(heads)


def untrained_pooler(network: nn.Module) -> tuple[str, ...]:
    """Return the parameters of a pooler that is in the checkpoint but was never trained.

    Encoders that average their tokens (sentence-transformers, MiniLM among them) carry BERT's
    pooler along as it was initialised, with a bias of exactly 0. Frozen, it would stand between
    the pretrained features and the head as a random projection.
    """
    return tuple(
        f"{name}.{parameter}"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and "pooler" in name.split(".")
        if module.bias is not None and not module.bias.any()
        for parameter in ("weight", "bias")
    )


def unread_pooler(network: PreTrainedModel) -> tuple[str, ...]:
    """Return the parameters of a pooler that the classifier does not read, as BigBird's."""
    pooler = tuple(name for name, _ in network.named_parameters() if "pooler" in name.split("."))
    read = set(reached(network, pooler)) if pooler else set()
    return tuple(name for name in pooler if name not in read)


def weights_folder(pretrained: str) -> Path:
    """Return the local folder of a model; for one from the hub, its snapshot in the cache.

    Raises:
        UsageError: The model cannot be found, or its files ask for more than to be read.
    """
    return vetted(find_pretrained(pretrained).location)


def weights_sha256(pretrained: str) -> str:
    """Return one hash over the weight files of a model, in the order of their names."""
    files = sorted(weights_folder(pretrained).glob("*.safetensors"))
    if len(files) == 1:
        return sha256(files[0])
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def revision(pretrained: str) -> str | None:
    """Return the commit of a model from the hub; None for a folder of one's own."""
    return _commit(weights_folder(pretrained))


def _commit(folder: Path) -> str | None:
    return folder.name if folder.parent.name == "snapshots" else None


def _refuse_other_weights(network: PreTrainedModel, info: dict[str, Any], pretrained: str) -> None:
    """Refuse a base model that would be trained from random weights for the most part.

    Raises:
        UsageError: Most of its tensors are missing, or any has another shape than config.json says.
    """
    prefix = f"{network.base_model_prefix}."
    base = [name for name, _ in network.named_parameters() if name.startswith(prefix)]
    mismatched = {key[0] for key in info["mismatched_keys"]}.intersection(base)
    missing = set(info["missing_keys"]).intersection(base)
    odd = mismatched | missing
    if mismatched or 2 * len(missing) > len(base):
        raise UsageError(
            f"the weights of {pretrained!r} do not fit its config.json: {len(odd)} of {len(base)} "
            f"tensors are missing or of another shape, such as {min(odd)}; give a model whose "
            "files belong together"
        )


def _keep_packing(network: nn.Module) -> None:
    """Keep bitsandbytes from packing weights anew for CPUs with AVX512-BF16.

    That kernel rounds further, takes no small layers, and has no gradient.
    """
    for layer in network.modules():
        if "support_avx512bf16_for_cpu" in vars(layer):
            vars(layer)["support_avx512bf16_for_cpu"] = False


def _instead(pretrained: str) -> Callable[[Exception], str]:
    """Return what to give instead of a model that did not load."""
    if Path(pretrained).expanduser().is_dir():
        return lambda error: "give the folder of a text model as save_pretrained wrote it"
    return why_not
