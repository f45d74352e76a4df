"""The drawn scenes: what is asked for is in the picture, and nothing held out is trained on."""

from collections import Counter
from itertools import combinations
from random import Random

import numpy as np
import pytest
from PIL import Image

from hwlit.networks import pocket
from tools.pocket import concepts, scenes
from tools.pocket.objects import MORE
from tools.pocket.scenes import COLOURS, HELD_OUT, TRAINING, Scene, caption, draw


def test_every_pair_of_a_held_out_triple_is_seen_in_training():
    assert len(HELD_OUT) == 200
    assert not set(HELD_OUT) & set(TRAINING)
    for i, j in combinations(range(3), 2):
        seen = Counter((t[i], t[j]) for t in TRAINING)
        assert all(seen[t[i], t[j]] >= 4 for t in HELD_OUT)


def test_the_same_seed_draws_the_same_picture():
    scene = Scene("fish", "red", "sea")
    one, two, other = (np.asarray(draw(scene, Random(seed))) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
    assert one.shape == (64, 64, 3)


@pytest.mark.parametrize("thing", [*scenes.OBJECTS, *MORE])
@pytest.mark.parametrize("colour", COLOURS)
def test_the_object_has_its_colour(thing, colour):
    """Without its background, more pixels are near the asked colour than near any other."""
    rng = Random(f"{thing} {colour}")
    pixels = np.asarray(draw(Scene(thing, colour, "white", "big"), rng)).reshape(-1, 1, 3)
    known = np.array(list(COLOURS.values()))
    # The shade darkens by up to 16 %, and the jitter moves each channel by up to 10.
    away = np.abs(pixels.astype(float) - known).max(2)
    near = Counter(away.argmin(1)[away.min(1) < 45].tolist())
    # Tyres, lines and coffee are dark in objects of every colour.
    if colour != "black":
        near.pop(list(COLOURS).index("black"), None)
    assert near.most_common(1)[0][0] == list(COLOURS).index(colour)
    assert near.most_common(1)[0][1] > 100


def test_the_object_stays_inside_the_picture():
    """Nothing of the object's colour touches the border, whatever its size and place."""
    rng = Random(0)
    for size in scenes.SIZES:
        for _ in range(20):
            pixels = np.asarray(draw(Scene("mug", "red", "white", size), rng)).astype(int)
            red = (pixels[..., 0] - pixels[..., 1]) > 90
            assert red.any()
            assert not red[[0, -1]].any()
            assert not red[:, [0, -1]].any()


def test_captions_say_what_is_drawn_and_nothing_else():
    rng = Random(0)
    for _ in range(500):
        scene = scenes.known_scene(rng)
        words = set(caption(scene, rng).split())
        assert scene.thing in words
        assert not words & (set(COLOURS) - {scene.colour})
        assert not words & ({"small", "big"} - {scene.size})


def test_captions_leave_out_the_colour_now_and_then():
    rng = Random(0)
    scene = Scene("car", "orange", "grass", "small")
    seen = Counter(caption(scene, rng) for _ in range(2000))
    assert seen["a photo of a car"] > 0
    assert seen["an orange car on the grass"] > 0
    without = sum(n for text, n in seen.items() if "orange" not in text)
    assert 0.1 < without / 2000 < 0.2


def test_patterned_captions_name_both_colours():
    scene = Scene("fish", "red", "sea", "", "spotted", "white", "hat")
    assert scenes.described(scene) == "a red and white spotted fish with a hat"
    assert scenes.described(scene, with_colour=False) == "a spotted fish with a hat"


def test_nothing_near_the_concepts_is_drawn():
    rng = Random(0)
    drawn = [scenes.any_scene(rng) for _ in range(3000)]
    for concept, _ in concepts.CONCEPTS.values():
        assert concept.thing in scenes.OBJECTS
        assert not [s for s in drawn if (s.thing, s.pattern) == (concept.thing, concept.pattern)]
    assert {s.pattern for s in drawn} == set(scenes.PATTERNS)


def test_the_shipped_concepts_are_what_the_script_draws():
    assert set(pocket.concepts()) == set(concepts.CONCEPTS)
    for name, folder in pocket.concepts().items():
        files = sorted(folder.iterdir())
        assert [file.name for file in files] == [f"{i}.png" for i in range(5)]
        for file, drawn in zip(files, concepts.pictures(name), strict=True):
            off = np.asarray(Image.open(file), dtype=int) - np.asarray(drawn, dtype=int)
            assert np.abs(off).mean() < 2  # other versions of Pillow draw lines a little otherwise
