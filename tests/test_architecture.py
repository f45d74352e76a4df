"""The dependency rule: imports point down and never sideways, none hides inside a function."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "hwlit"
FILES_OF_RUNS = {
    "bounded_files",
    "storage",
    "temporaries",
    "run_directory",
    "checkpoint_file",
    "written_files",
}
LEAVES = {"adapters", "networks", "devices", "records", "errors", "metrics", "exports"}
LEAVES |= {"statistics"}
LEAVES |= FILES_OF_RUNS
PLAIN = {"plain_text", "console"}  # what everything may import: the ways to the screen
ALLOWED = {
    "errors": set(),
    "plain_text": set(),
    "console": set(),
    "surroundings": {"errors"},
    "quiet": set(),
    "paths": set(),
    "options": {"errors"},
    "signals": {"errors"},
    "temporaries": set(),
    "bounded_files": set(),
    "storage": {"bounded_files", "errors", "temporaries"},
    "run_directory": {"bounded_files", "errors", "storage", "temporaries"},
    "written_files": {"bounded_files", "errors", "run_directory", "storage"},
    "checkpoint_file": {"errors", "storage"},
    "resume": {"checkpoint_file", "errors", "output", "run_directory", "storage", "yaml_files"}
    | {"saved_configs"},
    "records": {"bounded_files", "errors", "run_directory", "storage"},
    "shipped": {"errors"},
    "statistics": {"errors"},
    "metrics": {"errors", "networks", "statistics", "storage"},
    "adapters": {"errors", "storage"},
    "networks": {"allowed_classes", "errors", "storage"},
    "exports": {"errors", "paths", "records", "run_directory", "storage"},
    "devices": {"errors", "records"},
    "tasks": LEAVES | {"paths"},
    "data": LEAVES,
    "callbacks": LEAVES | {"paths", "signals"},
    "study": FILES_OF_RUNS - {"checkpoint_file"}
    | {"paths", "signals"}
    | {"records", "errors", "metrics", "options", "saved_configs", "shipped", "statistics"}
    | {"yaml_files"},
    "run_inputs": {"errors", "exports", "records"},
    "inference": LEAVES | {"data", "run_inputs"},
    "uploads": {"errors", "exports", "paths", "records", "storage", "yaml_files"},
    "exporting": {"inference", "kohya_export", "shifts", "uploads"},
    "kohya_export": LEAVES | {"generation"},
    "shifts": LEAVES | {"paths"},
    "generation": LEAVES | {"data", "paths", "shifts", "yaml_files"},
    "yaml_files": {"bounded_files", "errors"},
    "saved_configs": {"yaml_files"},
    "signatures": set(),
    "allowed_classes": set(),
    "config_sources": {"errors", "yaml_files"},
    "refusals": {"allowed_classes", "config_sources", "errors", "yaml_files"},
    "explain": {"config_sources", "errors", "signatures", "yaml_files"},
    "parsing": {"adapters", "config_sources", "errors", "saved_configs"},
    "trainer_settings": {"callbacks", "devices", "errors"},
    "output": {"errors", "run_directory"},
    "runs": LEAVES | {"tasks", "data", "callbacks", "parsing", "resume", "signals"},
    "cli": LEAVES
    | {"tasks", "data", "callbacks", "study"}
    | {"allowed_classes", "explain", "output", "parsing", "refusals", "resume", "runs"}
    | {"saved_configs"}
    | {"trainer_settings", "yaml_files"},
    "quantization": LEAVES
    | {"tasks", "cli", "runs", "parsing", "resume", "saved_configs", "yaml_files"},
    "checking": LEAVES
    | {"tasks", "data", "callbacks", "study"}
    | {"cli", "parsing", "signals", "trainer_settings"},
}
NEVER_LIGHTNING = LEAVES | {"study", "shipped", "quiet", "options", "inference", "generation"}
NEVER_LIGHTNING |= {
    "exporting",
    "kohya_export",
    "paths",
    "shifts",
    "surroundings",
    "uploads",
    *PLAIN,
}
# Optional back ends, each in the one file that owns it.
LOCAL_IMPORTS = {
    "devices/nvml.py": {"pynvml"},
    "devices/codecarbon_tables.py": {"codecarbon"},
    "devices/tpu.py": {"torch_xla"},
    "exports/stock_pipeline.py": {"bitsandbytes", "torchao"},  # as in a process without hwlit
    "adapters/bitsandbytes_linear.py": {"bitsandbytes"},
    "adapters/torchao_linear.py": {"torchao"},
    "study/ray_cluster.py": {"ray"},
}
# What another process reads from standard output, as data.
SCRIPTS = (
    "exports/stock_pipeline.py",
    "exports/stock_classifier.py",
    "networks/pattern_probe.py",
)
FILES = [p.relative_to(ROOT).as_posix() for p in sorted(ROOT.rglob("*.py"))]
MODULES = [name for name in FILES if name not in ("__init__.py", "__main__.py")]


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "hwlit":
                yield from ((f"hwlit.{alias.name}", node) for alias in node.names)
            else:
                yield str(node.module), node


def room(name):
    return name.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    own = room(name)
    for module, _ in imported(ast.parse((ROOT / name).read_text())):
        top, _, rest = module.partition(".")
        if top == "lightning":
            assert own not in NEVER_LIGHTNING, f"{name} imports {module}"
        other = rest.partition(".")[0]
        if top == "hwlit" and other not in {"", own} | PLAIN:
            assert other in ALLOWED[own], f"{name} imports {module}"


@pytest.mark.parametrize("name", MODULES)
def test_no_import_hides_in_a_function(name):
    tree = ast.parse((ROOT / name).read_text())
    top_level = {id(node) for node in tree.body}
    for node in tree.body:
        if isinstance(node, ast.If):  # if TYPE_CHECKING
            top_level |= {id(inner) for inner in node.body}
    for module, node in imported(tree):
        if id(node) not in top_level:
            assert module.partition(".")[0] in LOCAL_IMPORTS.get(name, set()), f"{name}: {module}"


def reaches_the_screen(node):
    """Whether a call prints past `say` and `PlainConsole`; standard error is plain anyway."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    if called == "print":
        return all(ast.unparse(keyword.value) != "sys.stderr" for keyword in node.keywords)
    return called in ("Console", "rich.print", "get_console") or "stdout.write" in called


@pytest.mark.parametrize("name", sorted({*FILES} - {"plain_text.py", *SCRIPTS}))
def test_all_that_is_printed_goes_one_way(name):
    nodes = ast.walk(ast.parse((ROOT / name).read_text()))
    assert not [ast.unparse(node) for node in nodes if reaches_the_screen(node)]


@pytest.mark.parametrize("name", FILES)
def test_files_stay_readable(name):
    text = (ROOT / name).read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(tree), "a module says what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 55, node.name


@pytest.mark.parametrize("name", FILES)
def test_pictures_are_opened_in_named_formats_alone(name):
    """Pillow starts Ghostscript for Postscript, whatever a file's name ends in."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open"):
            assert "formats" in {keyword.arg for keyword in node.keywords}, f"line {node.lineno}"
