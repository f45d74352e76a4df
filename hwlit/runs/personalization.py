"""A run of personalization: class pictures, test pictures scored, the export drawn elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hwlit.callbacks.checkpoints import NEWEST_KEPT
from hwlit.callbacks.curves import Curves
from hwlit.callbacks.latency import Batch, Forward, Input
from hwlit.callbacks.loggers import TensorBoard
from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.pictures import Pictures
from hwlit.callbacks.samples import Samples
from hwlit.callbacks.scores import Concept
from hwlit.data.concept_images import ConceptImages
from hwlit.errors import ResourceError
from hwlit.exports.redraw import Drawing, check_redraw
from hwlit.metrics.clip import Clip
from hwlit.metrics.dino import Dino
from hwlit.metrics.similarity import without_identifier
from hwlit.networks.diffusion import DiffusionNetwork, load_pipeline
from hwlit.networks.pipelines import find_pipeline
from hwlit.networks.sampling import draw
from hwlit.plain_text import printable, say
from hwlit.records import Reading, measured
from hwlit.runs.base import Run
from hwlit.tasks.image_export import merged
from hwlit.tasks.personalization import Personalization
from hwlit.tasks.variants import requantised

CHECKED_PICTURES = 2
MOMENTS = 2  # AdamW keeps two more numbers for each that learns
MARGIN = 64 * 2**20  # bytes: pictures, curves, model card


class PersonalizationRun(Run[Personalization, ConceptImages]):
    """Takes a diffusion pipeline and the pictures of a concept through one run."""

    task = Personalization
    task_name = "personalization"
    rows = ConceptImages
    learns_from = "pictures of a concept"

    def _collectors(self) -> list[Monitor]:
        self._pictures = Pictures()
        self._base: dict[int, Image.Image] = {}
        return [self._pictures, Curves()]

    def _load(self) -> str:
        data, model = self._data, self._model
        with self._phases.phase("read"):
            data.prepare_data()
        with self._phases.phase("load"):
            self._load_encoders("cpu")  # and let go: one that cannot be had is told now
            model.configure_model()
        self._check_room()
        if model.learns:
            with self._phases.phase("class_images"):
                data.prepare_class_images()
            with self._phases.phase("cache"):
                data.cache()
            self._draw_samples()
        return "\n".join(map(printable, data.report()["remarks"]))

    def _load_encoders(self, device: str) -> tuple[Clip, Dino | None]:
        """Return what compares the pictures."""
        model = self._model
        dino = None if model.dino is None else Dino(model.dino, device)
        clip = Clip(model.clip, device)
        encoders: list[Clip | Dino] = [clip, *([] if dino is None else [dino])]
        for encoder in encoders:
            encoder.images([Image.new("RGB", (40, 30))])  # NaN in its weights is told now
        return clip, dino

    def _check_room(self) -> None:
        """Compare what checkpoints and export take with what is free.

        Raises:
            ResourceError: There is less.
        """
        learned = sum(tensor.nbytes for tensor in self._model.learned_state().values())
        whole = 0
        if self._model.adapter.peft_config(self._model.network) is None:
            numbers = sum(self._model.model_facts()["parameters"].values())
            whole = numbers * self._model.frozen_dtype.itemsize
        needed = (NEWEST_KEPT + 2) * (1 + MOMENTS) * learned + whole + MARGIN
        free = shutil.disk_usage(self._output).free
        if needed > free:
            raise ResourceError(
                f"the run writes up to {needed / 2**30:.1f} GiB ({NEWEST_KEPT + 2} checkpoints and "
                f"the export), and {self._output} has {free / 2**30:.1f} GiB left; make room, give "
                "another --output, or take an adapter that learns less"
            )

    def _draw_samples(self) -> None:
        """Draw the first test prompts while training goes on, where that was asked for."""
        model = self._model
        if model.sample_every_n_steps:
            rows = [row for row in self._data.test_rows() if row["kind"] == "concept"]
            samples = Samples(
                model.pipeline,
                [row["prompt"] for row in rows],
                [row["seed"] for row in rows],
                every_n_steps=model.sample_every_n_steps,
                steps=model.sampling_steps,
                guidance=model.guidance,
                size=model.picture_size,
                folder=self._output / "samples",
                sampling=lambda: self._phases.phase("samples"),
                remark=self._remark,
            )
            self._trainer.callbacks.insert(0, samples)  # type: ignore[attr-defined]

    def _remark(self, told: str) -> None:
        """Say what a reader of the record should know, and write it there."""
        say(f"hwlit: {told}", error=True)
        self._recorder.add({}, remarks=[told])

    def _export(self) -> None:
        for told in self._model.remarks:
            self._remark(told)
        with self._phases.phase("base_pictures"):
            self._draw_base()
        with self._phases.phase("score"):
            concept = self._concept()
            device = str(self._trainer.strategy.root_device)
            self._pictures.score(concept, *self._load_encoders(device))
            self._sheet = self._pictures.write(self._output / "samples", concept)
        self._write_rows(self._pictures.table())
        folder = self._output / "adapter"
        with self._phases.phase("export"):
            self._write_adapter(folder)
        with self._phases.phase("check"):
            self._recorder.add({}, check=self._redraw(folder))

    def _draw_base(self) -> None:
        """Draw the test rows with the pretrained pipeline, as it was, without words new to it."""
        rows = self._data.test_rows()
        if not self._model.learns:
            self._base = dict(self._pictures.images)  # that was the pretrained pipeline
            return
        pipeline = self._pretrained()
        prompts = [row["prompt"] for row in rows]
        for token in self._model.adapter.new_tokens:
            prompts = [without_identifier(prompt, token) for prompt in prompts]
        with self._trainer.precision_plugin.forward_context(), torch.inference_mode():
            drawn = draw(
                pipeline,
                prompts,
                [row["seed"] for row in rows],
                steps=self._model.sampling_steps,
                guidance=self._model.guidance,
                batch_size=self._data.eval_batch_size,
                size=self._model.picture_size,
                learned=False,
            )
        self._base = {row["row_id"]: image for row, image in zip(rows, drawn, strict=True)}

    def _pretrained(self) -> Any:
        device = self._trainer.strategy.root_device
        return load_pipeline(self._model.pretrained, self._model.frozen_dtype, device)

    def _concept(self) -> Concept:
        photos = [picture.load() for picture in self._data.concept.pictures]
        classes = [picture.load for picture in self._data.class_pictures or ()]
        rows = self._data.test_rows()
        data, new = self._data, tuple(self._model.adapter.new_tokens)
        return Concept(
            rows,
            photos,
            " ".join(dict.fromkeys([*data.identifier.split(), *new])),  # that may be one of many
            self._base,
            classes,
            data.concept.prompts(data.instance_prompt),
            new if len(new) > 1 else (),
        )

    def _redraw(self, folder: Path) -> dict[str, Any]:
        """Draw from the export in a fresh process; the network in memory draws the same anew.

        Anew, one picture at a time and without autocast: as a stranger's process does.
        """
        model = self._model.to(self._trainer.strategy.root_device)
        drawing = Drawing(
            *self._checked(), model.sampling_steps, model.guidance, model.picture_size
        )
        model.network.eval()
        with torch.inference_mode():
            live, untuned = (
                draw(
                    make(),
                    drawing.prompts,
                    drawing.seeds,
                    steps=drawing.steps,
                    guidance=drawing.guidance,
                    batch_size=1,
                    size=drawing.size,
                    learned=learned and model.learns,
                )
                for make, learned in ((self._plain, True), (self._pretrained, False))
            )
        location = find_pipeline(model.pretrained).location
        return check_redraw(
            folder, location, drawing, live, untuned, model.frozen_dtype, str(model.device)
        )

    def _checked(self) -> tuple[list[str], list[int]]:
        """Return prompts and seeds to draw again: the first test rows, and every new word."""
        rows = self._data.test_rows()[:CHECKED_PICTURES]
        prompts = [row["prompt"] for row in rows]
        for token in self._model.adapter.new_tokens:
            if not any(token in prompt.lower() for prompt in prompts):
                prompts.append(f"a photo of a {token}")
        return prompts, [row["seed"] for row in rows] + [0] * (len(prompts) - len(rows))

    def _plain(self) -> Any:
        """Return the pipeline around the network, all of it in the precision of a stranger's."""
        model = self._model
        if model.frozen_dtype == torch.float32 or model.adapter.peft_config(model.network):
            return model.pipeline()
        network = merged(model.adapter, model.network).to(model.frozen_dtype)
        return load_pipeline(model.pretrained, model.frozen_dtype, model.device, network)

    def _probe(self) -> None:
        """Time one denoising step as guidance calls it, and one whole picture."""
        model = self._model.to(self._trainer.strategy.root_device)
        variants = model.variants()
        networks: dict[str, Any] = dict(variants.networks)
        for network in networks.values():
            network.eval()
        (batch,) = self._data.sample_batches((2,)).values()
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        shape = " x ".join(map(str, batch["latent_mean"].shape)) if "latent_mean" in batch else ""
        steps = {name: self._forward(network) for name, network in networks.items()}
        what = f"one denoising step of a picture with guidance: latents of {shape}"
        self._latency.probe(steps, {"denoising_step": Input(batch, what)})
        what = f"one picture of {model.sampling_steps} steps, prompt and decoder included"
        pictures = Input({}, what, warmup_calls=1, min_calls=3, block=1)
        self._latency.probe(self._draws(networks), {"picture": pictures})
        self._latency.missing(variants.absent)
        if variants.same:
            self._latency.same("the adapter adds none")
        if "merged" in steps and model.adapter.rounds:
            again = requantised(model.adapter, model.network).eval()
            steps["requantised"] = self._forward(again)  # type: ignore[arg-type]
        how = measured("largest difference that it makes to one denoising step")
        for name, reading in (("merged", "merge"), ("requantised", "requantised")):
            if name in steps:
                with torch.inference_mode():
                    off = float((steps[name](batch) - steps["unmerged"](batch)).abs().max())
                self._recorder.add({f"adapter/{reading}_difference": Reading(off, "1", how)})

    def _forward(self, network: DiffusionNetwork) -> Forward:
        """Return one denoising step of a network in the trainer's precision."""

        def forward(batch: Batch) -> torch.Tensor:
            with self._trainer.precision_plugin.forward_context():
                latents, _ = self._model.distribution(batch)
                times = torch.full((len(latents),), 500, device=latents.device)
                return self._model.predictions(network, known(network, batch), latents, times)

        return forward

    def _draws(self, networks: dict[str, Any]) -> dict[str, Forward]:
        """Return for each network what draws one picture with it, in one pipeline for all."""
        model, row = self._model, self._data.test_rows()[0]
        pipeline = model.pipeline()

        def drawing(network: DiffusionNetwork) -> Forward:
            def forward(batch: Batch) -> Image.Image:
                pipeline.register_modules(**network.parts)
                with self._trainer.precision_plugin.forward_context():
                    return draw(
                        pipeline,
                        [row["prompt"]],
                        [row["seed"]],
                        steps=model.sampling_steps,
                        guidance=model.guidance,
                        size=model.picture_size,
                        learned=model.learns,
                    )[0]

            return forward

        return {name: drawing(network) for name, network in networks.items()}

    def _comparable(self) -> dict[str, Any]:
        model = self._model
        return {
            "rows_tested": len(self._pictures.images),
            "resolution": self._data.size,
            "sampling_steps": model.sampling_steps,
            "guidance": model.guidance,
            "clip": model.clip,
        }

    def _show(self, board: TensorBoard) -> None:
        board.experiment.add_image("test/pictures", np.asarray(self._sheet), dataformats="HWC")
        board.experiment.flush()


def known(network: DiffusionNetwork, batch: Batch) -> Batch:
    """Return a batch whose token ids a network has rows for: the base has none for a new token.

    Which row is read takes no other time.
    """
    sizes = [encoder.config.vocab_size for encoder in network.text_encoders]
    ids = [name for name in ("input_ids", "input_ids_2") if name in batch]
    return batch | {n: batch[n].clamp(max=s - 1) for n, s in zip(ids, sizes, strict=False)}
