"""What a run may ask of the trainer: ranges, devices and metrics, refused before anything is made.

Lightning finds most of these itself, but late, after data and model were loaded, or not at all.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import (
    Accelerator,
    CUDAAccelerator,
    MPSAccelerator,
    XLAAccelerator,
)
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from hwlit.callbacks.checkpoints import Checkpoints
from hwlit.devices.presence import Presence, find_cuda, find_mps, find_tpu
from hwlit.errors import ResourceError, UsageError

TRAINER_DEFAULTS = {
    "max_epochs": 3,
    "devices": 1,  # one device is what a row is about; more are asked for
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,  # it tells nothing that epoch 1 does not
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data module divides the rows itself
}
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")  # those of Lightning 2.6
# Those that give each device a whole copy of the model, or use one device.
STRATEGIES = (
    "auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false",
    "single_device", "single_tpu", "single_xla", "xla", "xla_debug",
)  # fmt: skip
SHARDED = ("fsdp", "deepspeed")
# What the environment has where several machines were started together.
LAUNCHED = (
    "MASTER_ADDR",
    "GROUP_RANK",
    "SLURM_JOB_ID",
    "LSB_JOBID",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
)
STARTED_ANEW = ("ddp_spawn", "ddp_fork", "ddp_notebook")
# What the trainer asks, and what says why there is none.
KINDS: dict[str, tuple[type[Accelerator], Callable[[], Presence]]] = {
    "cuda": (CUDAAccelerator, find_cuda),
    "mps": (MPSAccelerator, find_mps),
    "tpu": (XLAAccelerator, find_tpu),
}


def _count(least: int, *others: Any) -> tuple[Callable[[Any], bool], str]:
    """Return the range of whole numbers from `least`, and of other values that mean something."""
    return (lambda value: value in others or value >= least), f"a whole number from {least}"


def _part(value: Any) -> bool:
    return value is None or (value >= 1 if isinstance(value, int) else 0 < value <= 1)


PART = (_part, "a number of batches from 1, or a share above 0 and up to 1.0")
OFF = (lambda value: value in (None, False, 0), "false: `hwlit check` tries a run out")
ON = (lambda value: value in (None, True), "true: a run tests its best checkpoint")
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed_everything": (lambda seed: 0 <= seed < 2**32, f"a whole number from 0 to {2**32 - 1}"),
    "trainer.max_epochs": _count(1, -1, None),
    "trainer.max_steps": _count(1, -1),
    "trainer.accumulate_grad_batches": _count(1),
    "trainer.check_val_every_n_epoch": _count(1, None),
    "trainer.log_every_n_steps": _count(0, None),
    "trainer.num_sanity_val_steps": _count(0, -1, None),
    "trainer.num_nodes": _count(1),
    "trainer.limit_train_batches": PART,
    "trainer.limit_val_batches": PART,
    "trainer.limit_test_batches": PART,
    "trainer.gradient_clip_val": (lambda v: v is None or v >= 0, "a number from 0, or null"),
    "trainer.val_check_interval": (
        lambda value: not isinstance(value, int | float) or _part(value),
        "a number of batches from 1, or a share of an epoch above 0 and up to 1.0",
    ),
    "trainer.fast_dev_run": OFF,
    "trainer.barebones": OFF,
    "trainer.enable_checkpointing": ON,
}


def check_ranges(config: Mapping[str, Any]) -> None:
    """Refuse numbers that no run can use.

    Args:
        config: The parsed config of the subcommand, keys with dots.

    Raises:
        UsageError: A setting is out of range; names the flag, the value and what is wanted.
    """
    for key, (within, wanted) in RANGES.items():
        value = config.get(key)
        if not within(value):
            raise UsageError(f"--{key} is {value}; give {wanted}")
    epochs, every = config.get("trainer.max_epochs"), config.get("trainer.check_val_every_n_epoch")
    if epochs in (-1, None) and config.get("trainer.max_steps") == -1:
        raise UsageError(
            "--trainer.max_epochs sets no end, and the learning rate falls towards it; give a "
            "number of epochs, or --trainer.max_steps"
        )
    if every and epochs not in (-1, None) and every > epochs:
        raise UsageError(
            f"--trainer.check_val_every_n_epoch is {every}, but --trainer.max_epochs is {epochs}: "
            "nothing would be validated; lower it"
        )


def check_devices(config: Mapping[str, Any]) -> None:
    """Refuse an accelerator that is not there, more devices than there are, unknown strategies.

    Args:
        config: The parsed config of the subcommand, keys with dots.

    Raises:
        UsageError: There is no accelerator or strategy of that name, or no such number.
        ResourceError: The device is not there.
    """
    accelerator = config.get("trainer.accelerator")
    _check_strategy(config.get("trainer.strategy"))
    if not isinstance(accelerator, str):
        return
    if accelerator == "xpu":
        raise UsageError("--trainer.accelerator xpu: Lightning trains on no Intel GPU; use cpu")
    if accelerator not in ACCELERATORS:
        near = difflib.get_close_matches(accelerator, ACCELERATORS, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(ACCELERATORS)}"
        raise UsageError(f"--trainer.accelerator {accelerator} is unknown; {hint}")
    asked = config.get("trainer.devices")
    indices = _indices(asked)
    _check_nodes(config.get("trainer.num_nodes"))
    kinds = [KINDS[kind] for kind in _kinds(accelerator) if kind in KINDS]
    there = next((kind.auto_device_count() for kind, _ in kinds if kind.is_available()), 0)
    if accelerator != "auto" and kinds and not there:
        raise ResourceError(
            f"--trainer.accelerator {accelerator}: there is none here ({kinds[0][1]().reason}); "
            "use --trainer.accelerator cpu or auto"
        )
    last = -1 if indices is None else _last(indices)
    if there and last >= there:
        raise ResourceError(
            f"--trainer.devices {asked} asks for more than the {there} {accelerator} "
            f"device{'s' if there > 1 else ''} here; lower it"
        )
    if not there and last >= (most := max(2, os.cpu_count() or 1)):
        raise ResourceError(
            f"--trainer.devices {asked} asks for a process on each of as many processors, and "
            f"there are {most}; lower it"
        )
    _check_precision(str(config.get("trainer.precision")), _kinds(accelerator))


def _check_strategy(strategy: Any) -> None:
    """Refuse a strategy that cannot end with a tested, measured row.

    Raises:
        UsageError: It is unknown, or cannot finish.
    """
    if not isinstance(strategy, str) or strategy in STRATEGIES:
        return
    if strategy.startswith(SHARDED):
        raise UsageError(
            f"--trainer.strategy {strategy} shards the model over the devices, which hwlit can "
            "neither save nor test yet; use ddp, which gives each device a whole copy"
        )
    if strategy.startswith(STARTED_ANEW):
        raise UsageError(
            f"--trainer.strategy {strategy} starts its processes anew for every stage, and a run "
            "trains and tests in one go; use ddp"
        )
    near = difflib.get_close_matches(strategy, STRATEGIES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else "the usual are auto and ddp"
    raise UsageError(f"--trainer.strategy {strategy} is unknown; {hint}")


def _check_nodes(nodes: Any) -> None:
    """Refuse to wait for machines that nobody has told how to find this one.

    Raises:
        UsageError: Nothing says that this is one of several.
    """
    if isinstance(nodes, int) and nodes > 1 and not any(name in os.environ for name in LAUNCHED):
        raise UsageError(
            f"--trainer.num_nodes {nodes}: nothing says where the other machines are; start it by "
            "torchrun or SLURM, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each"
        )


def _check_precision(precision: str, kinds: Sequence[str]) -> None:
    """Refuse bf16 on a GPU that emulates it: each step would take many times as long.

    Raises:
        ResourceError: The GPU has no bf16.
    """
    if not precision.startswith("bf16") or "cuda" not in kinds or not torch.cuda.is_available():
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ResourceError(
            f"--trainer.precision {precision}: {torch.cuda.get_device_name(0)} has no bf16 and "
            "would emulate it; use 16-mixed or 32-true"
        )


def check_monitors(trainer: Trainer, logged: Sequence[str], usual: str) -> None:
    """Give the checkpoints their metric; refuse callbacks that wait for one that nobody logs.

    Args:
        trainer: The trainer with its callbacks.
        logged: The names of the metrics that the task logs.
        usual: The one that decides which checkpoint is the best, unless the run says so.

    Raises:
        UsageError: There is no such metric; names the nearest.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if not isinstance(callback, EarlyStopping | ModelCheckpoint | Checkpoints):
            continue
        if isinstance(callback, Checkpoints):
            callback.monitor = callback.monitor or usual
        name = callback.monitor
        if name is not None and name not in logged:
            flag = "trainer.callbacks" if isinstance(callback, EarlyStopping) else "checkpoint"
            choices = ", ".join(logged)
            raise UsageError(f"--{flag}.monitor {name} is not logged; choose one of: {choices}")


def one_device(devices: Any) -> dict[str, Any]:
    """Return the first of the devices that are asked for, as an argument of the trainer."""
    indices = _indices(devices)
    listed = indices is not None and (isinstance(devices, list) or "," in str(devices))
    return {"devices": list(indices[:1]) if indices and listed else 1, "strategy": "auto"}


def _kinds(accelerator: str) -> tuple[str, ...]:
    if accelerator == "auto":
        return ("tpu", "cuda", "mps")
    return ("cuda", "mps") if accelerator == "gpu" else (accelerator,)


def _last(indices: Sequence[int]) -> int:
    """Return the greatest number; of a range, which may hold billions, without searching it."""
    return indices[-1] if isinstance(indices, range) else max(indices)


def _indices(devices: Any) -> Sequence[int] | None:
    """Return the device numbers that are asked for; None where all are, whatever their number.

    Raises:
        UsageError: It is no number of devices.
    """
    text = str(devices).strip("[] ")
    if text in ("auto", "-1"):
        return None
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    listed = isinstance(devices, list) or "," in text
    if not numbers or min(numbers) < (0 if listed else 1):
        raise UsageError(
            f"--trainer.devices is {devices}; give a whole number from 1, a list of device "
            "numbers, or auto"
        )
    return numbers if listed else range(numbers[0])
