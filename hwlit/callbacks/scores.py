"""How near test pictures come to a concept, its prompts and what the model drew before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from hwlit.callbacks.picture_readings import (
    bounded,
    mean_over_pictures,
    measure_of,
    units_of,
)
from hwlit.metrics.clip import Clip
from hwlit.metrics.dino import Dino
from hwlit.metrics.kid import kernel_distance, kernel_distance_interval
from hwlit.metrics.similarity import (
    diversity,
    drift,
    memorising,
    prompt_fidelity,
    shared_words,
    subject_fidelity,
    without_identifier,
)
from hwlit.networks.picture_flaws import EQUAL, flaw_of, is_blank
from hwlit.records import Reading, RowKind, RowTable, measured
from hwlit.records.table import general
from hwlit.statistics.student import Z_95

CONCEPT, UNRELATED = "concept", "unrelated"  # kinds of test rows
# What is measured on the pictures of the concept, by who drew them.
OF_CONCEPT = {
    "test": ("clip_i", "clip_t", "dino", "diversity", "memorising", "clip_kid"),
    "base": ("clip_i", "clip_t", "clip_kid"),
}
FEW = 2048  # below it the spread of KID and its kin exceeds what methods usually differ by
TestRows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Concept:
    """What the test pictures are compared with.

    Args:
        rows: The test rows: `row_id`, `prompt`, `seed`, and `kind`, "concept" or "unrelated".
        photos: The pictures that were trained on.
        identifier: The words of the prompts that name the concept; may be empty.
        base: What the untuned model draws for rows, by row id: of unrelated ones for the drift, and
            of the concept's, where its own quality is asked for.
        classes: What loads each class picture, if there are any.
        captions: What training says of each photo.
        words: The words of several concepts that are learned jointly: a picture is compared with
            the photos whose captions share one with its prompt. Of one concept none.
    """

    rows: TestRows
    photos: Sequence[Image.Image]
    identifier: str
    base: Mapping[int, Image.Image]
    classes: Sequence[Callable[[], Image.Image]] = ()
    captions: Sequence[str] = ()
    words: Sequence[str] = ()


class Scores:
    """The measures of one set of pictures; arguments as of `Pictures.score`.

    Args:
        concept: What the pictures are compared with.
        images: The pictures by row id.
        clip: Gives every measure but one.
        dino: Gives `test/dino`, if there is one.
    """

    def __init__(
        self,
        concept: Concept,
        images: Mapping[int, Image.Image],
        clip: Clip,
        dino: Dino | None,
    ) -> None:
        self._concept, self._clip, self._dino = concept, clip, dino
        rows = [row for row in concept.rows if row["row_id"] in images]
        self._own = [row for row in rows if row["kind"] == CONCEPT]
        self._unrelated = [
            row for row in rows if row["kind"] == UNRELATED and row["row_id"] in concept.base
        ]
        self._prompts = [row["prompt"] for row in self._own]
        self._texts = [without_identifier(prompt, concept.identifier) for prompt in self._prompts]
        self._images = images
        self._measure(images)
        self._lacking = self._reasons()
        there = {*self._values, *self._distances, "test/drift"} - set(self._lacking)
        flaws = self._flaws(images)
        self._meaningless = {name: why for name, why in flaws.items() if name in there}

    def _flaws(self, images: Mapping[int, Image.Image]) -> dict[str, str]:
        """Return why readings would mean nothing, by name.

        To an encoder two black pictures are alike: a set of them would be as near to the class as
        can be, and would have drifted from nothing.
        """
        base, classes = self._concept.base, flaw_of(load() for load in self._concept.classes)
        found: dict[str, str] = {}
        for phase, drawn in (("test", images), ("base", base)):
            own, others = (
                flaw_of(drawn[row["row_id"]] for row in rows if row["row_id"] in drawn)
                for rows in (self._own, self._unrelated)
            )
            whose = "the test pictures" if phase == "test" else "the untuned model's pictures"
            wrong = [f"{whose} {own}"] if own else []
            found |= {f"{phase}/{name}": wrong[0] for name in OF_CONCEPT[phase] if wrong}
            if classes:
                wrong.append(f"the class pictures {classes}")
                found[f"{phase}/clip_kid"] = ", and ".join(wrong)
            if others:
                found["test/drift"] = f"{whose} of unrelated prompts {others}"
        return found

    def _measure(self, images: Mapping[int, Image.Image]) -> None:
        clip, photos = self._clip, self._clip.images(self._concept.photos)
        said, words = clip.texts(self._texts), self._concept.words
        about = shared_words(self._prompts, self._concept.captions, words) if words else None
        features = {"test": clip.features(images[row["row_id"]] for row in self._own)}
        drawn = normalize(features["test"], dim=-1)
        self._values = {
            "test/clip_i": subject_fidelity(drawn, photos, about),
            "test/clip_t": prompt_fidelity(drawn, said),
            "test/memorising": memorising(drawn, photos),
            "test/diversity": diversity(drawn, self._prompts),
        }
        if self._dino is not None:
            real = self._dino.images(self._concept.photos)
            own = self._dino.images([images[row["row_id"]] for row in self._own])
            self._values["test/dino"] = subject_fidelity(own, real, about)
        base = self._concept.base
        if all(row["row_id"] in base for row in self._own):
            features["base"] = clip.features(base[row["row_id"]] for row in self._own)
            before = normalize(features["base"], dim=-1)
            self._values["base/clip_i"] = subject_fidelity(before, photos, about)
            self._values["base/clip_t"] = prompt_fidelity(before, said)
        self._drift = torch.empty(0)
        if self._unrelated:
            pairs = [[p[row["row_id"]] for row in self._unrelated] for p in (base, images)]
            self._drift = bounded("test/drift", drift(*(clip.images(pair) for pair in pairs)))
        self._values = {name: bounded(name, found) for name, found in self._values.items()}
        self._distances = self._to_classes(features) if self._enough else {}

    @property
    def _enough(self) -> bool:
        """Whether there are pictures for KID."""
        return min(len(self._own), len(self._concept.classes)) >= 2

    def _to_classes(self, features: Mapping[str, Tensor]) -> dict[str, Reading]:
        """Return the distance of tuned and base model's pictures to those of the class."""
        real = self._clip.features(load() for load in self._concept.classes)
        found = {}
        for who, own in features.items():
            ends = kernel_distance_interval(own, real, self._prompts)
            low, high = ends or (None, None)
            found[f"{who}/clip_kid"] = Reading(
                kernel_distance(own, real),
                "1",
                measured(
                    f"KID of {len(own)} pictures of the concept to {len(real)} of the class, "
                    f"unbiased, over features of CLIP {self._clip.checkpoint} in place of "
                    "Inception's" + ("; untuned model" if who == "base" else "")
                ),
                low,
                high,
                len(own),
                None if low is None else f"jackknife over {units_of(self._prompts)} and class",
                measure_of(f"{who}/clip_kid"),
                variance=None if ends is None else ((ends[1] - ends[0]) / (2 * Z_95)) ** 2,
            )
        return found

    def readings(self) -> dict[str, Reading]:
        """Return what could be measured."""
        clip, photos = self._clip.checkpoint, len(self._concept.photos)
        dropped = f"{self._concept.identifier!r} dropped" if self._concept.identifier else "whole"
        subject = f"mean cosine over all pairs with {photos} photos"
        if self._concept.words:
            subject += f", those of the prompt's words among {', '.join(self._concept.words)}"
        prompt = f"mean cosine of picture and prompt ({dropped}), CLIP {clip}"
        methods = {
            "test/clip_i": f"{subject}, CLIP {clip}",
            "test/clip_t": prompt,
            "test/dino": f"{subject}, DINO {self._dino.checkpoint if self._dino else ''}",
            "base/clip_i": f"{subject}, CLIP {clip}; untuned model",
            "base/clip_t": f"{prompt}; untuned model",
        }
        found = {
            name: mean_over_pictures(name, self._values[name], self._prompts, method)
            for name, method in methods.items()
            if name in self._values
        }
        found["test/memorising"] = Reading(
            float(self._values["test/memorising"].max()),
            "1",
            measured(f"largest cosine of a picture to one of {photos} photos, CLIP {clip}"),
            n=len(self._own),
            measure=measure_of("test/memorising"),
        )
        if self._alike.any():
            found["test/diversity"] = self._diversity()
        if len(self._drift):
            found["test/drift"] = mean_over_pictures(
                "test/drift",
                self._drift,
                [row["prompt"] for row in self._unrelated],
                f"mean of 1 - cosine to the untuned model's picture of the same unrelated prompt "
                f"and seed, CLIP {clip}",
            )
        found |= self._distances
        return {name: reading for name, reading in found.items() if name not in self._meaningless}

    def _diversity(self) -> Reading:
        """Return how far pictures of one prompt lie apart."""
        prompts = [p for p, alike in zip(self._prompts, self._alike, strict=True) if alike]
        reading = mean_over_pictures(
            "test/diversity",
            self._values["test/diversity"][self._alike],
            prompts,
            f"mean of 1 - cosine over pairs of one prompt, CLIP {self._clip.checkpoint}",
        )
        if len(set(prompts)) > 1:
            return reading
        # Each pair is in the values of two pictures, which so say nothing of how much they vary.
        return replace(reading, low=None, high=None, interval=None, rows=None, variance=None)

    @property
    def _alike(self) -> Tensor:
        """Which pictures have another one of their prompt, bool (pictures,)."""
        return ~self._values["test/diversity"].isnan()

    def table(self) -> RowTable:
        """Return the test rows: what each picture scored, in groups of one prompt.

        The identifier is `*`, for methods call one concept by identifiers of their own. Pictures of
        unrelated prompts have a drift and nothing else.
        """
        own = {row["row_id"]: place for place, row in enumerate(self._own)}
        others = {row["row_id"]: place for place, row in enumerate(self._unrelated)}
        rows = sorted((*self._own, *self._unrelated), key=lambda row: int(row["row_id"]))
        values = {
            name.partition("/")[2]: (own, [None if v != v else v for v in found.tolist()])
            for name, found in self._values.items()
            if name.startswith("test/") and name not in self._meaningless
        }
        if others and "test/drift" not in self._meaningless:
            values["drift"] = others, self._drift.tolist()
        columns = {
            name: [
                found[places[row["row_id"]]] if row["row_id"] in places else None for row in rows
            ]
            for name, (places, found) in values.items()
        }
        kinds: dict[str, RowKind] = dict.fromkeys(columns, "real")
        groups = [general(row["prompt"], self._concept.identifier) for row in rows]
        return RowTable([row["row_id"] for row in rows], columns, kinds, groups, "group")

    def absent(self) -> dict[str, str]:
        """Say why a measure is missing."""
        flawed = {name: f"{why}: see samples/" for name, why in self._meaningless.items()}
        return self._lacking | flawed

    def _reasons(self) -> dict[str, str]:
        """Return why a measure cannot be, whatever the pictures show."""
        reasons = {} if self._dino else {"test/dino": "no DINO checkpoint was given"}
        if not self._alike.any():
            reasons["test/diversity"] = "one picture per prompt has none"
        if not self._unrelated:
            reasons["test/drift"] = "nothing was drawn for unrelated prompts"
        if not self._enough:
            reasons["test/clip_kid"] = (
                "it compares two pictures of the concept or more with as many of the class; the "
                f"run had {len(self._own)} and {len(self._concept.classes)}"
            )
        return reasons

    def details(self) -> dict[str, Any]:
        """Return the table by prompt, and which encoders looked."""
        table, own = [], self._values.items()
        shown = {k: v for k, v in own if k.startswith("test/") and k not in self._meaningless}
        for prompt, places in places_of(self._prompts).items():
            means = {
                name.partition("/")[2]: float(
                    values[places].max() if name == "test/memorising" else values[places].mean()
                )
                for name, values in shown.items()
                if not values[places].isnan().any()
            }
            table.append({"prompt": prompt, "kind": CONCEPT, "n": len(places), **means})
        for prompt, places in places_of([row["prompt"] for row in self._unrelated]).items():
            moved = {"drift": float(self._drift[places].mean())}
            moved = {} if "test/drift" in self._meaningless else moved
            table.append({"prompt": prompt, "kind": UNRELATED, "n": len(places), **moved})
        encoders = {"clip": self._clip, "dino": self._dino}
        return {
            "per_prompt": table,
            "encoders": {name: coder.facts() for name, coder in encoders.items() if coder},
            "cut_for_clip": self._cut,
            "remarks": self._remarks(),
        }

    def _remarks(self) -> list[str]:
        """Return what a reader should know of the measures, a sentence each."""
        own, classes = len(self._own), len(self._concept.classes)
        told = self._degenerate()
        distance = "test/clip_kid" in self._distances.keys() - self._meaningless.keys()
        if distance and min(own, classes) < FEW:
            told.append(
                f"test/clip_kid rests on {own} pictures of the concept and {classes} of the class; "
                f"below {FEW:,} of each it is unbiased, but spreads more than methods usually "
                "differ: compare whole intervals"
            )
        if self._cut:
            told.append(
                f"test/clip_t reads {len(self._cut)} of {len(set(self._texts))} prompts without "
                f"their ends, for CLIP takes no more; the first: {self._cut[0][:60]!r}"
            )
        return told

    def _degenerate(self) -> list[str]:
        """Return what is wrong with the pictures themselves."""
        told, rows = [], [*self._own, *self._unrelated]
        for why, names in _by_value(self._meaningless).items():
            told.append(
                f"{why}, so that {', '.join(names)} would mean nothing and are left out; look at "
                "samples/test.png"
            )
        if blank := [row for row in rows if is_blank(self._images[row["row_id"]])]:
            told.append(
                f"{len(blank)} of {len(rows)} test pictures are of one colour, the first of seed "
                f"{blank[0]['seed']} for {blank[0]['prompt'][:60]!r}; look at samples/test.png"
            )
        by_prompt = places_of(row["prompt"] for row in rows)
        sets = {p: [self._images[rows[i]["row_id"]] for i in at] for p, at in by_prompt.items()}
        if same := [prompt for prompt, drawn in sets.items() if flaw_of(drawn) == EQUAL]:
            told.append(
                f"the test pictures of {len(same)} of {len(sets)} prompts are equal, whatever the "
                f"seed; the first: {same[0][:60]!r}"
            )
        return told

    @property
    def _cut(self) -> list[str]:
        """The texts of which CLIP does not read the end."""
        return sorted(set(self._clip.too_long(self._texts)))


def _by_value(found: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of each value."""
    names: dict[str, list[str]] = {}
    for name, value in found.items():
        names.setdefault(value, []).append(name)
    return names


def places_of(prompts: Iterable[str]) -> dict[str, list[int]]:
    """Return where each prompt stands."""
    found: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        found.setdefault(prompt, []).append(place)
    return found
