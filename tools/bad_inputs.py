"""Bad inputs through fit, predict and check: what each is told, with which exit code, how soon.

    python tools/bad_inputs.py              prints the table as Markdown

The cases are also those of tests/test_bad_input.py, which checks code, sentence and that nothing
was written.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ |= {"HF_HUB_OFFLINE": "1"}

from hwlit.__main__ import main
from hwlit.shipped import config_root
from tools.faults.workload import write_model, write_tweets

NO_GPU = "there is none here"


@dataclass(frozen=True)
class BadInput:
    """One bad input.

    Args:
        arguments: The command line; `fit` and `check` get a small model and data before them.
        code: The exit code that is due.
        told: What the message must name.
        stdin: What is given on standard input.
    """

    arguments: tuple[str, ...]
    code: int
    told: str
    stdin: bytes = b""

    def __str__(self) -> str:
        return " ".join(self.arguments)


@dataclass(frozen=True)
class Answer:
    """What came back: exit code, standard error, and seconds."""

    code: int
    message: str
    seconds: float


def prepare(folder: Path) -> None:
    """Write what the cases refer to: models whole and broken, configs, data, a finished run."""
    write_model(folder / "model")
    write_tweets(folder / "tweets.csv", 160)
    _break_models(folder)
    _break_configs(folder)
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.tex").write_text("mine")
    (folder / "file").write_text("in the way")
    (folder / "no_target.csv").write_text("text,label\nstorm,1\n")
    (folder / "words.csv").write_text("words\nstorm\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    (folder / "empty.txt").write_text("")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main(["fit", *small(folder, "finished"), "--trainer.max_epochs", "1"]) == 0
    for name, change in (("other_base", {"sha256": "0" * 64}), ("moved_base", {"pretrained": "x"})):
        shutil.copytree(folder / "finished", folder / name)
        record = json.loads((folder / name / "record.json").read_text())
        record["model"] |= change
        (folder / name / "record.json").write_text(json.dumps(record))
    (folder / "no_run").mkdir()
    (folder / "no_run" / "record.json").write_text('{"schema": 1}')


def small(folder: Path, output: str) -> list[str]:
    """Return the arguments of a fit that takes a second."""
    return [
        "--config", "quickstart", "--data.path", str(folder / "tweets.csv"), "--model.pretrained",
        str(folder / "model"), "--trainer.accelerator", "cpu", "--data.max_length", "32",
        "--trainer.enable_progress_bar", "false", "--output", str(folder / output),
    ]  # fmt: skip


def cases() -> list[BadInput]:
    """Return every case; paths are relative to the prepared folder."""
    return [*_keys(), *_values(), *_settings(), *_files(), *_models(), *_outputs(), *_predictions()]


def _fit(code: int, told: str, *arguments: str) -> BadInput:
    return BadInput(("fit", *arguments), code, told)


def _check(code: int, told: str, *arguments: str) -> BadInput:
    return BadInput(("check", *arguments), code, told)


def _keys() -> list[BadInput]:
    """Return keys, classes and commands that are misspelt."""
    stop = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitr=val/loss")
    return [
        BadInput(("fitt",), 2, "did you mean 'fit'"),
        _fit(2, "did you mean --model.adapter.rank?", "--model.adapter.rnk", "4"),
        _check(2, "did you mean --model.adapter.rank?", "--model.adaptr.rank=4"),
        _fit(2, "did you mean --trainer.max_epochs?", "--trainer.max_epoch", "3"),
        _fit(2, "did you mean --data.batch_size?", "--batch_size", "32"),
        _fit(2, "did you mean --model.optimizer.weight_decay?", "--model.optimizer.weight", "1"),
        _fit(2, "did you mean --trainer.callbacks.monitor?", *stop),
        _fit(2, "did you mean hwlit.adapters.lora.Lora?", "--model.adapter", "Lra"),
        _fit(2, "did you mean 'lora'", "--model.adapter", "lorra"),
        _fit(2, "did you mean torch.optim.AdamW?", "--model.optimizer", "torch.optim.AdmW"),
        _fit(2, "did you mean torch.optim.AdamW?", "--model.optimizer", "Adamw"),
        _fit(2, "which is no optimizer that may be named", "--model.optimizer", "subprocess.Popen"),
        _fit(2, "'stray' belongs to no option", "stray"),
        _fit(2, "--model.adapter.rank needs a value", "--model.adapter.rank"),
        _fit(2, "follows from the data set", "--model.labels", "[a,b]"),
        _fit(2, "did you mean 'quickstart'", "--config", "quikstart"),
        _fit(2, "needs monitor", "--trainer.callbacks+=EarlyStopping"),
    ]


def _values() -> list[BadInput]:
    """Return values of a wrong type or out of range."""
    return [
        _fit(2, "--model.adapter.rank is 'x'; give a whole number", "--model.adapter.rank", "x"),
        _fit(2, "rank must be at least 1", "--model.adapter.rank", "0"),
        _check(2, "learning_rate must be above 0", "--model.adapter.learning_rate", "-1"),
        _fit(2, "learning_rate is 'nan'", "--model.adapter.learning_rate", "nan"),
        _fit(2, "--model.adapter.learning_rate", "--model.adapter.learning_rate", "1e99"),
        _fit(2, "--data.batch_size is 0", "--data.batch_size", "0"),
        _fit(2, "--data.batch_size is '2.5'; give a whole number", "--data.batch_size", "2.5"),
        _fit(2, "--trainer.max_epochs is 0", "--trainer.max_epochs", "0"),
        _check(2, "--trainer.max_epochs is -2", "--trainer.max_epochs", "-2"),
        _fit(2, "--trainer.max_epochs sets no end", "--trainer.max_epochs", "-1"),
        _fit(2, "--trainer.precision is '8'; give one of", "--trainer.precision", "8"),
        _fit(2, "--seed_everything is -1", "--seed_everything", "-1"),
        _fit(2, "--model.schedule is 'linar'; give one of linear", "--model.schedule", "linar"),
        _fit(2, "--model.warmup is 2.0", "--model.warmup", "2"),
        _fit(2, "Invalid weight_decay value", "--model.optimizer.weight_decay", "-1"),
        _fit(2, "--model.adapter.learning_rate", "--model.optimizer.lr", "0.1"),
    ]


def _settings() -> list[BadInput]:
    """Return what the trainer cannot be asked for."""
    trainer = "--trainer."
    stop = (f"{trainer}callbacks+=EarlyStopping", f"{trainer}callbacks.monitor=val/los")
    return [
        _fit(2, "choose one of: val/accuracy", "--checkpoint.monitor", "val/nope"),
        _fit(2, "--trainer.callbacks.monitor val/los is not logged", *stop),
        _fit(2, "accumulate_grad_batches is 0", f"{trainer}accumulate_grad_batches", "0"),
        _fit(2, "gradient_clip_val is -1", f"{trainer}gradient_clip_val", "-1"),
        _fit(2, "limit_val_batches is 0", f"{trainer}limit_val_batches", "0"),
        _fit(2, "nothing would be validated", f"{trainer}check_val_every_n_epoch", "9"),
        _fit(2, "fast_dev_run is True", f"{trainer}fast_dev_run", "true"),
        _fit(2, "--trainer.devices is 0", f"{trainer}devices", "0"),
        _fit(6, "asks for a process on each", f"{trainer}devices", "200000000"),
        _fit(6, "asks for a process on each", f"{trainer}devices", "1" + "0" * 30),
        _fit(2, "nothing says where the other machines are", f"{trainer}num_nodes", "2"),
        _fit(2, "--trainer.strategy dp2 is unknown", f"{trainer}strategy", "dp2"),
        _fit(2, "shards the model", f"{trainer}strategy", "fsdp_cpu_offload"),
        _fit(2, "shards the model", f"{trainer}strategy", "deepspeed_stage_2"),
        _check(2, "starts its processes anew", f"{trainer}strategy", "ddp_spawn"),
        _fit(2, "trains on no Intel GPU", f"{trainer}accelerator", "xpu"),
        _fit(2, "did you mean gpu?", f"{trainer}accelerator", "gpuu"),
        _fit(6, NO_GPU, f"{trainer}accelerator", "mps"),
        _fit(6, NO_GPU, f"{trainer}accelerator", "tpu"),
        _check(6, NO_GPU, f"{trainer}accelerator", "tpu"),
    ]


def _files() -> list[BadInput]:
    """Return configs and data that cannot be read."""
    return [
        _fit(2, "bad_key.yaml: trainer.max_epoch: unknown", "--config", "bad_key.yaml"),
        _fit(2, "again in line", "--config", "twice.yaml"),
        _fit(2, "line 2", "--config", "broken.yaml"),
        _check(2, "spaces, not tabs", "--config", "tabs.yaml"),
        _fit(2, "describes the class", "--config", "adapter.yaml"),
        _fit(2, "adapter.yaml: model.adapter.rnk", "--model.adapter", "adapter.yaml"),
        _fit(2, "empty.yaml is empty", "--config", "empty.yaml"),
        _fit(2, "aliases unfold", "--config", "bomb.yaml"),
        _fit(2, "is a directory", "--config", "taken"),
        _fit(2, "is an address", "--config", "http://localhost/x.yaml"),
        _fit(2, "is not a file", "--ckpt_path", "nope.ckpt"),
        _fit(2, "cannot be read: File name too long", "--ckpt_path", "x" * 5000),
        _fit(3, "nope.csv does not exist", "--data.path", "nope.csv"),
        _check(3, "nope.csv does not exist", "--data.path", "nope.csv"),
        _fit(3, "no_target.csv", "--data.path", "no_target.csv"),
    ]


def _models() -> list[BadInput]:
    """Return models that cannot be loaded."""
    model = "--model.pretrained"
    return [
        _fit(2, "model folder no_weights holds no weights", model, "no_weights"),
        _check(2, "model folder no_weights holds no weights", model, "no_weights"),
        _fit(2, "convert older .bin weights", model, "pickled"),
        _fit(2, "not a valid JSON file", model, "bad_json"),
        _fit(2, "model type `nosuch`", model, "unknown_kind"),
        _fit(2, "do not fit its config.json", model, "other_shape"),
        _fit(2, "holds no tokenizer", model, "no_tokenizer"),
        _fit(2, "custom code", model, "own_code"),
        _fit(5, "is damaged", model, "cut_off"),
        _fit(2, "./nope does not exist", model, "./nope"),
        _fit(2, "--model.pretrained is empty", model, ""),
        _fit(2, "cannot be read: File name too long", model, "x" * 5000),
        _fit(2, "no user here", model, "~nosuchuser/x"),
        _fit(2, "give the folder of a downloaded model", model, "no/such-model"),
        _fit(2, "matches no layer", "--model.adapter.targets", "[nothing]"),
    ]


def _outputs() -> list[BadInput]:
    """Return places where no run can write."""
    return [
        _fit(2, "--output is empty", "--output", ""),
        _fit(2, "is a file", "--output", "file"),
        _fit(6, "Not a directory", "--output", "file/run"),
        _fit(2, "holds an earlier run or other files", "--output", "taken"),
        _fit(2, "holds a finished run", "--output", "finished"),
        _check(2, "holds a finished run", "--output", "finished"),
        _fit(6, "--output: File name too long", "--output", "x" * 300),
        _check(6, "cannot write to", "--output", "file/run"),
    ]


def _predictions() -> list[BadInput]:
    """Return what predict cannot use."""

    def predict(code: int, told: str, *arguments: str, stdin: bytes = b"") -> BadInput:
        return BadInput(("predict", *arguments), code, told, stdin)

    text = ("--text", "storm")
    return [
        predict(2, "the following arguments are required: run"),
        predict(2, "one of the arguments --text --file stdin is required", "finished"),
        predict(2, "not allowed with", "finished", *text, "--file", "words.csv"),
        predict(2, "reads single texts; leave out --pair", "finished", *text, "--pair", "calm"),
        predict(2, "--text is given 0 times", "finished", "--file", "words.csv", "--pair", "calm"),
        predict(2, "unrecognized arguments: --colum", "finished", *text, "--colum", "x"),
        predict(2, "invalid int value: 'x'", "finished", *text, "--batch-size", "x"),
        predict(2, "--batch-size must be at least 1", "finished", *text, "--batch-size", "0"),
        predict(6, "--device cuda:99 cannot be used", "finished", *text, "--device", "cuda:99"),
        predict(3, "nope.csv", "finished", "--file", "nope.csv"),
        predict(3, "has no column 'text', only 'words'", "finished", "--file", "words.csv"),
        predict(3, "latin.txt is not UTF-8", "finished", "--file", "latin.txt"),
        predict(3, "there is no text", "finished", "--file", "empty.txt"),
        predict(3, "standard input is not UTF-8", "finished", "-", stdin=b"caf\xe9"),
        predict(6, "cannot write", "finished", *text, "--output", "file/labels.csv"),
        predict(5, "holds no readable record.json", "taken", *text),
        predict(5, "no_run", "no_run", *text),
        predict(5, "are not those that", "other_base", *text),
        predict(2, "cannot be loaded", "moved_base", *text),
    ]


def answer(case: BadInput, folder: Path) -> Answer:
    """Run one case inside the prepared folder and return what came back."""
    command, *rest = case.arguments
    words = [command, *rest]
    if command in ("fit", "check"):
        words = [command, *small(folder, "out/run"), *rest]
    error, start = io.StringIO(), time.perf_counter()
    stdin = io.TextIOWrapper(io.BytesIO(case.stdin))
    with (
        contextlib.chdir(folder),
        mock.patch("sys.stdin", stdin),
        contextlib.redirect_stderr(error),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        code = main(words)
    return Answer(code, error.getvalue().strip(), time.perf_counter() - start)


def _break_models(folder: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(folder / "model", folder / name))

    def change(name: str, **values: object) -> None:
        path = copy(name) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    (copy("no_weights") / "model.safetensors").unlink()
    pickled = copy("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (copy("bad_json") / "config.json").write_text("{nope")
    change("unknown_kind", model_type="nosuch")
    change("other_shape", hidden_size=64)
    change("own_code", model_type="mine", auto_map={"AutoConfig": "mine.Config"})
    for file in copy("no_tokenizer").glob("tokenizer*"):
        file.unlink()
    weights = copy("cut_off") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def _break_configs(folder: Path) -> None:
    root = config_root()
    text = (root / "quickstart.yaml").read_text().replace("adapters/", f"{root}/adapters/")
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    configs = {
        "bad_key": text.replace("max_epochs", "max_epoch"),
        "twice": text + "trainer:\n  max_epochs: 2\n",
        "broken": "model: [1\n",
        "tabs": "model:\n\tclass_path: x\n",
        "adapter": "class_path: hwlit.adapters.lora.Lora\ninit_args:\n  rnk: 8\n",
        "empty": "# nothing\n",
        "bomb": "\n".join(bomb) + "\n",
    }
    for name, content in configs.items():
        (folder / f"{name}.yaml").write_text(content)


def table(rows: Sequence[tuple[BadInput, Answer]], folder: Path) -> str:
    """Return the table as Markdown."""
    file = io.StringIO()
    file.write("| input | message | exit code | seconds |\n|---|---|---|---|\n")
    for case, seen in rows:
        message = seen.message.replace(f"{folder}/", "").replace("|", "\\|").replace("\n", " ")
        given = str(case).replace("|", "\\|")[:90]
        file.write(f"| `{given}` | {message} | {seen.code} | {seen.seconds:.1f} |\n")
    return file.getvalue()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ["HWLIT_CACHE"] = str(place / "cache")
        prepare(place)
        print(table([(case, answer(case, place)) for case in cases()], place))
