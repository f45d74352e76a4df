"""How transformers quantises the base of an adapter, as an exported folder says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.quantizers.auto import AutoQuantizationConfig
from transformers.utils.quantization_config import QuantizationConfigMixin

from hwlit.errors import IntegrityError, UsageError
from hwlit.networks.plain_files import read_plain

MISSING = '{} needs a package that is missing: pip install "hwlit[qlora]"'
# What hwlit writes. transformers would import a package for each of two dozen methods, and torchao
# calls whatever of its modules a `_type` names.
METHODS = ("bitsandbytes", "torchao")
TYPES = (
    "Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig", "Int4WeightOnlyConfig",
    "PrototypeInt4WeightOnlyConfig", "PerRow", "PerTensor", "PerGroup", "MappingType",
    "Int4ChooseQParamsAlgorithm",
)  # fmt: skip

LEFT_OUT = ("llm_int8_skip_modules", "modules_to_not_convert")


def read_quantization(path: Path) -> QuantizationConfigMixin:
    """Read how the base of an adapter is quantised.

    Raises:
        IntegrityError: The file is damaged, or asks for what no run of hwlit writes.
        UsageError: The package that it needs is missing.
    """
    again = "bring the run's own file back"
    try:
        told = read_plain(path)
    except UsageError as error:
        raise IntegrityError(f"{path} is damaged ({error}); {again}") from error
    method = told.get("quant_method") if isinstance(told, dict) else None
    odd = [t for t in _types(told) if t not in TYPES] or [method] * (method not in METHODS)
    if odd := odd or _patterns(told):
        raise IntegrityError(f"{path} is damaged (hwlit writes no {odd[0]!r} there); {again}")
    try:
        config = AutoQuantizationConfig.from_dict(told)
    except ImportError as error:
        raise UsageError(MISSING.format(path)) from error
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise IntegrityError(
            f"{path} is damaged ({' '.join(str(error).split())}); {again}"
        ) from error
    assert isinstance(config, QuantizationConfigMixin)
    return config


def _patterns(told: dict[str, Any]) -> list[Any]:
    """Return what is no plain name among the modules left out, which transformers searches for."""
    kept = [told[name] for name in LEFT_OUT if told.get(name) is not None]
    names = [name for value in kept for name in (value if isinstance(value, list) else [value])]
    return [n for n in names if not isinstance(n, str) or not re.fullmatch(r"[\w.]{1,500}", n)]


def _types(data: Any) -> Iterator[Any]:
    """Yield the types that torchao would make, in nested data."""
    waiting = [data]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield from (inner[name] for name in ("_type",) if name in inner)
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner
