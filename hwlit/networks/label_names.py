"""Which row of a pretrained head stands for which class of the data, told by the classes' names.

A head keeps its rows only where their meaning is known. By names that agree they are put in the
data's order; a head for other classes, or of another task, is made anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedModel

from hwlit.errors import UsageError
from hwlit.networks.loading import loading

SHOWN, LONGEST_NAME = 6, 40  # classes that a sentence names, and their characters
OTHER_PROBLEMS = ("regression", "multi_label_classification")
NO_HEAD = "new: the pretrained model has none"
RENAME = "to keep it, name the data's classes as the model does by --data.label_names"


@dataclass(frozen=True)
class HeadPlan:
    """What is to become of a pretrained head.

    Args:
        order: For each class of the data the row of the head; None makes the head anew.
        told: One sentence for the record and the screen.
    """

    order: tuple[int, ...] | None
    told: str


def check_label_ids(config: Mapping[str, Any], pretrained: str) -> None:
    """Refuse a config.json whose classes no loader of transformers reads.

    Args:
        config: The config.json as plain data.
        pretrained: Name of the model.

    Raises:
        UsageError: Its `id2label` is no object whose keys are numbers.
    """
    found = config.get("id2label")
    if found is None or (isinstance(found, dict) and None not in map(_number, found)):
        return
    raise UsageError(
        f"the config.json of {pretrained} has the id2label {str(found)[:80]}, and that has to give "
        'each number of a class its name, as in {"0": "no", "1": "yes"}; correct it in a copy'
    )


def plan_head(config: Mapping[str, Any], labels: Sequence[str]) -> HeadPlan:
    """Decide by the pretrained model's config.json what its head is to the classes of the data.

    Args:
        config: The config.json as plain data.
        labels: Class names of the data in id order, as many as the head has rows.
    """
    kinds = [str(kind) for kind in _listed(config.get("architectures"))]
    if kinds and not any("SequenceClassification" in kind for kind in kinds):
        return HeadPlan(None, f"made anew: the model's is that of a {kinds[0]}")
    if (problem := config.get("problem_type")) in OTHER_PROBLEMS:
        return HeadPlan(None, f"made anew: the model's was trained for {problem}, not for classes")
    names = head_names(config, len(labels))
    if names is None:
        return HeadPlan(
            None, "made anew: the model's config.json contradicts itself about its classes"
        )
    numbered = _are_numbers(names)
    order = match_names(names, labels)
    if order is None and numbered:
        order = match_names([str(row) for row in range(len(labels))], labels)
    if order is None and not numbered:
        return HeadPlan(
            None,
            f"made anew: the model's is for the classes {shown(names)}, the data's are "
            f"{shown(labels)}; {RENAME}",
        )
    if order is None:
        return HeadPlan(
            tuple(range(len(labels))),
            "kept in the order of its rows, which is a guess: the model only numbers its classes, "
            f"and {names[0]} is taken for {shown(labels[:1])}; where that is wrong, give the "
            "classes in the model's order by --data.label_names",
        )
    if order == tuple(range(len(labels))):
        return HeadPlan(order, f"kept: the model has the classes {shown(names)} in the same order")
    return HeadPlan(
        order,
        f"kept, its rows put in the data's order by name: {shown(names)} in the model, "
        f"{shown(labels)} here",
    )


def head_names(config: Mapping[str, Any], rows: int) -> list[str] | None:
    """Return the names of a head's rows; LABEL_0 and so on where config.json has none.

    Args:
        config: The config.json as plain data.
        rows: Rows of the head.

    Returns:
        None where it names another number of classes, one twice, or its two lists disagree.
    """
    ids = {str(name): _number(row) for name, row in _items(config.get("label2id"))}
    by_id = {_number(row): str(name) for row, name in _items(config.get("id2label"))}
    by_label = {row: name for name, row in ids.items()}
    if by_id or by_label:
        names = _in_order(by_id or by_label, rows)
    else:
        names = [f"LABEL_{row}" for row in range(rows)]
    if names is None or any(ids.get(name, row) != row for row, name in enumerate(names)):
        return None
    other = _in_order(by_label, rows)
    return other if _are_numbers(names) and other is not None else names


def match_names(names: Sequence[str], labels: Sequence[str]) -> tuple[int, ...] | None:
    """Return for each label the place of its name; None where they do not match one to one.

    Names match exactly, or else by their letters: upper or lower case, white space, underscores and
    hyphens within words make no difference.
    """
    for key in (str, levelled):
        places = {key(name): place for place, name in enumerate(names)}
        wanted = [key(label) for label in labels]
        if len(places) == len(names) == len(set(wanted)) and places.keys() == set(wanted):
            return tuple(places[label] for label in wanted)
    return None


def levelled(name: str) -> str:
    """Return a name without what people write in several ways."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_]+|\b-\b", " ", plain).strip()


def shown(names: Sequence[str]) -> str:
    """Return names as a sentence has them, the first few of many."""
    more = len(names) - SHOWN
    first = ", ".join(name[:LONGEST_NAME] for name in names[:SHOWN])
    return first + (f" and {more} more" if more > 0 else "")


def settle_head(
    network: PreTrainedModel,
    config: Mapping[str, Any],
    info: Mapping[str, Any],
    labels: Sequence[str],
) -> tuple[str, tuple[str, ...]]:
    """Put the rows of a loaded head in the order of the data's classes, or make them anew.

    Args:
        network: The classifier as loaded, its config.json already that of the data.
        config: The config.json of the pretrained model, as plain data.
        info: What the loader said: missing and mismatched keys.
        labels: Class names of the data in id order.

    Returns:
        A sentence on what was done, and the names of the parameters that were made anew here.
    """
    name = output_layer(network, len(labels))
    if name is None:
        return "used as it is: no layer of it has a row for each class", ()
    weight = f"{name}.weight"
    if weight in info["missing_keys"]:
        return NO_HEAD, ()
    for key, held, _ in info["mismatched_keys"]:
        if key == weight:
            return f"made anew: the model's has {held[0]} rows, the data {len(labels)} classes", ()
    plan = plan_head(config, labels)
    if plan.order is None:
        return plan.told, renew(network, name)
    reorder([network.get_parameter(tensor) for tensor in output_tensors(network)], plan.order)
    return plan.told, ()


def own_labels(folder: Path) -> tuple[str, ...]:
    """Return the class names of a pretrained model as stock loaders take them from its config.

    Raises:
        UsageError: Its config cannot be read.
    """
    with loading(f"the config of {folder}", lambda error: "fetch it again"):
        names = AutoConfig.from_pretrained(folder, trust_remote_code=False).id2label or {}
    return tuple(names[index] for index in sorted(names))


def output_layer(network: PreTrainedModel, classes: int) -> str | None:
    """Return the name of the linear layer that gives the logits; None where there is none.

    Args:
        network: A sequence classifier of transformers.
        classes: Number of logits.
    """
    base = f"{network.base_model_prefix}."
    found = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == classes
        if not name.startswith(base)
    ]
    return found[-1] if found else None  # the layers before it may be as wide


def output_tensors(network: PreTrainedModel) -> tuple[str, ...]:
    """Return the names of the parameters of the output layer, which have one row for each class."""
    name = output_layer(network, network.config.num_labels or 0)
    layer = nn.Module() if name is None else network.get_submodule(name)
    return tuple(f"{name}.{parameter}" for parameter, _ in layer.named_parameters(recurse=False))


@torch.no_grad()
def reorder(parameters: Iterable[nn.Parameter], order: Sequence[int]) -> None:
    """Put the rows of parameters in another order, in place.

    Args:
        parameters: The parameters, (rows, ...).
        order: For each row the number of the row that is to stand there.
    """
    for parameter in parameters:
        parameter.copy_(parameter[list(order)].clone())


@torch.no_grad()
def renew(network: PreTrainedModel, name: str) -> tuple[str, ...]:
    """Make a linear layer anew, with the random values that the network's own class gives it.

    Args:
        network: A network of transformers as loaded.
        name: The layer.

    Returns:
        The names of its parameters.
    """
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    like = {"device": old.weight.device, "dtype": old.weight.dtype}
    new = nn.Linear(old.in_features, old.out_features, old.bias is not None, **like)
    network.set_submodule(name, new)
    # Some classes set such a layer from the module that holds it (T5, ModernBERT). None touches a
    # tensor that was loaded: transformers marks these.
    path = name.split(".")
    for depth in range(len(path), -1, -1):
        held = network.get_submodule(".".join(path[:depth]))
        network._init_weights(held)  # type: ignore[no-untyped-call]
    return tuple(f"{name}.{parameter}" for parameter, _ in new.named_parameters())


def _are_numbers(names: Sequence[str]) -> bool:
    """Return whether names only count the classes: LABEL_0, LABEL_1 or 0, 1."""
    return all(
        name.casefold() in (f"label_{row}", f"label {row}", str(row))
        for row, name in enumerate(names)
    )


def _in_order(names: Mapping[int | None, str], rows: int) -> list[str] | None:
    """Return the names of rows 0 to `rows`; None where one is missing or comes twice."""
    if names.keys() != set(range(rows)) or len(set(names.values())) < rows:
        return None
    return [names[row] for row in range(rows)]


def _items(found: Any) -> list[tuple[Any, Any]]:
    return list(found.items()) if isinstance(found, dict) else []


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _number(key: Any) -> int | None:
    try:
        return int(key)
    except (TypeError, ValueError, OverflowError):
        return None
