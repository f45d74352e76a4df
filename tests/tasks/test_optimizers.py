import torch

from hwlit.tasks.optimizers import parameter_groups


def test_only_matrices_are_decayed():
    """A scale that decays to 0, as (IA)^3's single column would, shuts its feature off."""
    shapes = {"matrix": (3, 4), "kernel": (3, 4, 1, 1), "bias": (3,), "scale": (3, 1), "one": (1,)}
    learned = {name: torch.zeros(shape) for name, shape in shapes.items()}
    decayed, kept = parameter_groups(learned.values(), 0.5)
    assert [tuple(p.shape) for p in decayed["params"]] == [(3, 4), (3, 4, 1, 1)]
    assert len(kept["params"]) == 3
    assert kept["weight_decay"] == 0.0
    assert decayed["lr"] == kept["lr"] == 0.5
    assert "weight_decay" not in decayed
