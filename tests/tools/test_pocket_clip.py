"""What pocket-clip's text tower learns from: captions, and which scenes each is true of."""

from random import Random

import torch

from tools.pocket.clip import contrastive, told, truths
from tools.pocket.scenes import Scene, any_scene

MUG = Scene("mug", "red", "grass", "big", "striped", "white", "hat")


def test_a_caption_is_true_of_its_own_scene_and_says_what_it_names():
    rng = Random(0)
    for _ in range(200):
        scene = any_scene(rng)
        caption, named = told(scene, rng)
        assert truths([scene], [named]).item() == 1
        assert scene.thing in caption
        assert all(word in caption for key, word in named.items() if key in ("colour", "accessory"))


def test_what_is_left_out_may_be_anything():
    named = [{"thing": "mug"}, {"thing": "mug", "pattern": "striped"}, {"thing": "fish"}]
    plain = Scene("mug", "blue", "sand")
    assert truths([MUG, plain], named).tolist() == [[1, 1, 0], [1, 0, 0]]


def test_no_loss_is_left_where_all_that_is_true_scores_alike_and_highest():
    true = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    best = contrastive(100 * true, true)
    shared = (2 * torch.log(torch.tensor(2.0))) / 3  # two that are true share the probability
    torch.testing.assert_close(best, shared)
    assert contrastive(100 * true.flip(0), true) > best
