import torch

from hwlit.tasks.optimizers import make_optimizer


def test_only_matrices_are_decayed():
    """A scale that decays to 0, as (IA)^3's single column would, shuts its feature off."""
    shapes = {"matrix": (3, 4), "kernel": (3, 4, 1, 1), "bias": (3,), "scale": (3, 1), "one": (1,)}
    learned = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes.values()]
    decayed, kept = make_optimizer(torch.optim.AdamW, learned, 0.5).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(3, 4), (3, 4, 1, 1)]
    assert len(kept["params"]) == 3
    assert kept["weight_decay"] == 0.0
    assert decayed["lr"] == kept["lr"] == 0.5
    assert decayed["weight_decay"] > 0
