"""A few pictures of a concept, with prompts: what personalization learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate

from hwlit.data.arguments import folder_of
from hwlit.data.captions import find_captions
from hwlit.data.class_images import ClassImages
from hwlit.data.concept_arguments import NOT_TAKEN, check_settings
from hwlit.data.concept_order import ConceptBatchSampler, FixedBatchSampler
from hwlit.data.concept_rows import Ask, ConceptRows, Crop, test_rows, validation_rows
from hwlit.data.concepts import Concept, read_concept, remarks_on, summarise_concept
from hwlit.data.encoding import Encoded, device_of, dtype_of, encode_once, taught
from hwlit.data.identifier import remarks_on_identifier
from hwlit.data.pictures import Corrupt, Picture, Pictures
from hwlit.data.prompts import check_new_tokens, filled_in, find_identifier, remarks_on_prompts
from hwlit.data.random_size import distinct
from hwlit.data.resuming import ResumableData, ResumableLoader, loader_settings
from hwlit.networks.picture_side import picture_side
from hwlit.networks.pipelines import latent_factor


class ConceptImages(ResumableData):
    """Pictures of one concept: a folder of yours, or a set from the hub.

    Pictures of any common format are turned upright and cut to a square. A caption beside a picture
    stands for its prompt: of `dog.jpg` the file `dog.txt`, `dog.jpg.txt` or `dog.caption`, or its
    row in `metadata.jsonl` or `metadata.csv` with the columns file_name and text, caption or
    prompt; of a hub set its column of such a name. Lines of a caption are joined. What is not read
    is told in a remark.

    Validation measures the loss on these same pictures at fixed noise levels, for there are too few
    to hold any back; quality is measured on what the test prompts draw. So nothing is divided, and
    no seed of a division is taken.

    Args:
        path: The folder of pictures, a hub set such as google/dreambooth, or one of the concepts
            that come with hwlit: checked-mug, crowned-fish.
        instance_prompt: Prompt of the pictures, with the identifier: "a photo of sks dog".
        subject: Configuration of a hub set, such as dog6; null where it has one alone.
        pretrained: The pipeline; the CLI links it from the model.
        train_text_encoder: Whether text encoders learn, so that prompts are not cached; likewise.
        new_tokens: Words that the adapter adds, and how many vectors each has; likewise.
        class_prompt: Prompt of the class, without the identifier: "a photo of dog".
        class_images: How many class pictures preserve the prior; 0 leaves prior preservation out.
        class_images_path: A folder of them, such as real photos, with captions like those of the
            concept's; it is only read: missing ones are drawn into the cache.
        class_steps: Denoising steps of class pictures that are drawn.
        class_guidance: Their guidance scale.
        identifier: The words that stand for the concept; null takes those of `instance_prompt` that
            `class_prompt` lacks.
        test_prompts: Prompts of the concept to test with; {identifier} and {class} in them stand
            for the words of `instance_prompt`; null takes that one.
        unrelated_prompts: Prompts of other things, to see what else changed.
        images_per_prompt: Pictures to draw for each of these, with the row's number as the seed.
        resolution: Side of the square in pixels; null takes the pipeline's own.
        crop: Where the square is cut from a picture, "center" or "random".
        flip: Whether half of the pictures are mirrored at random.
        random_size: Whether pictures are shrunk or enlarged at random, as in Custom Diffusion.
        cache_latents: Whether pictures are encoded once, as distributions; random crops, flips and
            sizes need false.
        corrupt: What to do with a picture that cannot be read: "skip" it or stop with an "error".
        batch_size: The concept's rows per training batch and process; class pictures come on top,
            as many again.
        eval_batch_size: Rows per validation batch, or pictures drawn at once, per process.
        epoch_steps: Batches per epoch, over endlessly reshuffled pictures.
        validation_levels: Noise levels at which each picture is validated.
        shuffle_seed: Decides order, crops, flips and sizes; the CLI links it from seed_everything.
        num_workers: Worker processes that make batches; with cached latents 0 is fast.
    """

    not_taken = NOT_TAKEN

    def __init__(
        self,
        *,
        path: str,
        instance_prompt: str,
        subject: str | None = None,
        pretrained: str = "pocket-sd",
        train_text_encoder: bool = False,
        new_tokens: dict[str, int] | None = None,
        class_prompt: str | None = None,
        class_images: int = 0,
        class_images_path: str | None = None,
        class_steps: int = 50,
        class_guidance: float = 7.5,
        identifier: str | None = None,
        test_prompts: tuple[str, ...] | None = None,
        unrelated_prompts: tuple[str, ...] = (),
        images_per_prompt: int = 4,
        resolution: int | None = None,
        crop: Crop = "center",
        flip: bool = False,
        random_size: bool = False,
        cache_latents: bool = True,
        corrupt: Corrupt = "error",
        batch_size: int = 1,
        eval_batch_size: int = 4,
        epoch_steps: int = 100,
        validation_levels: int = 8,
        shuffle_seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.path, self.subject, self.corrupt = path, subject, corrupt
        self.pretrained, self.new_tokens = pretrained, new_tokens or {}
        self.prompts_learn = train_text_encoder or bool(self.new_tokens)
        self.instance_prompt, self.class_prompt = instance_prompt, class_prompt
        self.class_images, self.class_images_path = class_images, class_images_path
        self.class_steps, self.class_guidance = class_steps, class_guidance
        derived = find_identifier(instance_prompt, class_prompt, self.new_tokens)
        self.identifier = derived if identifier is None else " ".join(identifier.split())
        self.test_prompts = filled_in(test_prompts, self.identifier, instance_prompt, class_prompt)
        self.unrelated_prompts = tuple(unrelated_prompts)
        self.images_per_prompt = images_per_prompt
        self.resolution, self.size = resolution, 0  # in pixels, known once the pipeline is read
        self.crop, self.flip, self.cache_latents = crop, flip, cache_latents
        self.random_size = random_size
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.epoch_steps, self.validation_levels = epoch_steps, validation_levels
        self.shuffle_seed, self.num_workers = shuffle_seed, num_workers
        check_settings(vars(self))
        self._concept: Concept | None = None
        self.class_pictures: tuple[Picture, ...] | None = None  # until they are prepared
        self._class_found = Pictures(())
        self._drawn = 0
        self._encoded: Encoded | None = None

    def prepare_data(self) -> None:
        """Read the pictures whole and check prompts and size; a second call returns at once.

        Raises:
            DataError: There is no picture, or one cannot be read.
            UsageError: The resolution does not suit the pipeline.
        """
        if self._concept is None:
            self.size = picture_side(self.pretrained, "--data.resolution", self.resolution)
            concept = read_concept(self.path, self.subject, self.corrupt)
            told = [*concept.prompts(self.instance_prompt), *self.test_prompts]
            check_new_tokens(self.new_tokens, told)
            self._concept = concept

    def prepare_class_images(self) -> None:
        """Draw the class pictures that are missing; a second call returns at once.

        Raises:
            DataError: One that was given cannot be read.
            IntegrityError: One that was drawn before is damaged.
            ResourceError: They cannot be written.
        """
        if self.class_pictures is None:
            self.prepare_data()
            if self.class_images:
                self._drawn = self._class_set.complete(device_of(self.trainer))
                self._class_found = self._class_set.pictures()
            self.class_pictures = self._class_found.found

    def cache(self) -> None:
        """Encode prompts and pictures once and let the encoders go; a second call returns at once.

        Text encoders that learn leave the prompts as token ids; without `cache_latents` pictures
        stay pictures.
        """
        if self._encoded is None:
            self.prepare_class_images()
            self._encoded = encode_once(
                self.pretrained,
                self.concept.pictures[0],
                distinct(self._prompts(), self.random_size),
                self._pictures() if self.cache_latents else None,
                self.size,
                drawn=[*self.test_prompts, *self.unrelated_prompts],
                prompts_learn=self.prompts_learn,
                new_tokens=self.new_tokens,
                dtype=dtype_of(self.trainer),
                device=device_of(self.trainer),
            )

    def setup(self, stage: str) -> None:
        """Make ready on every process what a stage reads: a test reads prompts alone."""
        self.prepare_data()
        if stage != "test":
            self.prepare_class_images()
            self.cache()

    def train_dataloader(self) -> ResumableLoader[ConceptBatchSampler]:
        """Return the training batches, in an order of their own in every epoch."""
        kinds = len(self.concept.pictures), self.class_images
        order = ConceptBatchSampler(
            *kinds, self.batch_size, self.epoch_steps, self.shuffle_seed, *self.place
        )
        return self.resumed(self._loader(self._rows(), order))

    def val_dataloader(self) -> ResumableLoader[FixedBatchSampler]:
        """Return each picture of the concept at each noise level, once over all processes."""
        order = FixedBatchSampler(self._asks(), self.eval_batch_size, *self.place)
        return self._loader(self._rows(), order)

    def test_dataloader(self) -> ResumableLoader[FixedBatchSampler]:
        """Return the pictures to draw, each once over all processes: row_id, prompt and seed."""
        rows = self.test_rows()
        order = FixedBatchSampler(range(len(rows)), self.eval_batch_size, *self.place)
        return self._loader(rows, order)

    def test_rows(self) -> list[dict[str, Any]]:
        """Return row_id, prompt, seed and kind, "concept" or "unrelated", of every test row.

        The seed is the row's number, so that all runs with the same prompts start from the same
        noise and their pictures can be paired.
        """
        return test_rows(self.test_prompts, self.unrelated_prompts, self.images_per_prompt)

    @property
    def concept(self) -> Concept:
        """The concept's pictures and captions, read the first time."""
        self.prepare_data()
        assert self._concept is not None
        return self._concept

    def sample_batches(self, sizes: Sequence[int]) -> dict[int, dict[str, Tensor]]:
        """Return one batch per size, of validation rows in turn: what latency is measured on."""
        rows, asks = self._rows(), self._asks()
        return {
            size: default_collate([rows[asks[i % len(asks)]] for i in range(size)])
            for size in sizes
        }

    def report(self) -> dict[str, Any]:
        """Return what was read and what is asked for, as plain JSON; class pictures once made."""
        concept, classes = self.concept, self.class_pictures or ()
        tokenizers = taught(self.pretrained, self.new_tokens)
        told = [*self._prompts(), *self.test_prompts, *self.unrelated_prompts]
        return summarise_concept(concept, classes, self._prompts(), self.size) | {
            "source": self.path,
            "subject": self.subject,
            "rows": {
                "train": len(concept.pictures),
                "validation": len(self._asks()),
                "test": len(self.test_rows()),
            },
            "crop": self.crop,
            "flip": self.flip,
            "random_size": self.random_size,
            "cached": {"latents": self.cache_latents, "prompts": not self.prompts_learn},
            "instance_prompt": self.instance_prompt,
            "class_prompt": self.class_prompt,
            "identifier": self.identifier,
            "class_images": self._class_set.facts(classes, self._drawn) if classes else None,
            "test_prompts": list(self.test_prompts),
            "unrelated_prompts": list(self.unrelated_prompts),
            "images_per_prompt": self.images_per_prompt,
            "epoch_steps": self.epoch_steps,
            "remarks": [
                *concept.remarks(self.size),
                *self._class_set.remarks(self._class_found.skipped),
                *self._remarks_on_classes(),
                *remarks_on_prompts(tokenizers, told, self.identifier),
                *self._remarks_on_identifier(),
                *(self._encoded.remarks if self._encoded else ()),
            ],
        }

    def _remarks_on_classes(self) -> list[str]:
        """Return what a user should know of the class pictures that were given."""
        if self.class_images_path is None or self.class_pictures is None:
            return []
        folder = folder_of(self.class_images_path, "--data.class_images_path")
        given = tuple(p for p in self.class_pictures if p.content == folder / p.name)
        said = find_captions(folder, [picture.name for picture in given])
        told = remarks_on(Pictures(given, listing=self._class_found.listing), said, self.size)
        return [f"class pictures: {remark}" for remark in told]

    def _remarks_on_identifier(self) -> list[str]:
        prompts, pictures = self._prompts(), len(self.concept.pictures)
        return list(
            remarks_on_identifier(
                self.identifier,
                self.new_tokens,
                prompts[:pictures],
                self.test_prompts,
                [*prompts[pictures:], *self.unrelated_prompts],
            )
        )

    @property
    def _class_set(self) -> ClassImages:
        given = self.class_images_path
        return ClassImages(
            pretrained=self.pretrained,
            prompt=str(self.class_prompt),
            count=self.class_images,
            steps=self.class_steps,
            guidance=self.class_guidance,
            size=self.size,
            dtype=dtype_of(self.trainer),
            corrupt=self.corrupt,
            given=None if given is None else folder_of(given, "--data.class_images_path"),
        )

    def _pictures(self) -> tuple[Picture, ...]:
        """Return the concept's pictures, then those of the class."""
        self.prepare_class_images()
        return self.concept.pictures + (self.class_pictures or ())

    def _prompts(self) -> list[str]:
        """Return the prompt of each picture of the concept, then of each of the class."""
        usual = [str(self.class_prompt)] * self.class_images
        classes = self._class_set.prompts(self.class_pictures) if self.class_pictures else usual
        return self.concept.prompts(self.instance_prompt) + classes

    def _rows(self) -> ConceptRows:
        self.cache()
        assert self._encoded is not None
        return ConceptRows(
            self._pictures(),
            len(self.concept.pictures),
            self._prompts(),
            self._encoded,
            self.size,
            self.crop,
            self.flip,
            latent_factor(self.pretrained) if self.random_size else None,
        )

    def _asks(self) -> list[Ask]:
        return validation_rows(len(self.concept.pictures), self.validation_levels)

    def _loader(self, rows: Any, order: Any) -> ResumableLoader[Any]:
        return ResumableLoader(rows, order, **loader_settings(self.shuffle_seed, self.num_workers))
