"""Personalization: a text-to-image model learns a concept from a few pictures (DreamBooth)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MeanMetric

from hwlit.adapters.base import Adapter
from hwlit.errors import UsageError
from hwlit.exports.diffusers_lora import is_lora
from hwlit.exports.model_card import image_model_card
from hwlit.networks.diffusion import (
    Conditioning,
    DiffusionNetwork,
    Encoders,
    load_diffusion,
    load_encoders,
    load_pipeline,
)
from hwlit.networks.picture_side import picture_side
from hwlit.networks.pipelines import load_noise_schedule, pipeline_facts
from hwlit.networks.sampling import decoded_in_fp32, draw
from hwlit.records import Record
from hwlit.tasks.base import Schedule, Task
from hwlit.tasks.denoising import min_snr_weights, noised, squared_errors, target, with_prior
from hwlit.tasks.image_export import write_export
from hwlit.tasks.seeding import noise_of_rows

Batch = dict[str, Any]
CLIP = "openai/clip-vit-base-patch32"  # what the DreamBooth and Custom Diffusion papers measure by


class Personalization(Task):
    """Teaches a concept to a latent text-to-image diffusion model.

    Source: DreamBooth, Ruiz et al. 2022, https://arxiv.org/abs/2208.12242. Its constant learning
    rate without a warm-up is the default.

    Args:
        adapter: Which parameters learn, and in what form; brings its own learning rate.
        pretrained: `pocket-sd` for the offline pipeline, a local folder of a diffusers pipeline,
            or a hub id such as stable-diffusion-v1-5/stable-diffusion-v1-5.
        train_text_encoder: Whether the adapter reaches the text encoders too, as `text_encoder`;
            one that learns a new token always does.
        prior_weight: Weight of the class pictures in the loss, where the data has any.
        min_snr_gamma: Largest signal-to-noise ratio that counts in the training loss of the
            concept's pictures (Min-SNR; 5 in its paper); null weighs all noise levels alike.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, more time.
        channels_last: Lay tensors out with the channels last: faster on most GPUs.
        compile: Compile the denoiser's training step by torch.compile: minutes at first, then
            quicker steps. Needs a C++ compiler on a CPU. Pictures and probes stay uncompiled.
        sampling_steps: Denoising steps of the test's pictures.
        guidance: Their guidance scale.
        picture_size: Their side in pixels; null takes the pipeline's own.
        sample_every_n_steps: Draw the test prompts after every so many updates; 0 draws none.
        clip: The CLIP that compares pictures with the concept and with prompts, a hub id or a
            folder; null takes pocket-clip for pocket-sd, else openai/clip-vit-base-patch32.
        dino: A DINO beside it, such as facebook/dino-vits16; null leaves test/dino out.
        optimizer: The optimizer; its learning rate is the adapter's, and its weight decay is for
            matrices alone: biases and norms are never decayed.
        warmup: Share of the steps over which the learning rate rises from 0.
        schedule: How the learning rate goes on after the warm-up.
        seed: Seed of every step; the CLI links it from seed_everything.
    """

    network: DiffusionNetwork
    best_by = "val/loss"

    def __init__(
        self,
        adapter: Adapter,
        pretrained: str = "pocket-sd",
        train_text_encoder: bool = False,
        prior_weight: float = 1.0,
        min_snr_gamma: float | None = None,
        gradient_checkpointing: bool = False,
        channels_last: bool = False,
        compile: bool = False,
        sampling_steps: int = 50,
        guidance: float = 7.5,
        picture_size: int | None = None,
        sample_every_n_steps: int = 0,
        clip: str | None = None,
        dino: str | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        warmup: float = 0.0,
        schedule: Schedule = "constant_with_warmup",
        seed: int = 0,
    ) -> None:
        super().__init__(adapter, optimizer, warmup, schedule, seed)
        self.save_hyperparameters(logger=False)
        if not 0 <= prior_weight < float("inf"):
            raise UsageError(f"--model.prior_weight is {prior_weight}; give a number from 0")
        if min_snr_gamma is not None and not 0 < min_snr_gamma < float("inf"):
            raise UsageError(f"--model.min_snr_gamma is {min_snr_gamma}; give a number above 0")
        if min(sampling_steps - 1, sample_every_n_steps) < 0:
            told = f"{sampling_steps} and {sample_every_n_steps}; give at least 1 and 0"
            raise UsageError(f"--model.sampling_steps and sample_every_n_steps are {told}")
        self.pretrained, self.train_text_encoder = pretrained, train_text_encoder
        self.prior_weight, self.min_snr_gamma = prior_weight, min_snr_gamma
        self.gradient_checkpointing, self.channels_last = gradient_checkpointing, channels_last
        self.compiled, self.dino = compile, dino
        self.sampling_steps, self.guidance = sampling_steps, guidance
        self.picture_size, self.sample_every_n_steps = picture_size, sample_every_n_steps
        self.clip = clip or ("pocket-clip" if pretrained == "pocket-sd" else CLIP)
        self.validation_loss = MeanMetric()
        self._prediction = ""
        self._alphas = torch.empty(0)  # of the noise levels; no buffer, for nothing casts it
        self._encoders: Encoders | None = None
        self._pipeline: diffusers.DiffusionPipeline | None = None
        self._training_forward: Callable[..., Tensor] | None = None

    def build(self, dtype: torch.dtype) -> tuple[nn.Module, tuple[str, ...]]:
        """Load the denoiser, and the text encoders where they learn; there are no heads."""
        network = load_diffusion(self.pretrained, dtype, self.prompts_learn)
        schedule = load_noise_schedule(self.pretrained)
        self._prediction = schedule.config.prediction_type
        self._alphas = schedule.alphas_cumprod
        if self.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        if self.channels_last:
            network.unet.to(memory_format=torch.channels_last)
        return network, ()

    def configure_model(self) -> None:
        """Build the network and attach the adapter, once.

        Raises:
            UsageError: `picture_size` cannot be drawn, or the adapter misses the text encoders.
        """
        picture_side(self.pretrained, "--model.picture_size", self.picture_size)
        super().configure_model()
        parameters = (p for e in self.network.text_encoders for p in e.parameters())
        if self.train_text_encoder and self.learns and not any(p.requires_grad for p in parameters):
            raise UsageError(
                "--model.train_text_encoder is on, but the adapter lets nothing in "
                "text_encoder learn; add targets such as text_encoder.*.q_proj or turn it off"
            )

    @property
    def prompts_learn(self) -> bool:
        """Whether prompts are read by the network's own text encoders, for these learn."""
        return self.train_text_encoder or bool(self.adapter.new_tokens)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Return the names of the metrics that training and validation log."""
        return ("train/loss", "train/prior_loss", "train/grad_norm", "val/loss")

    def model_facts(self) -> dict[str, Any]:
        """Return the name, revision, hash and shape of the pretrained pipeline."""
        return {
            **pipeline_facts(self.pretrained),
            "train_text_encoder": self.train_text_encoder,
            "dtype": str(self.frozen_dtype).removeprefix("torch."),
            "gradient_checkpointing": self.gradient_checkpointing,
            "channels_last": self.channels_last,
            "compiled": self.compiled,
        }

    def predictions(
        self, network: DiffusionNetwork, batch: Batch, latents: Tensor, timesteps: Tensor
    ) -> Tensor:
        """Return what a network predicts for noisy latents under the prompts of a batch.

        Args:
            network: The network, or another form of it.
            batch: Has `prompt_embeds`, or `input_ids` where the text encoders learn or were not
                cached; for SDXL also `pooled`, `input_ids_2` and `time_ids`.
            latents: Noisy latents, (rows, channels, height, width).
            timesteps: int64 (rows,).
        """
        if "prompt_embeds" in batch:
            said = Conditioning(batch["prompt_embeds"], batch.get("pooled"))
        else:
            ids = [batch[name] for name in ("input_ids", "input_ids_2") if name in batch]
            own = self.prompts_learn
            said = network.encode_prompts(ids) if own else self.encoders.encode_ids(ids)
        run: Callable[..., Tensor] = network
        if self.compiled and self.training and network is self.network:
            run = self._training_forward = self._training_forward or torch.compile(network.forward)
        return run(latents, timesteps, said, batch.get("time_ids"))

    def forward(self, batch: Batch, latents: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the network predicts; see `predictions`."""
        return self.predictions(self.network, batch, latents, timesteps)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the denoising loss at random noise levels, with the prior's where there is one."""
        prior = batch["prior"]
        mean, deviation = self.distribution(batch)
        latents = mean + deviation * torch.randn_like(mean)
        noise = torch.randn_like(latents)
        timesteps = torch.randint(len(self._alphas), prior.shape, device=latents.device)
        losses = self._losses(batch, latents, noise, timesteps)
        alphas = self._alphas_of(timesteps).to(losses)
        weights = min_snr_weights(self._prediction, alphas, self.min_snr_gamma)
        loss, prior_loss = with_prior(losses, prior, weights)
        if prior_loss is not None:
            self.log("train/prior_loss", prior_loss.detach())
            loss = loss + self.prior_weight * prior_loss
        # All processes have as many rows of each kind, so they count alike.
        loss, average = self.over_processes(loss, torch.ones_like(loss))
        self.log("train/loss", self.finite(average), prog_bar=True)
        return self.penalised(loss)

    def finite(self, loss: Tensor) -> Tensor:
        """Return the loss.

        Raises:
            UsageError: It is not finite before anything was learned.
            DivergedError: It is not finite later; raised before the backward pass.
        """
        if self.global_step == 0 and not torch.isfinite(loss):
            raise UsageError(
                f"the loss is {loss.item()} before anything was learned: the pretrained pipeline "
                "gives it, or --model.adapter's settings do; give another pipeline by "
                "--model.pretrained, or a wider precision: --trainer.precision 32-true"
            )
        return super().finite(loss)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the validation loss: noise and noise level belong to the row, in any run."""
        mean, deviation = self.distribution(batch)
        own, noise = noise_of_rows(batch["row_id"], mean)
        timesteps = (batch["level"] * len(self._alphas)).long()
        self.validation_loss.update(self._losses(batch, mean + deviation * own, noise, timesteps))

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss over all rows."""
        self.log("val/loss", self.validation_loss.compute(), prog_bar=True)
        self.validation_loss.reset()

    def on_test_start(self) -> None:
        """Build the pipeline around the network."""
        self._pipeline = self.pipeline()

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Draw the pictures of test rows, for observers to collect.

        Args:
            batch: `row_id`, int64 (rows,), `prompt`, a list, and `seed`, int64 (rows,).
            batch_idx: The batch's number.

        Returns:
            `row_id`; `pictures`, uint8 (rows, height, width, 3); and `decoded_in_fp32`, bool
            (rows,).

        Raises:
            DivergedError: What was learned draws numbers that are not finite.
            UsageError: The pretrained pipeline does, where nothing learns.
        """
        assert self._pipeline is not None
        pictures = draw(
            self._pipeline,
            batch["prompt"],
            batch["seed"].tolist(),
            steps=self.sampling_steps,
            guidance=self.guidance,
            batch_size=len(batch["prompt"]),
            size=self.picture_size,
            learned=self.learns,
        )
        arrays = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
        return {
            "row_id": batch["row_id"],
            "pictures": torch.from_numpy(arrays),
            "decoded_in_fp32": torch.tensor(list(map(decoded_in_fp32, pictures))),
        }

    def on_test_end(self) -> None:
        """Let the pipeline go."""
        self._pipeline = None

    def pipeline(self) -> diffusers.DiffusionPipeline:
        """Return the stock pipeline around the network as it is now, on its device."""
        return load_pipeline(self.pretrained, self.frozen_dtype, self.device, self.network)

    def export(self, folder: Path) -> tuple[Path, ...]:
        """Write LoRA as diffusers reads it, anything else as a whole pipeline; see `Task.export`.

        Raises:
            NotMergeableError: What was learned is neither LoRA nor can be folded into the weights.
        """
        return write_export(
            folder, self.adapter, self.network, self.learned_state(), self.pretrained,
            self.frozen_dtype, self.device,
        )  # fmt: skip

    def card(self, record: Record) -> str:
        """Return the model card for a run's record."""
        lora = is_lora(self.adapter.peft_config(self.network))
        files = self.adapter.files(self.network)
        return image_model_card(record, lora, self.sampling_steps, self.guidance, files)

    @property
    def encoders(self) -> Encoders:
        """The parts that are only read, loaded where a batch holds pixels or prompts."""
        if self._encoders is None:
            self._encoders = load_encoders(self.pretrained, self.frozen_dtype, self.device)
        return self._encoders

    @property
    def remarks(self) -> list[str]:
        """What a reader of the record should know of what was encoded in training."""
        return [] if self._encoders is None else self._encoders.remarks

    def distribution(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latents, each (rows, channels, h, w)."""
        if "pixels" in batch:
            return self.encoders.encode_images(batch["pixels"])
        return batch["latent_mean"], batch["latent_std"]

    def _losses(self, batch: Batch, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        alphas = self._alphas_of(timesteps)
        predicted = self(batch, noised(latents, noise, alphas), timesteps)
        wanted = target(self._prediction, latents, noise, alphas)
        return squared_errors(predicted, wanted, batch.get("valid"))

    def _alphas_of(self, timesteps: Tensor) -> Tensor:
        self._alphas = self._alphas.to(timesteps.device)
        return self._alphas[timesteps]
