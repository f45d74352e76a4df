import pytest
import torch

from hwlit.metrics.similarity import (
    diversity,
    drift,
    memorising,
    prompt_fidelity,
    shared_words,
    subject_fidelity,
    without_identifier,
)

EAST, NORTH = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
BETWEEN = torch.tensor([0.6, 0.8])


def test_subject_fidelity_is_the_mean_over_all_pairs():
    found = subject_fidelity(torch.stack([EAST, BETWEEN]), torch.stack([EAST, NORTH, NORTH]))
    assert found.tolist() == pytest.approx([1 / 3, (0.6 + 0.8 + 0.8) / 3])
    assert float(found.mean()) == pytest.approx((1 + 0 + 0 + 0.6 + 0.8 + 0.8) / 6)


def test_each_picture_is_compared_with_its_own_prompt():
    found = prompt_fidelity(torch.stack([EAST, BETWEEN]), torch.stack([NORTH, NORTH]))
    assert found.tolist() == pytest.approx([0.0, 0.8])


def test_diversity_is_zero_for_equal_pictures_and_taken_within_a_prompt():
    pictures = torch.stack([EAST, NORTH, EAST, EAST, BETWEEN])
    prompts = ["same", "apart", "same", "apart", "alone"]
    found = diversity(pictures, prompts)
    assert found[:4].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert found[4].isnan()
    three = diversity(torch.stack([EAST, NORTH, BETWEEN]), ["three"] * 3)
    assert three.tolist() == pytest.approx([(1 + 0.4) / 2, (1 + 0.2) / 2, (0.4 + 0.2) / 2])
    assert float(three.mean()) == pytest.approx((1 + 0.4 + 0.2) / 3), "that over pairs"


def test_a_copied_photo_shows_even_among_others():
    found = memorising(torch.stack([BETWEEN, EAST]), torch.stack([NORTH, EAST]))
    assert found.tolist() == pytest.approx([0.8, 1.0])


def test_drift_is_zero_where_nothing_moved():
    base = torch.stack([EAST, NORTH])
    assert drift(base, base).tolist() == [0.0, 0.0]
    assert drift(base, torch.stack([BETWEEN, -NORTH])).tolist() == pytest.approx([0.4, 2.0])


@pytest.mark.parametrize(
    ("prompt", "identifier", "wanted"),
    [
        ("a photo of sks dog", "sks", "a photo of dog"),
        ("sks", "sks", ""),
        ("a <new1> cat, <new1> in snow", "<new1>", "a cat, in snow"),
        ("tasks and sksish", "sks", "tasks and sksish"),
        ("a Zwx glorp on grass", "glorp zwx", "a on grass"),
        ("a photo of dog", "", "a photo of dog"),
    ],
)
def test_the_identifier_is_dropped_as_a_whole_word(prompt, identifier, wanted):
    assert without_identifier(prompt, identifier) == wanted


def test_of_two_concepts_a_picture_is_compared_with_the_photos_of_its_own():
    pairs = shared_words(["a <A> cup", "<b>", "<a> and <b>", "x"], ["<a>", "<b>"], ["<a>", "<b>"])
    assert pairs.tolist() == [[True, False], [False, True], [True, True], [True, True]]
    drawn = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert subject_fidelity(drawn, torch.eye(2), pairs).tolist() == [1.0, 0.0, 0.5, 0.5]
