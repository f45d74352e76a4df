"""What hwlit imports is declared, what is declared is locked, and the lock is for any machine."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Installed by hand: torch_xla wants an older torch than hwlit does.
BY_HAND = {"torch_xla"}


def requirements(lines):
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def listed(path):
    """The requirements of a file: a line each, hashes and comments left out."""
    lines = (ROOT / path).read_text().splitlines()
    return [line.rstrip(" \\") for line in lines if re.match(r"[A-Za-z]", line)]


def third_party():
    """The packages that hwlit imports anywhere, each with a file that does."""
    found = {}
    for path in sorted((ROOT / "hwlit").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            else:
                continue
            found |= {name.partition(".")[0]: path.name for name in names}
    return {n: f for n, f in found.items() if n not in sys.stdlib_module_names | {"hwlit"}}


def test_every_import_is_declared():
    declared = requirements([*PROJECT["dependencies"], *(r for e in EXTRAS.values() for r in e)])
    distributions = packages_distributions()
    for name, file in third_party().items():
        # One that is not installed, such as ray, is declared by the name that it is imported by.
        names = {canonicalize_name(n) for n in distributions.get(name, [name])}
        assert names & declared.keys() or name in BY_HAND, f"{file} imports {name}"


def test_an_import_that_is_everywhere_is_no_extra():
    declared = requirements(PROJECT["dependencies"])
    assert {"lightning-utilities", "markupsafe", "torch", "pillow"} <= declared.keys()


def test_the_lock_holds_what_is_declared():
    """Else it was not made anew; its first lines say how."""
    config = tomllib.loads((ROOT / ".ci/uv.toml").read_text())
    locked = {}
    for line in listed(".ci/requirements.txt"):  # of some there is one for each Python
        entry = Requirement(line)
        locked.setdefault(canonicalize_name(entry.name), []).append(entry)
    (torch,) = config["dependency-metadata"]
    assert f"torch=={torch['version']} " in (ROOT / ".ci/run").read_text()
    wanted = [*PROJECT["dependencies"], *(r for e in config["pip"]["extra"] for r in EXTRAS[e])]
    for name, requirement in requirements(wanted).items():
        versions = (
            [torch["version"]]
            if name == "torch"
            else [version.version for entry in locked[name] for version in entry.specifier]
        )
        assert all(version in requirement.specifier for version in versions), name
    assert config["pip"]["extra"] == [e for e in EXTRAS if e not in ("deepspeed", "wandb", "ray")]


def test_the_lock_is_for_any_machine():
    text = (ROOT / ".ci/requirements.txt").read_text()
    assert not re.search(r"https?:|file:|--(?!hash)|/(opt|home|root|tmp|Users)/", text.replace(
        "--config-file", ""))  # fmt: skip
    names = {canonicalize_name(Requirement(line).name) for line in listed(".ci/requirements.txt")}
    assert "torch" not in names
    assert not [n for n in names if n.startswith(("nvidia-c", "nvidia-n", "cuda")) or n == "triton"]
    entries = re.split(r"\n(?=[a-z])", text)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)


def test_a_tpu_gets_the_same_but_for_torch():
    own = requirements(PROJECT["dependencies"])
    tpu = requirements(listed("configs/hardware/tpu.txt"))
    assert str(tpu.pop("torch").specifier) == "==2.9.1"
    tpu.pop("torch-xla")
    own.pop("torch")
    assert {n: str(r) for n, r in tpu.items()} == {n: str(r) for n, r in own.items()}


@pytest.mark.parametrize(
    ("name", "too_old"),
    [
        ("torch", "2.9.1"), ("filelock", "3.20.2"), ("ray", "2.53.0"), ("pillow", "12.3.0"),
        ("tqdm", "4.66.2"), ("jinja2", "3.1.5"), ("orjson", "3.11.5"), ("diffusers", "0.42.0"),
        ("lightning", "2.6.3"), ("pytest", "9.0.2"),
        ("sentencepiece", "0.2.0"),
    ],
)  # fmt: skip
def test_no_version_with_a_known_hole_is_admitted(name, too_old):
    declared = requirements([*PROJECT["dependencies"], *(r for e in EXTRAS.values() for r in e)])
    assert too_old not in declared[name].specifier
