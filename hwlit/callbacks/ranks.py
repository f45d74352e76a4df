"""The processes of one job: which one this is, and how the first learns what others measured."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from hwlit.callbacks.monitor import Monitor
from hwlit.errors import UsageError

# What gloo, the store of torch.distributed and NCCL say of a process that is gone.
LOST = (
    "Connection closed by peer", "Connection reset by peer", "Broken pipe",
    "Did the remote server shutdown or crash", "a remote process exiting prematurely",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Which of a job's processes this is.

    Args:
        rank: Its number among all of them.
        world_size: How many there are.
        node: The number of its node.
        nodes: How many nodes there are.
        local_rank: Its number on its node.
        siblings: Whether something outside (torchrun, SLURM) started the processes; else the first
            of each node started the others, which are among its descendants.
        strategy: What joins them.
    """

    rank: int = 0
    world_size: int = 1
    node: int = 0
    nodes: int = 1
    local_rank: int = 0
    siblings: bool = False
    strategy: str = "SingleDeviceStrategy"

    @classmethod
    def of(cls, trainer: Trainer) -> Place:
        """Return the place of this process.

        Raises:
            UsageError: The strategy starts its processes anew for each stage.
        """
        strategy = trainer.strategy
        name = type(strategy).__name__
        if isinstance(strategy.launcher, _MultiProcessingLauncher):
            raise UsageError(
                "a strategy that starts its processes anew for every stage, such as ddp_spawn, "
                "cannot run fit and test in one go; use --trainer.strategy ddp, or on a TPU "
                "--trainer.devices 1"
            )
        if not isinstance(strategy, ParallelStrategy) or strategy.cluster_environment is None:
            return cls(strategy=name)
        environment = strategy.cluster_environment
        return cls(
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            node=environment.node_rank(),
            nodes=trainer.num_nodes,
            local_rank=environment.local_rank(),
            # Not `creates_processes_externally`: that is true in the processes it has started.
            siblings=not isinstance(environment, LightningEnvironment),
            strategy=name,
        )

    def facts(self) -> dict[str, Any]:
        """Return what the record says about the job, plain data."""
        return {
            "world_size": self.world_size,
            "nodes": self.nodes,
            "strategy": self.strategy,
        }


def node_devices(trainer: Trainer) -> list[torch.device]:
    """Return the devices of this node that the job uses."""
    # Not `trainer.device_ids`: for --trainer.devices [1,0] that is [1, 1].
    strategy = trainer.strategy
    devices = strategy.parallel_devices if isinstance(strategy, ParallelStrategy) else None
    return devices or [strategy.root_device]


def join(monitors: Sequence[Monitor], place: Place) -> None:
    """Hand what every process measured to the first; each calls this once, where all went well.

    A process that died closes its connections, and the others get an error instead of waiting.
    """
    if place.world_size == 1:
        return
    shares = [monitor.share() for monitor in monitors]
    everyone: list[list[object]] | None = [[]] * place.world_size if place.rank == 0 else None
    torch.distributed.gather_object(shares, everyone, dst=0)
    if everyone is not None:
        for monitor, found in zip(monitors, zip(*everyone, strict=True), strict=True):
            monitor.join(found[1:])


def outlive_others() -> None:
    """Let this process finish, although those that it started end before it, and not with 0.

    Every 5 s Lightning looks at them and, where one has failed, kills this process too, so that it
    does not wait for ever. Once the run is over here, nothing waits, and the record is to write.
    """
    for thread in threading.enumerate():
        if isinstance(thread, _ChildProcessObserver):
            thread._child_processes = []  # it ends as soon as it has none to look at


def in_place_of_killing(action: Callable[[], None] | None) -> None:
    """Have Lightning call something else where a process that this one started fails.

    Args:
        action: What it calls; None lets it kill this process again.
    """
    for thread in threading.enumerate():
        if isinstance(thread, _ChildProcessObserver):
            vars(thread).pop("_terminate_all", None)
            if action is not None:
                vars(thread)["_terminate_all"] = action


def end_started(grace: float = 3.0) -> None:
    """End the processes that this one has started, by SIGTERM and after a grace by SIGKILL."""
    started = psutil.Process().children(recursive=True)
    with contextlib.suppress(psutil.Error):
        for process in started:
            process.terminate()
        for process in psutil.wait_procs(started, timeout=grace)[1]:
            process.kill()


def lost_others(error: BaseException) -> bool:
    """Return whether an exception says that another process of the job has ended."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in LOST)
