"""What test pictures tell, with encoders whose features are known."""

from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from hwlit.callbacks.pictures import Pictures
from hwlit.callbacks.scores import Concept

# A picture is one colour but for a pixel, in which no two are alike; its features are that colour
# as a unit vector, and texts name colours.
NUMBERS = count(100)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
VECTORS = {"red": RED, "green": GREEN, "blue": BLUE}


def unit(rows):
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


class ColourClip:
    checkpoint = "colours"

    def images(self, pictures):
        return unit([picture.getpixel((0, 0)) for picture in pictures])

    def features(self, pictures):
        return 3 * self.images(list(pictures))

    def texts(self, texts):
        assert not any("sks" in text for text in texts)
        return unit([VECTORS[text.split()[-1]] for text in texts])

    def facts(self):
        return {"checkpoint": self.checkpoint, "sha256": "0"}

    def too_long(self, texts):
        return [text for text in texts if "endless" in text]


ROWS = [
    {"row_id": 0, "prompt": "sks red", "seed": 0, "kind": "concept"},
    {"row_id": 1, "prompt": "sks red", "seed": 1, "kind": "concept"},
    {"row_id": 2, "prompt": "sks endless green", "seed": 2, "kind": "concept"},
    {"row_id": 3, "prompt": "sks endless green", "seed": 3, "kind": "concept"},
    {"row_id": 4, "prompt": "blue", "seed": 4, "kind": "unrelated"},
    {"row_id": 5, "prompt": "blue", "seed": 5, "kind": "unrelated"},
]
DRAWN = [RED, RED, RED, GREEN, BLUE, RED]


def tile(colour, size=(8, 8), number=None):
    picture, number = Image.new("RGB", size, colour), next(NUMBERS) if number is None else number
    high, low = divmod(number, 64)
    picture.putpixel((size[0] - 1, size[1] - 1), (9, 4 * high, 4 * low))
    return picture


def concept(rows=ROWS, base=(), photos=(RED, BLUE), identifier="sks", classes=()):
    shown = [tile(photo, (30, 20)) for photo in photos]
    loads = [partial(tile, colour) for colour in classes]
    return Concept(rows, shown, identifier, dict(base), loads)


def collected(rows=ROWS, colours=DRAWN, order=None):
    """Pictures after a test in two batches, the rows in some order."""
    pictures = Pictures()
    ids = torch.tensor(order or [row["row_id"] for row in rows])
    pixels = torch.stack(
        [torch.from_numpy(np.array(tile(colours[i], number=i))) for i in ids.tolist()]
    )
    pictures.on_test_start(None, None)
    for part in (slice(0, 2), slice(2, None)):
        overflowed = torch.zeros(len(ids[part]), dtype=torch.bool)
        outputs = {"row_id": ids[part], "pictures": pixels[part], "decoded_in_fp32": overflowed}
        pictures.on_test_batch_end(None, None, outputs, None, 0)
    pictures.on_test_epoch_end(SimpleNamespace(world_size=1), None)
    return pictures


def scored(dino=None, **changes):
    pictures = collected()
    pictures.score(concept(**changes), ColourClip(), dino)
    return pictures


def values(pictures):
    return {name: reading.value for name, reading in pictures.readings().items()}


def test_the_measures_of_a_known_set():
    base = {4: tile(BLUE), 5: tile(BLUE)}
    found = scored(base=base).readings()
    assert values(scored(base=base)) == pytest.approx(
        {
            "test/clip_i": 3 * 0.5 / 4,  # three of four pictures are like one of two photos
            "test/clip_t": 3 / 4,
            "test/memorising": 1.0,
            "test/diversity": 0.5,  # 0 for the first prompt, 1 for the second
            "test/drift": 0.5,  # one of two became another
        }
    )
    assert {name: reading.n for name, reading in found.items()} == {
        "test/clip_i": 4,
        "test/clip_t": 4,
        "test/memorising": 4,
        "test/diversity": 4,
        "test/drift": 2,
    }
    assert (found["test/clip_t"].low, found["test/clip_t"].high) == (0.5, 1.0)
    assert found["test/memorising"].low is None


def test_methods_name_the_checkpoint_and_what_was_done():
    methods = {name: str(reading.how) for name, reading in scored().readings().items()}
    assert all("colours" in method for method in methods.values())
    assert all(method.startswith("measured: ") for method in methods.values())
    assert "'sks' dropped" in methods["test/clip_t"]
    assert "2 photos" in methods["test/clip_i"]


@pytest.mark.parametrize("identifier", ["<new1>", "Zwx glorp"])
def test_clip_reads_prompts_without_any_word_of_the_identifier(identifier):
    read = []

    class Reader(ColourClip):
        def texts(self, texts):
            read.extend(texts)
            return super().texts(texts)

    rows = [{**row, "prompt": row["prompt"].replace("sks", f"a {identifier}")} for row in ROWS]
    pictures = collected()
    pictures.score(concept(rows=rows, identifier=identifier), Reader())
    assert read == ["a red"] * 2 + ["a endless green"] * 2
    found = pictures.readings()["test/clip_t"]
    assert f"({identifier!r} dropped)" in found.how.text
    assert found.value == 3 / 4
    assert pictures.details()["per_prompt"][0]["prompt"] == f"a {identifier} red"  # as it was drawn


def test_the_base_model_is_measured_where_it_drew_the_concept():
    base = {row["row_id"]: tile(GREEN) for row in ROWS}
    found = values(scored(base=base))
    assert (found["base/clip_i"], found["base/clip_t"]) == (0.0, 0.5)
    assert "base/clip_i" not in values(scored(base={4: tile(BLUE), 5: tile(BLUE)}))


def on_distance(pictures):
    return [told for told in pictures.details()["remarks"] if "clip_kid" in told]


def test_the_distance_to_class_pictures_says_what_it_rests_on():
    base = {row["row_id"]: tile(GREEN) for row in ROWS}
    pictures = scored(base=base, classes=[GREEN, GREEN, BLUE])
    found = pictures.readings()
    # Features are 3 long, so kernels are (9/3 + 1)^3 = 64 of like colours, else 1.
    classes = (2 * 64 + 4) / 6
    tuned = (6 * 64 + 6) / 12 + classes - 2 * (2 * 64 + 10) / 12  # red, red, red, green
    assert found["test/clip_kid"].value == pytest.approx(tuned)
    untuned = 64 + classes - 2 * (2 * 64 + 1) / 3  # all green
    assert found["base/clip_kid"].value == pytest.approx(untuned)
    method = found["test/clip_kid"].how.text
    assert "4 pictures of the concept to 3 of the class" in method
    assert "CLIP colours in place of Inception's" in method
    assert found["test/clip_kid"].interval == "jackknife over prompts and class"
    assert found["test/clip_kid"].low < tuned < found["test/clip_kid"].high
    (remark,) = on_distance(pictures)
    assert "rests on 4 pictures of the concept and 3 of the class; below 2,048" in remark


def test_enough_pictures_need_no_remark(monkeypatch):
    monkeypatch.setattr("hwlit.callbacks.scores.FEW", 3)
    assert on_distance(scored(classes=[GREEN, BLUE, BLUE])) == []
    assert on_distance(scored(classes=[GREEN, BLUE]))
    assert on_distance(scored()) == []  # there is no distance


def test_dino_looks_with_its_own_eyes():
    def blind(pictures):
        return unit([[1, 0] for _ in pictures])

    dino = SimpleNamespace(checkpoint="eyes", images=blind, facts=dict)
    pictures = scored(dino=dino)
    assert pictures.readings()["test/dino"].value == 1.0
    assert "DINO eyes" in pictures.readings()["test/dino"].how.text
    assert set(pictures.details()["encoders"]) == {"clip", "dino"}


def test_what_is_missing_says_why():
    pictures = Pictures()
    assert not pictures.readings()
    assert pictures.absent()["test/clip_i"] == "the run ended before the test"
    single = collected()
    single.score(concept(rows=[ROWS[0], ROWS[2]]), ColourClip())
    assert single.absent() == {
        "test/dino": "no DINO checkpoint was given",
        "test/diversity": "one picture per prompt has none",
        "test/drift": "nothing was drawn for unrelated prompts",
        "test/clip_kid": "it compares two pictures of the concept or more with as many of the "
        "class; the run had 2 and 0",
    }
    assert not set(single.absent()) & set(single.readings())


def test_the_table_has_a_row_per_prompt():
    details = scored(base={4: tile(BLUE), 5: tile(BLUE)}).details()
    red, green, blue = details["per_prompt"]
    assert (red["prompt"], red["n"], red["clip_t"], red["diversity"]) == ("sks red", 2, 1.0, 0.0)
    assert (green["clip_t"], green["diversity"], green["memorising"]) == (0.5, 1.0, 1.0)
    assert (blue["kind"], blue["drift"]) == ("unrelated", 0.5)
    assert details["cut_for_clip"] == ["endless green"]
    told = "test/clip_t reads 1 of 2 prompts without their ends"
    assert [remark.startswith(told) for remark in details["remarks"]] == [True]


def test_processes_are_joined_in_the_order_of_rows():
    alone = collected()
    first, second = Pictures(), collected(order=[5, 3, 1, 2])
    first._parts = collected(order=[4, 0, 5])._parts  # 5 fills up the last batch
    first.join([second.share()])
    assert list(first.images) == list(alone.images) == list(range(6))
    assert all(first.images[row].tobytes() == alone.images[row].tobytes() for row in range(6))


def test_pictures_and_sheet_are_written(tmp_path):
    base = {4: tile(BLUE), 5: tile(BLUE)}
    own = concept(base=base)
    sheet = collected().write(tmp_path, own)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["base-0004.png", "base-0005.png", *(f"test-{i:04d}.png" for i in range(6)),
                     "test.png"]  # fmt: skip
    with Image.open(tmp_path / "test-0003.png") as picture:
        assert picture.getpixel((0, 0)) == GREEN
        assert picture.text == {"prompt": "sks endless green", "seed": "3"}
    # Photos, two prompts of the concept, and the unrelated one with what the base drew beside it.
    pixels = np.asarray(sheet)
    assert [int((pixels == colour).all(-1).any(1).sum()) for colour in (RED, GREEN, BLUE)] == [
        100 + 3 * 160, 160, 100 + 160,
    ]  # fmt: skip
    left, right = np.hsplit(pixels, 2)
    assert (right == BLUE).all(-1).sum() > (left == BLUE).all(-1).sum() > 160 * 160


def test_each_test_begins_anew():
    pictures = collected()
    pictures.on_test_start(None, None)
    pictures.join([])
    assert not pictures.images


BLACK = Image.new("RGB", (8, 8))


def drawn(pictures, overflowed=()):
    """What is told of given pictures, in the order of `ROWS`."""
    found = Pictures()
    found.on_test_start(None, None)
    outputs = {
        "row_id": torch.arange(len(pictures)),
        "pictures": torch.from_numpy(np.stack([np.asarray(p) for p in pictures])),
        "decoded_in_fp32": torch.tensor([i in overflowed for i in range(len(pictures))]),
    }
    found.on_test_batch_end(None, None, outputs, None, 0)
    found.on_test_epoch_end(SimpleNamespace(world_size=1), None)
    return found


SOUND = [tile(colour, number=number) for number, colour in enumerate(DRAWN)]
BASE = {row: tile(BLUE, number=row) for row in range(6)}
CLASSES = (RED, GREEN, BLUE)
QUALITY = {"clip_i", "clip_t", "diversity", "memorising", "clip_kid"}


class Grey(ColourClip):
    """Sees black, too."""

    def images(self, pictures):
        return unit([[level + 1 for level in picture.getpixel((0, 0))] for picture in pictures])


@pytest.mark.parametrize(
    ("own", "told"),
    [([BLACK] * 4, "are each of one colour"), ([SOUND[0]] * 4, "are all equal")],
)
def test_pictures_that_show_nothing_measure_nothing(own, told):
    pictures = drawn([*own, *SOUND[4:]])
    pictures.score(concept(base=BASE, classes=CLASSES), Grey())
    left_out = {f"test/{name}" for name in QUALITY}
    assert not left_out & set(pictures.readings())
    assert {"base/clip_i", "base/clip_kid", "test/drift"} <= set(pictures.readings())
    assert all(told in pictures.absent()[name] for name in left_out)
    assert set(pictures.table().columns) == {"drift"}
    for row in pictures.details()["per_prompt"][:2]:
        assert set(row) == {"prompt", "kind", "n"}
    remark = pictures.details()["remarks"][0]
    assert remark.startswith(f"the test pictures {told}, so that test/clip_i")


def test_black_class_pictures_are_no_distance():
    """A black set is as near to a black set as can be."""
    pictures = drawn(SOUND)
    black = Concept(ROWS, [tile(RED)], "sks", BASE, [lambda: BLACK] * 3)
    pictures.score(black, Grey())
    assert not [name for name in pictures.readings() if "kid" in name]
    assert "test/clip_i" in pictures.readings()
    assert "the class pictures are each of one colour" in pictures.absent()["test/clip_kid"]


@pytest.mark.parametrize(
    ("pictures", "base"), [([*SOUND[:4], BLACK, BLACK], BASE), (SOUND, BASE | {4: BLACK, 5: BLACK})]
)
def test_nothing_has_drifted_from_black_to_black(pictures, base):
    found = drawn(pictures)
    found.score(concept(base=base, classes=CLASSES), Grey())
    assert "test/drift" not in found.readings()
    assert "unrelated prompts are each of one colour" in found.absent()["test/drift"]
    assert {name.partition("/")[2] for name in found.readings() if "test/" in name} == QUALITY


def test_some_pictures_of_one_colour_or_equal_ones_are_told():
    found = drawn([SOUND[0], BLACK, SOUND[2], SOUND[2], *SOUND[4:]], overflowed=(0, 3))
    found.score(concept(base=BASE), Grey())
    assert "test/clip_i" in found.readings()
    told = found.details()["remarks"]
    assert told[0].startswith("1 of 6 test pictures are of one colour, the first of seed 1 for")
    assert told[1].startswith("the test pictures of 1 of 3 prompts are equal, whatever the seed;")
    assert "overflowed in half precision on 2 of 6 test pictures" in told[-1]


def test_what_is_wrong_with_both_sides_of_a_distance_is_told():
    pictures = drawn([BLACK] * 6)
    pictures.score(Concept(ROWS, [tile(RED)], "sks", BASE, [lambda: SOUND[0]] * 3), Grey())
    assert pictures.absent()["test/clip_kid"] == (
        "the test pictures are each of one colour, and the class pictures are all equal: see "
        "samples/"
    )
    assert pictures.absent()["base/clip_kid"] == "the class pictures are all equal: see samples/"


def test_a_measure_that_is_absent_anyway_keeps_its_own_reason():
    rows = [ROWS[0], {**ROWS[2], "row_id": 1}]
    pictures = drawn([SOUND[0]] * 2)
    pictures.score(concept(rows=rows, base=BASE), Grey())
    told = pictures.absent()
    assert told["test/dino"] == "no DINO checkpoint was given"
    assert told["test/diversity"] == "one picture per prompt has none"
    assert told["test/clip_kid"].startswith("it compares two pictures")
    assert told["test/clip_i"] == "the test pictures are all equal: see samples/"
    assert pictures.details()["remarks"][:1] == [
        "the test pictures are all equal, so that test/clip_i, test/clip_t, test/memorising would "
        "mean nothing and are left out; look at samples/test.png"
    ]


def test_nothing_is_said_of_how_a_distance_spreads_that_is_left_out():
    pictures = drawn([SOUND[0]] * 6)
    pictures.score(concept(base=BASE, classes=CLASSES), Grey())
    assert "test/clip_kid" in pictures.absent()
    assert not [told for told in pictures.details()["remarks"] if "rests on" in told]
    assert "base/clip_kid" in pictures.readings()


def test_sound_pictures_are_left_alone():
    found = drawn(SOUND)
    found.score(concept(base=BASE, classes=CLASSES), Grey())
    assert QUALITY | {"drift"} == {n.partition("/")[2] for n in found.readings() if "test/" in n}
    assert not [told for told in found.details()["remarks"] if "colour" in told or "equal" in told]
