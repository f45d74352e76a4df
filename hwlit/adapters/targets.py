"""Which layers a method changes where its config names none, or says `all-linear`.

Rules, the first that finds a layer: PEFT's table for the model type; by shape, the projections
inside attention blocks; every linear layer of the base model.

An attention block is a module whose class says so. Its projections bear q, k and v in their names
(`q_proj`, `v_lin`, `query`, `Wqkv`, `kv_b_proj`) in all the sequence classifiers of transformers
but for a few that fuse them under another name (`c_attn`): those are wider than their input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft.utils.constants import (
    INCLUDE_LINEAR_LAYERS_SHORTHAND as ALL_LINEAR,
)
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as LORA_TABLE,
)
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from hwlit.adapters.base import NoSiteError, match, plain_modules, some_names
from hwlit.errors import UsageError

# PEFT has nothing for DistilBERT; these are the names of its query and value projections.
TABLE = {"distilbert": ["q_lin", "v_lin"], **LORA_TABLE}
ROLES = {"query": "q", "key": "k", "value": "v"}
BY_TABLE = "PEFT's table for"
ONLY_ROLES = re.compile("w?([qkv]+)")  # a part of a name, such as `q`, `qkv` or `wq`


@dataclass(frozen=True)
class Wanted:
    """What a method takes where nobody names its targets.

    Args:
        table: PEFT's endings of module names for the method, by model type.
        roles: Which projections of attention it takes, of `q`, `k` and `v`.
        down: Whether it takes the second layers of feed-forward blocks, too.
        narrowest: Smallest side of a layer that it takes among all linear ones.
    """

    table: Mapping[str, Any]
    roles: str = "qv"
    down: bool = False
    narrowest: int = 1


@dataclass(frozen=True)
class Targets:
    """The layers that a method changes.

    Args:
        sites: Their names.
        rule: How they were found; empty where the config names them.
        left_out: What lies beside them and is not changed, for people; an index is a `*`.
    """

    sites: tuple[str, ...]
    rule: str = ""
    left_out: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what the record says of them, plain data."""
        found = {"targets_rule": self.rule, "targets_left_out": list(self.left_out)}
        return {name: value for name, value in found.items() if value}

    @property
    def told(self) -> str:
        """How they were found, in one sentence; empty where the config or PEFT's table says it."""
        if not self.rule or (self.rule.startswith(BY_TABLE) and not self.left_out):
            return ""
        kinds = some_names(self.sites)
        left = f"; not changed: {', '.join(self.left_out[:6])}" if self.left_out else ""
        return f"{len(self.sites)} layers are changed ({self.rule}): {kinds}{left}"


def given_targets(
    network: nn.Module,
    given: str | Sequence[str],
    names: tuple[str, ...],
    heads: tuple[str, ...],
    narrowest: int = 1,
) -> Targets:
    """Return the layers that a config names.

    Args:
        network: The network, wrapped or not.
        given: Globs over module names, or one; `all-linear` stands for every linear layer.
        names: The names to choose from.
        heads: Names of the modules that belong to the task.
        narrowest: Smallest side of a layer that `all-linear` takes.

    Raises:
        NoSiteError: One of them matches nothing.
        UsageError: They are a list whose globs lack their quotes.
    """
    if isinstance(given, str) and given.startswith("["):
        raise UsageError(f'the targets {given} are no list; quote each one: \'["*.q", "*.v"]\'')
    patterns = (given,) if isinstance(given, str) else tuple(given)
    globs = tuple(each for each in patterns if each.lower() != ALL_LINEAR)
    matched = match(globs, names) if globs else ()
    if len(globs) == len(patterns):
        return Targets(matched)
    linear = _all_linear(network, names, heads, narrowest)
    sites = {*matched, *linear.sites}
    return Targets(tuple(name for name in names if name in sites), linear.rule, linear.left_out)


def usual_targets(
    network: nn.Module, wanted: Wanted, names: tuple[str, ...], heads: tuple[str, ...]
) -> Targets:
    """Return the layers that a method takes by itself.

    Args:
        network: The network, wrapped or not.
        wanted: What the method takes.
        names: The names to choose from.
        heads: Names of the modules that belong to the task.

    Raises:
        NoSiteError: It is no network of transformers, or has no layer of these kinds.
    """
    if not isinstance(network, PreTrainedModel):
        raise NoSiteError(
            f"no usual targets are known for {type(network).__name__}; give "
            f"--model.adapter.targets, such as {some_names(names)}"
        )
    kind = network.config.model_type
    endings = wanted.table.get(kind) or TABLE.get(kind)
    if isinstance(endings, list):  # a string is an expression for models with pictures
        base = network.base_model_prefix + "."
        ends = tuple("." + ending for ending in endings)
        if found := tuple(n for n in names if n.startswith(base) and n.endswith(ends)):
            missing = (e for e in ends if not any(n.endswith(e) for n in found))
            return Targets(found, f"{BY_TABLE} {kind}", tuple("*" + each for each in missing))
    inside = _attention(network, names, heads, wanted.roles)
    down = down_projections(network, names, heads) if wanted.down else ()
    if found := tuple(name for name in names if name in {*inside, *down}):
        what = "attention projections" if inside else ""
        also = "second feed-forward layers" if down else ""
        return Targets(found, "by shape: " + " and ".join(filter(None, (what, also))))
    return _all_linear(network, names, heads, wanted.narrowest)


def base_modules(network: nn.Module, heads: tuple[str, ...]) -> Iterator[tuple[str, nn.Module]]:
    """Yield what reads the texts: the modules of the base model, heads aside.

    A network that is not of transformers counts whole. Towers that read pictures or sounds are
    left out, for no text reaches them.
    """
    outside = tuple(head + "." for head in heads)
    within = ""
    if isinstance(network, PreTrainedModel):
        within = network.base_model_prefix + "."
        outside += tuple(
            f"{name}."
            for name, module in plain_modules(network)
            if isinstance(module, PreTrainedModel)
            and module.main_input_name != network.main_input_name
        )
    for name, module in plain_modules(network):
        if name.startswith(within) and not f"{name}.".startswith(outside):
            yield name, module


def down_projections(
    network: PreTrainedModel, names: tuple[str, ...], heads: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the second layers of feed-forward blocks: they narrow to the hidden size."""
    hidden = getattr(network.config.get_text_config(), "hidden_size", None)  # Perceiver has none
    attention = _attention_blocks(network, heads)
    return tuple(
        name
        for name, layer in _linear(network, names, heads)
        if not name.startswith(attention) and _sides(layer)[0] > _sides(layer)[1] == hidden
        if any(part.isdecimal() for part in name.split("."))  # in a layer of the stack
    )


def _attention(
    network: nn.Module, names: tuple[str, ...], heads: tuple[str, ...], roles: str
) -> tuple[str, ...]:
    """Return the layers in attention blocks that compute any of these roles."""
    blocks = _attention_blocks(network, heads)
    inside = [(n, layer) for n, layer in _linear(network, names, heads) if n.startswith(blocks)]
    found = tuple(name for name, _ in inside if set(_roles(name)) & set(roles))
    if found or any(_roles(name) for name, _ in inside):
        return found
    return tuple(name for name, layer in inside if _sides(layer)[1] > _sides(layer)[0])


def _attention_blocks(network: nn.Module, heads: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        f"{name}."
        for name, module in base_modules(network, heads)
        if re.search("atten|attn", type(module).__name__, re.IGNORECASE)
    )


def _roles(name: str) -> str:
    """Return which of q, k and v a layer computes, by its name: `qkv` for `self.Wqkv`."""
    parts = name.rpartition(".")[2].lower().split("_")
    found = (ROLES.get(part) or ONLY_ROLES.fullmatch(part) for part in parts)
    return "".join(each if isinstance(each, str) else each[1] for each in found if each)


def _all_linear(
    network: nn.Module, names: tuple[str, ...], heads: tuple[str, ...], narrowest: int
) -> Targets:
    """Return every linear layer but those of heads.

    Raises:
        NoSiteError: There is none.
    """
    linear = list(_linear(network, names, heads))
    wide = tuple(name for name, layer in linear if min(_sides(layer)) >= narrowest)
    if not wide:
        what = "linear layer" if narrowest == 1 else f"linear layer at least {narrowest} wide"
        inside = {name for name, _ in base_modules(network, heads)}
        others = [name for name in names if name in inside]
        instead = f"give --model.adapter.targets, such as {some_names(others)}"
        raise NoSiteError(
            f"{type(network).__name__} has no {what} outside its heads; "
            + (instead if others else "this method takes no layer of it, give another adapter")
        )
    narrow = (f"{name} (narrower than {narrowest})" for name, _ in linear if name not in wide)
    left = dict.fromkeys((*map(_starred, narrow), *matrices(network, heads)[1]))
    return Targets(wide, "all linear layers", tuple(left))


def _linear(
    network: nn.Module, names: tuple[str, ...], heads: tuple[str, ...]
) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of the base model that multiply by one matrix, of those named."""
    chosen = set(names)
    for name, module in base_modules(network, heads):
        if name in chosen and _is_linear(module):
            yield name, module


def _is_linear(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv1d):  # SqueezeBERT's linear layers
        return module.kernel_size == (1,)
    return isinstance(module, nn.Linear | Conv1D)


def _sides(layer: nn.Module) -> tuple[int, int]:
    """Return how wide the input and the output of a linear layer are."""
    if isinstance(layer, nn.Linear):  # whose weight has another shape where it is quantised
        return layer.in_features, layer.out_features
    if isinstance(layer, nn.Conv1d):
        return layer.in_channels, layer.out_channels
    inputs, outputs = layer.get_parameter("weight").shape
    return inputs, outputs


def matrices(network: nn.Module, heads: tuple[str, ...]) -> tuple[float, tuple[str, ...]]:
    """Return the matrices of the base model that lie in no linear layer, such as fused experts.

    Tables of vectors, convolutions and biases with more than one axis do not count.

    Returns:
        Their share of the base's parameters; their names, an index as a `*`.
    """
    found: dict[str, int] = {}
    total = 0
    for name, module in base_modules(network, heads):
        for own, parameter in module.named_parameters(recurse=False):
            total += parameter.numel()
            if parameter.ndim < 2 or min(parameter.shape) == 1 or own.endswith("bias"):
                continue
            if not _is_linear(module) and not isinstance(module, nn.Embedding | nn.Conv1d):
                key = _starred(f"{name}.{own}")
                found[key] = found.get(key, 0) + parameter.numel()
    return sum(found.values()) / max(total, 1), tuple(found)


def _starred(name: str) -> str:
    return re.sub(r"\.\d+(?=\.)", ".*", name)
