"""Stands in for torch_xla."""

from importlib.machinery import ModuleSpec
from types import ModuleType

import torch


class FakeXla:
    """Records what is called; `memory` is what the runtime answers, or raises."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.chips = 0
        self.memory: dict[str, int] | Exception = {
            "bytes_used": 10,
            "peak_bytes_used": 30,
            "bytes_limit": 100,
        }

    def get_memory_info(self, device: torch.device) -> dict[str, int]:
        assert device.type == "xla"
        if isinstance(self.memory, Exception):
            raise self.memory
        return self.memory

    def modules(self) -> list[ModuleType]:
        """The modules to import instead."""
        package, core, model, runtime, internal, tpu = (
            ModuleType(name)
            for name in (
                "torch_xla",
                "torch_xla.core",
                "torch_xla.core.xla_model",
                "torch_xla.runtime",
                "torch_xla._internal",
                "torch_xla._internal.tpu",
            )
        )
        for module in (package, core, model, runtime, internal, tpu):
            module.__spec__ = ModuleSpec(module.__name__, None)  # libraries look for it
        package.sync = lambda: self.calls.append("sync")
        package.core, package.runtime, core.xla_model = core, runtime, model
        model.wait_device_ops = lambda: self.calls.append("wait")
        model.get_memory_info = self.get_memory_info
        model.xla_device_hw = lambda device: "TPU"
        model.xla_device = lambda index: torch.device("xla", index or 0)
        runtime.device_type = lambda: "TPU"
        runtime.global_runtime_device_count = lambda: 8
        internal.tpu = tpu
        tpu.num_available_chips = lambda: self.chips
        return [package, core, model, runtime, internal, tpu]
