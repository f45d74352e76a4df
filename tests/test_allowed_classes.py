"""The closed list of classes: whole, true, and without a way to a function."""

import importlib
import inspect

import pytest
import yaml
from lightning.pytorch.callbacks import Callback
from peft import PeftConfig
from torch.optim import Optimizer

from hwlit.__main__ import main
from hwlit.adapters.base import Adapter
from hwlit.adapters.formats import Format
from hwlit.allowed_classes import SLOTS, Allowed
from hwlit.data.resuming import ResumableData
from hwlit.refusals import GROUP_ENDING, GROUPS, NEVER
from hwlit.shipped import config_names
from hwlit.signatures import class_in, parameters
from hwlit.tasks.base import Task

BASES = {
    "model": Task, "data": ResumableData, "adapter": Adapter, "format": Format,
    "method": PeftConfig, "optimizer": Optimizer, "callbacks": Callback,
}  # fmt: skip
PLAIN = ("task_type", "peft_type")  # words from a list of PEFT


def loaded(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


CLASSES = [(slot, path) for slot in BASES for path in SLOTS[slot].names()]


@pytest.mark.parametrize(("slot", "path"), CLASSES, ids=lambda word: word)
def test_a_class_is_there_and_takes_no_function(slot, path):
    found = loaded(path)
    assert issubclass(found, BASES[slot])
    if inspect.isabstract(found):
        return
    for key, inner in parameters(found).items():
        if isinstance(inner, dict):
            assert key in GROUPS or key.endswith(GROUP_ENDING), key
        elif "Callable" in str(inner.hint):
            assert key == "optimizer"
        elif class_in(inner.hint) is not None and key not in (*PLAIN, *NEVER, "params"):
            assert key in SLOTS or key in GROUPS or key.endswith((GROUP_ENDING, "config")), key


@pytest.mark.parametrize("slot", ["model", "data", "adapter", "format"])
def test_every_class_of_ours_may_be_named(slot):
    names = SLOTS[slot].names()
    left, ours = [BASES[slot]], set()
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if kind.__module__.startswith("hwlit.") and not kind.__name__.startswith("_"):
            ours.add(f"{kind.__module__}.{kind.__qualname__}")
    ours.discard(f"{BASES[slot].__module__}.{BASES[slot].__qualname__}")
    ours = {name for name in ours if name.split(".")[1] in ("tasks", "data", "adapters")}
    assert ours
    assert ours <= set(names)


@pytest.mark.parametrize("name", [n for n in config_names() if n.startswith("text/")])
def test_shipped_configs_are_allowed(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", name, "--print_config"])
    assert ended.value.code == 0


@pytest.mark.parametrize("path", SLOTS["callbacks"].classes)
def test_the_parser_takes_a_callback_of_the_list(path, capsys):
    more = ["--trainer.callbacks.monitor=val/loss"] if path.endswith("EarlyStopping") else []
    if path.endswith("GradientAccumulationScheduler"):
        more = ["--trainer.callbacks.scheduling={2: 4}"]
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", "quickstart", f"--trainer.callbacks+={path}", *more,
              "--print_config"])  # fmt: skip
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["trainer"]["callbacks"][0]["class_path"] == path


@pytest.fixture
def own_class(tmp_path, monkeypatch):
    """A callback of the user's own, on his path."""
    (tmp_path / "my_package.py").write_text(
        "from lightning.pytorch.callbacks import Callback\n"
        "class Mine(Callback):\n    def __init__(self, n: int = 0):\n        pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = "{class_path: my_package.Mine, init_args: {n: 1}}"
    (tmp_path / "mine.yaml").write_text(f"trainer: {{callbacks: [{mine}]}}\n")
    return str(tmp_path / "mine.yaml")


def test_a_class_of_ones_own_needs_the_flag(own_class, capsys):
    words = ["fit", "--config", "quickstart", "--config", own_class, "--print_config"]
    assert main(words) == 2
    assert "a class of your own is allowed by --allow_class PATH" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*words, "--allow_class", "my_package.Mine"])
    assert ended.value.code == 0
    assert "my_package.Mine" in capsys.readouterr().out
    assert main(words) == 2  # it is no longer allowed without


def test_a_module_is_no_class():
    assert Allowed.given(["--allow_class", "a.B, c.D"]).more == ("a.B", "c.D")
    assert Allowed.given(["--allow_class=a.B"]).more == ("a.B",)
    assert main(["fit", "--config", "quickstart", "--allow_class", "os.path"]) == 2
