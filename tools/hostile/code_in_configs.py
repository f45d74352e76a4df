"""Configs that would run code, or write where they like."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tools.hostile.case import Hostile, Stock

START = {
    "class_path": "hwlit.study.processes._start",
    "init_args": {
        "job": {"command": ["touch", "pwned"], "log": "a.log", "started": "b.json", "facts": {}}
    },
}
WRITE = {"class_path": "hwlit.storage.write_text", "init_args": {"path": "pwned", "text": "x"}}
FRESH = {
    "class_path": "hwlit.exports.fresh_process.run_fresh",
    "init_args": {"code": "open('pwned', 'w')", "folder": ".", "job": {}},
}
LOAD = {
    "class_path": "lightning.pytorch.core.saving._load_from_checkpoint",
    "init_args": {"cls": "x", "checkpoint_path": "x.ckpt"},
}
METHOD = {
    "class_path": "hwlit.tasks.text_classification.TextClassification.load_from_checkpoint",
    "init_args": {"checkpoint_path": "x.ckpt"},
}
TASK = "hwlit.tasks.text_classification.TextClassification"
PEFT = {"class_path": "hwlit.adapters.peft.Peft"}
CALLBACKS = "lightning.pytorch.callbacks."


def _callback(name: str, **arguments: Any) -> dict[str, Any]:
    return {"trainer": {"callbacks": [{"class_path": CALLBACKS + name, "init_args": arguments}]}}


def _method(name: str, **arguments: Any) -> dict[str, Any]:
    config = {"class_path": name, "init_args": arguments}
    return {"model": {"adapter": PEFT | {"init_args": {"config": config}}}}


MEGATRON = PEFT | {
    "init_args": {
        "config": {
            "class_path": "peft.LoraConfig",
            "init_args": {"megatron_core": "module", "megatron_config": {"a": 1}},
        }
    }
}
# By what it does: a config.
CONFIGS: dict[str, Any] = {
    "a function in a callback's slot": _callback("LambdaCallback", on_fit_start=START),
    "a writer in a callback's slot": _callback("LambdaCallback", on_fit_start=WRITE),
    "a process in a callback's slot": _callback("LambdaCallback", on_fit_start=FRESH),
    "a loader in a callback's slot": _callback("LambdaCallback", on_fit_start=LOAD),
    "a function by its name alone": _callback(
        "LambdaCallback", on_fit_start="hwlit.run_directory.take_directory"
    ),
    "a function in place of a callback": {"trainer": {"callbacks": [START]}},
    "a function in place of the callbacks": {"trainer": {"callbacks": WRITE}},
    "a function that averages weights": _callback(
        "StochasticWeightAveraging", swa_lrs=0.1, avg_fn=WRITE
    ),
    "a function in place of an optimizer": {"model": {"optimizer": WRITE}},
    "a function's name in place of an optimizer": {"model": {"optimizer": WRITE["class_path"]}},
    "a method in place of an optimizer": {"model": {"optimizer": "torch.optim.AdamW.register"}},
    "a callback in place of an optimizer": {"model": {"optimizer": CALLBACKS + "ModelSummary"}},
    "a function in place of the task": {"model": START},
    "a method of a task": {"model": METHOD},
    "a function in place of the data": {"data": WRITE},
    "a function in place of an adapter": {"model": {"adapter": START}},
    "a function in a chain": {
        "model": {
            "adapter": {
                "class_path": "hwlit.adapters.chain.Chain",
                "init_args": {"adapters": {"a": START}},
            }
        }
    },
    "a function in place of a format": {
        "model": {
            "adapter": {
                "class_path": "hwlit.adapters.quantized.Quantized",
                "init_args": {"format": WRITE},
            }
        }
    },
    "a function in place of PEFT's config": _method("hwlit.storage.write_text", path="pwned"),
    "a method of PEFT's config": _method("peft.LoraConfig.from_pretrained", path="x"),
    "a method that loads other models": _method("peft.XLoraConfig", adapters={"a": "x"}),
    "a method that compiles": _method("peft.BOFTConfig"),
    "a module that PEFT imports": _method(
        "peft.LoraConfig", megatron_core="pwned_module", megatron_config={"a": 1}
    ),
    "a function in PEFT's config": _method("peft.LoraConfig", eva_config=START),
    "a hook of a strategy": {
        "trainer": {
            "strategy": {
                "class_path": "lightning.pytorch.strategies.DDPStrategy",
                "init_args": {"ddp_comm_hook": WRITE},
            }
        }
    },
    "a strategy by its class": {"trainer": {"strategy": "lightning.pytorch.strategies.FSDP"}},
    "a plugin": {"trainer": {"plugins": ["lightning.pytorch.plugins.io.TorchCheckpointIO"]}},
    "an accelerator by its class": {
        "trainer": {"accelerator": {"class_path": "lightning.pytorch.accelerators.CPUAccelerator"}}
    },
    "a program": {"model": {"optimizer": "os.system"}},
    "a program in a class path": {"model": {"class_path": "os.system", "init_args": {}}},
    "a class of the tools": {"model": {"adapter": "tools.hostile.case.Hostile"}},
    "a class path where none belongs": {"seed_everything": START},
    "a class path in a plain setting": {"trainer": {"max_time": {"class_path": "os.system"}}},
    "arguments that no signature has": {
        "model": {"class_path": TASK, "dict_kwargs": {"hook": "x"}, "init_args": {}}
    },
    "a key of the parser's own": {"model": {"__path__": "x"}},
    "a class to be allowed": {"allow_class": "pwned_module.Callback"},
    "another config": {"config": "evil.yaml"},
    "a place to write": {"output": "{outside}/run"},
    "a run to go on with": {"resume": "{stock}/finished"},
    "a root directory": {"trainer": {"default_root_dir": "{outside}"}},
    "a model registry": {"trainer": {"model_registry": "x"}},
    "a logger that writes elsewhere": {
        "trainer": {
            "logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": "{outside}"},
            }
        }
    },
    "a logger by its name": {"trainer": {"logger": "CSVLogger"}},
    "a profiler that writes elsewhere": {
        "trainer": {
            "profiler": {
                "class_path": "lightning.pytorch.profilers.SimpleProfiler",
                "init_args": {"dirpath": "{outside}", "filename": "x"},
            }
        }
    },
    "checkpoints of Lightning": _callback("ModelCheckpoint", dirpath="{outside}"),
    "checkpoints of Lightning by name": {"trainer": {"callbacks": ["ModelCheckpoint"]}},
    "checkpoints after an exception": _callback("OnExceptionCheckpoint", dirpath="{outside}"),
    "a writer of predictions": _callback("BasePredictionWriter", write_interval="batch"),
    "a callback that prunes": _callback("ModelPruning", pruning_fn=START),
    "keys with dots": {"trainer.callbacks": [START]},
    "keys with dots and more": {"model.adapter.class_path": "hwlit.storage.write_text"},
    "a list that is added to": {"trainer": {"callbacks+": [START]}},
    "YAML within YAML": {"model": json.dumps(START)},
    "YAML within a group": {"trainer": json.dumps({"callbacks": [START]})},
    "YAML within arguments": {"model": {"class_path": TASK, "init_args": json.dumps(WRITE)}},
    "a file that is called like a class": {"model": {"adapter": "Lora"}},
    "a file that is called like a class's path": {"model": {"optimizer": "torch.optim.SGD"}},
    "a pipe that is called like a class": {"trainer": {"callbacks": ["EarlyStopping"]}},
    "a file that is called like a word": {"trainer": {"profiler": "simple"}},
    "a profiler that writes traces": {"trainer": {"profiler": "xla"}},
    "an adapter that is its own file": {"model": {"adapter": "evil.yaml"}},
    "a trainer that is its own file": {"trainer": "evil.yaml"},
    "a pipe in place of an adapter": {"model": {"adapter": "pipe"}},
    "a pipe in place of the trainer": {"trainer": "pipe"},
    "a pipe in place of PEFT's settings": _method("peft.LoraConfig", eva_config="pipe"),
    "a device in place of an adapter": {"model": {"adapter": "/dev/zero"}},
    "an adapter of 200 MB": {"model": {"adapter": "large.yaml"}},
    "a file that calls a function": {"model": {"adapter": "function.yaml"}},
    "a file that calls a file": {"model": {"adapter": "first.yaml"}},
}
# What hwlit cannot use, at once; once it ended with a traceback's name, or not at all.
MISSHAPEN: dict[str, tuple[Any, int, str]] = {
    "a class path that is a list": ({"model": {"class_path": ["x"]}}, 2, "evil.yaml"),
    "a class path that is a mapping": ({"model": {"adapter": {"class_path": {"a": 1}}}}, 2, "evil"),
    "an adapter of a name too long": ({"model": {"adapter": "x" * 5000}}, 2, "evil.yaml"),
    "a trainer of a name too long": ({"trainer": "x" * 5000}, 2, "evil.yaml"),
    "a trainer that is a list": ({"trainer": [1]}, 2, "it must map keys to values"),
    "a trainer that is a number": ({"trainer": 1}, 2, "it must map keys to values"),
    "a folder of nobody": (
        {"data": {"class_images_path": "~nosuchuser/x", "class_images": 1}}, 2, "class_images",
    ),
    "a checkpoint with a NUL": ({"ckpt_path": "a\0b"}, 2, ""),
    "a key that the terminal obeys": ({"\x1b]0;pwned\a": 1}, 2, "unknown"),
    "a pattern whose matching never ends": (
        _method("peft.LoraConfig", rank_pattern={"(([a-z0-9._])+)+!": 4}), 2, "name of a layer",
    ),
    "another pattern of that kind": (
        _method("peft.AdaLoraConfig", alpha_pattern={"(.*.*.*.*.*.*)*!": 4}, total_step=9), 2,
        "name of a layer",
    ),
    "a rank of 100,000,000": (_method("peft.VeraConfig", r=100_000_000), 2, "at most 65,536"),
    "a console of another file": (
        _callback("RichProgressBar", console_kwargs={"file": "/x"}), 2, "console_kwargs",
    ),
    "a callback that wants a logger": (
        {"trainer": {"logger": False, "callbacks": ["LearningRateMonitor"]}}, 2, "",
    ),
    "200,000,000 devices": ({"trainer": {"devices": 200_000_000}}, 6, "lower it"),
    "two machines": ({"trainer": {"num_nodes": 2}}, 2, "where the other machines are"),
    "3,000 callbacks": ({"trainer": {"callbacks": ["ModelSummary"] * 3000}}, 2, "at most 100"),
    "30,000 unknown keys": ({f"k{number}": 0 for number in range(30_000)}, 2, "unknown"),
    "files named again and again": (
        {"trainer": {"callbacks": ["list.yaml"] * 90}}, 2, "without end",
    ),
}  # fmt: skip
# By what it does: the text of a file, which no YAML writer would make.
TEXTS = {
    "an anchor within itself": "model: &a {adapter: *a}\n",
    "an anchor within itself in a list": "&a [*a]\n",
    "an anchor as a key": "? &a [x]\n: 1\n",
    "an alias of aliases as a key": "".join(
        [
            "a: &a0 [x]\n",
            *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
            "? *a11\n: 1\n",
        ]
    ),
    "merges of merges": "".join(
        [
            "a0: &a0 {x: 1}\n",
            *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)),
        ]
    ),
    "100,000 brackets": "a: " + "[" * 100_000,
    "100,000 dashes": "- " * 100_000 + "x",
    "a seed of 5,000 digits": f"seed_everything: {'9' * 5000}\n",
    "an object of Python": "model: !!python/object/apply:os.system ['touch pwned']\n",
    "a name of Python": "model: !!python/name:os.system\n",
    "binary data": "a: \x00\n",
}


# What the last line must hold where that is not the config's name.
TOLD = {
    "a pipe in place of an adapter": "pipe cannot be read: it is no plain file",
    "a pipe in place of the trainer": "pipe cannot be read: it is no plain file",
    "a pipe in place of PEFT's settings": "pipe cannot be read: it is no plain file",
    "a device in place of an adapter": "/dev/zero cannot be read: it is no plain file",
    "an adapter of 200 MB": "large.yaml is larger than",
    "a file that calls a function": "function.yaml",
    "a file that calls a file": "name one another without end",
}


def _write(content: Any) -> Callable[[Path, Stock], None]:
    def prepare(here: Path, stock: Stock) -> None:
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        text = text.replace("{outside}", str(here.parent / "outside"))
        (here / "evil.yaml").write_text(text.replace("{stock}", str(stock.path)))
        (here / "pwned_module.py").touch()
        (here / "pwned_module.py").rename(here / "module.py")
        if "pipe" in text:
            os.mkfifo(here / "pipe")
        if "large.yaml" in text:
            with (here / "large.yaml").open("wb") as file:
                file.truncate(200 << 20)
        for name in ("Lora", "torch.optim.SGD", "simple"):
            (here / name).write_text(yaml.safe_dump(MEGATRON))
        os.mkfifo(here / "EarlyStopping")
        (here / "list.yaml").write_text(yaml.safe_dump(["more.yaml"] * 90))
        (here / "more.yaml").write_text(yaml.safe_dump(["ModelSummary"] * 90))
        (here / "function.yaml").write_text(yaml.safe_dump(WRITE))
        (here / "first.yaml").write_text("second.yaml\n")
        (here / "second.yaml").write_text("first.yaml\n")

    return prepare


def _in_a_run(content: Any) -> Callable[[Path, Stock], None]:
    """Write it into the config of a run that was stopped."""

    def prepare(here: Path, stock: Stock) -> None:
        run = stock.copy("finished", here / "run")
        (run / "record.json").unlink()
        config = yaml.safe_load((run / "config.yaml").read_text())
        for key, value in content.items():
            config[key] = value if key not in config else {**config[key], **value}
        (run / "config.yaml").write_text(yaml.safe_dump(config))

    return prepare


def _in_a_finished_run(content: Any) -> Callable[[Path, Stock], None]:
    def prepare(here: Path, stock: Stock) -> None:
        _in_a_run(content)(here, stock)
        stock.copy("finished/record.json", here / "run" / "record.json")

    return prepare


def cases() -> list[Hostile]:
    """Return every config by `fit`, and some by the other ways in."""
    fit = ("fit", "SMALL", "--config", "evil.yaml", "--data.path", "nope.csv")
    found = [
        Hostile(name, "code", fit, (2,), TOLD.get(name, "evil.yaml"), _write(content))
        for name, content in (CONFIGS | TEXTS).items()
    ]
    found += [
        Hostile(name, "answer", fit[:-2], (code,), told, _write(content))
        for name, (content, code, told) in MISSHAPEN.items()
    ]
    callback = CONFIGS["a function in a callback's slot"]
    for command in ("check", "validate", "test"):
        words = (command, *fit[1:]) if command == "check" else (command, *fit[2:])
        told = f"a function in a callback's slot by {command}"
        found.append(Hostile(told, "code", words, (2,), "evil.yaml", _write(callback)))
    for name in ("a function in a callback's slot", "a function in place of an adapter",
                 "a logger that writes elsewhere", "a model registry"):  # fmt: skip
        resume = ("fit", "--resume", "run")
        prepare = _in_a_run(CONFIGS[name])
        found.append(Hostile(f"{name} of a run", "code", resume, (2,), "config.yaml", prepare))
    quantize = ("quantize", "run", "--format", "int8")
    found.append(
        Hostile(
            "a function in a run that is quantised", "code", quantize, (2,), "config.yaml",
            _in_a_finished_run(callback),
        )
    )  # fmt: skip
    for number, words in enumerate(COMMAND_LINES):
        told = f"words of the command line {number}"
        found.append(Hostile(told, "code", ("fit", "SMALL", *words), (2,), "", _write("a: 1")))
    return found


COMMAND_LINES = (
    ("--model.optimizer", "hwlit.storage.write_text"),
    ("--trainer.callbacks+=hwlit.storage.write_text",),
    (f"--trainer.callbacks={json.dumps([START])}",),
    (f"--model.adapter={json.dumps(START)}",),
    ("-cevil.yaml",),
    ("--config", "x" * 5000),
    ("--allow_class", "pwned_module.Callback"),
    ("--allow_class", "os.system"),
    ("--allow_class", ""),
)
