"""The test pictures: what was drawn for each prompt, and how near it comes to the concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.scores import Concept, Scores, TestRows, places_of
from hwlit.exports.contact_sheet import contact_sheet
from hwlit.exports.png import write_png
from hwlit.metrics.clip import Clip
from hwlit.metrics.dino import Dino
from hwlit.records import Exhibit, Reading, RowTable

QUALITY = (
    "test/clip_i", "test/clip_t", "test/dino", "test/diversity", "test/memorising", "test/clip_kid",
)  # fmt: skip
# Row ids (n,), pictures, uint8 (n, h, w, 3), and which were decoded in fp32, bool (n,).
Part = tuple[Tensor, Tensor, Tensor]
UNTESTED = "the run ended before the test"


class Pictures(Monitor):
    """Collects the pictures of the test rows and, once they are scored, what they tell."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Part] = []
        self._wide = 0
        self._readings: dict[str, Reading] = {}
        self._absent = dict.fromkeys((*QUALITY, "test/drift"), UNTESTED)
        self._details: dict[str, Any] = {}
        self._table: RowTable | None = None
        self._written: list[Exhibit] = []
        self.images: dict[int, Image.Image] = {}
        """The pictures by row id, in its order."""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self._parts.clear()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the pictures of the batch."""
        names = ("row_id", "pictures", "decoded_in_fp32")
        row_ids, pictures, wide = (outputs[name].cpu() for name in names)
        self._parts.append((row_ids, pictures, wide))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Order the pictures; where there are other processes, theirs are awaited."""
        if trainer.world_size == 1:
            self.join([])

    def share(self) -> list[Part]:
        """Return what this process drew, batch by batch."""
        return self._parts

    def join(self, others: Sequence[list[Part]]) -> None:
        """Put the pictures of all processes in the order of their row ids."""
        parts = [part for share in (self._parts, *others) for part in share]
        found = {
            int(row): Image.fromarray(pixels.numpy())
            for rows, pictures, _ in parts
            for row, pixels in zip(rows, pictures, strict=True)
        }
        self.images = dict(sorted(found.items()))
        self._wide = sum(int(wide.sum()) for *_, wide in parts)

    def score(self, concept: Concept, clip: Clip, dino: Dino | None = None) -> None:
        """Compare the pictures with the concept, their prompts and the base model's pictures.

        Args:
            concept: What they are compared with; its rows are those that were drawn.
            clip: Gives every measure but one.
            dino: Gives `test/dino`, if there is one.
        """
        scores = Scores(concept, self.images, clip, dino)
        self._readings = scores.readings()
        self._absent = scores.absent()
        self._details = scores.details()
        self._table = scores.table()

    def readings(self) -> Mapping[str, Reading]:
        """Return quality and drift, with 95 % intervals; see `hwlit.metrics.similarity`."""
        return self._readings

    def absent(self) -> Mapping[str, str]:
        """Say why a measure is missing."""
        return self._absent

    def details(self) -> Mapping[str, Any]:
        """Return the table by prompt, which encoders looked, and where the pictures are."""
        remarks = [*self._details.get("remarks", ()), *self._decoded()]
        return self._details | {"exhibits": self._written, "remarks": remarks}

    def _decoded(self) -> list[str]:
        if not self._wide:
            return []
        return [
            f"the VAE's decoder overflowed in half precision on {self._wide} of "
            f"{len(self.images)} test pictures, which were decoded again in float32; in half "
            "precision alone a pipeline draws them black: give it a VAE in float32"
        ]

    def table(self) -> RowTable:
        """Return what each picture scored; it is known once they are."""
        assert self._table is not None
        return self._table

    def write(self, folder: Path, concept: Concept) -> Image.Image:
        """Write each picture as PNG, the base model's beside them, and return the contact sheet.

        Args:
            folder: Where to write; made if need be.
            concept: What was drawn and learned from.
        """
        for name, images in (("test", self.images), ("base", concept.base)):
            for row in (row for row in concept.rows if row["row_id"] in images):
                path = folder / f"{name}-{row['row_id']:04d}.png"
                write_png(path, images[row["row_id"]], {k: row[k] for k in ("prompt", "seed")})
        sheet = self.sheet(concept)
        write_png(folder / "test.png", sheet)
        title = "photos, then a row of test pictures for each prompt"
        self._written = [Exhibit("pictures", "images", title, f"{folder.name}/test.png")]
        return sheet

    def sheet(self, concept: Concept) -> Image.Image:
        """Return a contact sheet: photos, then a row per prompt, the base's at its right."""
        groups = _by_prompt(concept.rows)
        width = max(len(rows) for rows in groups.values())
        sides = [("tuned", self.images), *([("base", concept.base)] if concept.base else [])]
        columns = width * len(sides)
        size = next(iter(self.images.values())).size
        blank = Image.new("RGB", size, "white"), ""
        tiles = [(_fitted(p, size), f"photo {i}") for i, p in enumerate(concept.photos, 1)]
        tiles = [*tiles, *[blank] * columns][:columns]
        for rows in groups.values():
            for who, images in sides:
                own = [
                    (images[row["row_id"]], f"{who}, seed {row['seed']}: {row['prompt']}")
                    for row in rows
                    if row["row_id"] in images
                ]
                tiles += [*own, *[blank] * width][:width]
        pictures, captions = zip(*tiles, strict=True)
        return contact_sheet(pictures, captions, columns)


def _by_prompt(rows: TestRows) -> dict[str, list[Mapping[str, Any]]]:
    return {
        prompt: [rows[place] for place in places]
        for prompt, places in places_of(row["prompt"] for row in rows).items()
    }


def _fitted(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a photo made to fit into a size."""
    copy = photo.convert("RGB")
    copy.thumbnail(size)
    return copy
