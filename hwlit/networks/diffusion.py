"""Text-to-image diffusion: the network that learns, the parts beside it, and the stock pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers import CLIPTokenizer, PreTrainedModel

from hwlit.errors import UsageError
from hwlit.networks.full_precision import finite_rows, in_full_precision, precision_of
from hwlit.networks.loading import check_size, loading
from hwlit.networks.pipelines import (
    empty_part,
    part_class,
    pipeline_class,
    pipeline_folder,
    text_encoder_names,
    variant_of,
)
from hwlit.networks.sampling import decoded
from hwlit.networks.tokenizers import load_tokenizers, written_out
from hwlit.networks.weight_files import variants_of

ENCODED_AT_ONCE = 4  # pictures or prompts: what a small GPU holds at 1,024 pixels


@dataclass(frozen=True)
class Conditioning:
    """What text encoders say of prompts.

    Args:
        embeds: Features of each token, (rows, tokens, width).
        pooled: Features of each prompt, (rows, width), for SDXL; else None.
    """

    embeds: Tensor
    pooled: Tensor | None = None


class DiffusionNetwork(nn.Module):
    """What may learn of a pipeline: the denoiser, and its text encoders where they learn too.

    The names of the children are those of the pipeline's folders, and so are the globs of adapters:
    `unet.*.to_q`, `text_encoder.*.q_proj`.

    Args:
        unet: The denoiser.
        text_encoders: The text encoders by name, if they learn: `text_encoder`, and for SDXL
            `text_encoder_2`.
        tokenizers: The tokenizer of each of these, by the encoder's name.
    """

    unet: Any

    def __init__(
        self,
        unet: nn.Module,
        text_encoders: Mapping[str, nn.Module] | None = None,
        tokenizers: Mapping[str, CLIPTokenizer] | None = None,
    ) -> None:
        super().__init__()
        self.add_module("unet", unet)
        self.tokenizers = dict(tokenizers or {})
        self._encoder_names = tuple(text_encoders or ())
        for name, encoder in (text_encoders or {}).items():
            self.add_module(name, encoder)

    @property
    def text_encoders(self) -> tuple[Any, ...]:
        """The text encoders that learn."""
        return tuple(self.get_submodule(name) for name in self._encoder_names)

    @property
    def parts(self) -> dict[str, Any]:
        """The modules and the tokenizers, by the names that they have in a pipeline."""
        names = {name: name.replace("text_encoder", "tokenizer") for name in self.tokenizers}
        return dict(self.named_children()) | {names[k]: t for k, t in self.tokenizers.items()}

    def encode_prompts(self, ids: Sequence[Tensor]) -> Conditioning:
        """Return what the text encoders that learn say of prompts; see `encode`."""
        return encode(self.text_encoders, ids)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass."""
        self.unet.enable_gradient_checkpointing()
        for encoder in self.text_encoders:
            encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        time_ids: Tensor | None = None,
    ) -> Tensor:
        """Return what the denoiser predicts, noise or velocity, in the shape of the latents.

        Args:
            latents: Noisy latents, (rows, channels, height, width).
            timesteps: Noise levels, int64 (rows,).
            conditioning: What the prompts say.
            time_ids: For SDXL (rows, 6): height and width of the picture as it was, top and left
                of the crop, height and width of the crop. Source: Podell et al. 2023,
                https://arxiv.org/abs/2307.01952, section 2.2.
        """
        added = None
        if conditioning.pooled is not None:
            added = {"text_embeds": conditioning.pooled, "time_ids": time_ids}
        predicted: Tensor = self.unet(
            latents, timesteps, encoder_hidden_states=conditioning.embeds, added_cond_kwargs=added
        ).sample
        return predicted


@dataclass(frozen=True)
class Encoders:
    """The parts of a pipeline that are only read, in eval mode and frozen; no module of a task.

    Args:
        vae: The autoencoder between pictures and latents.
        tokenizers: One for each text encoder.
        text_encoders: One, or two for SDXL.
        overflows: How many pictures were encoded again in fp32.
    """

    vae: diffusers.AutoencoderKL
    tokenizers: tuple[CLIPTokenizer, ...]
    text_encoders: tuple[Any, ...]
    overflows: Counter[str] = field(default_factory=Counter)

    @property
    def remarks(self) -> list[str]:
        """What a reader of the record should know of the latents, a sentence each."""
        if not (count := self.overflows["pictures"]):
            return []
        return [
            "the VAE's encoder overflowed in half precision, and encoded again in float32: "
            f"{count} pictures, counted each time"
        ]

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the latents, in the scale that the denoiser reads.

        Pictures on which the encoder overflows in half precision are encoded again in fp32.

        Args:
            pixels: (rows, 3, height, width), from -1 to 1.

        Returns:
            Two fp32 tensors of (rows, channels, height / factor, width / factor).

        Raises:
            UsageError: They are not finite in fp32 either.
        """
        parts = []
        for some in torch.split(pixels.to(self.vae.device), ENCODED_AT_ONCE):
            found = _latents(self.vae, some)
            if not bool((sound := finite_rows(found)).all()):
                with in_full_precision(self.vae) as wide:
                    again = _latents(wide, some[~sound])
                found[~sound] = again
                self.overflows["pictures"] += len(again)
            parts.append(found)
        found = torch.cat(parts)
        if not bool(torch.isfinite(found).all()):
            raise UsageError(
                "the VAE's encoder gives latents that are not finite for a picture, in float32 "
                "too: its weights are damaged; give another pipeline by --model.pretrained"
            )
        mean, deviation = found.chunk(2, dim=1)
        return mean, deviation

    def check_decoder(self, mean: Tensor) -> None:
        """Decode latents in fp32: a decoder that cannot do that draws nothing but black.

        Args:
            mean: The mean of a picture's latents, (1, channels, height, width).

        Raises:
            UsageError: What it gives is not finite.
        """
        if not bool(torch.isfinite(decoded(self.vae, mean)).all()):
            raise UsageError(
                "the VAE's decoder gives pixels that are not finite for a picture that its encoder "
                "read, in float32 too, so that each picture would be black: its weights are "
                "damaged; give another pipeline by --model.pretrained"
            )

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return what the text encoders say of prompts, in their precision.

        Raises:
            UsageError: It is not finite.
        """
        found = self.encode_ids([token_ids(tokenizer, prompts) for tokenizer in self.tokenizers])
        sound = finite_rows(found.embeds)
        if not bool(sound.all()):
            raise UsageError(
                f"the text encoder gives features that are not finite for "
                f"{prompts[int(sound.int().argmin())]!r} in {(kind := self._precision)}; give "
                + ("" if kind == "float32" else "--trainer.precision 32-true, or ")
                + "another pipeline by --model.pretrained"
            )
        return found

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Read prompts, a few at a time, to see that the text encoders can.

        Raises:
            UsageError: What they say is not finite.
        """
        different = list(dict.fromkeys(prompts))
        for start in range(0, len(different), ENCODED_AT_ONCE):
            self.encode_prompts(different[start : start + ENCODED_AT_ONCE])

    @property
    def _precision(self) -> str:
        return precision_of(self.text_encoders[0])

    @torch.no_grad()
    def encode_ids(self, ids: Sequence[Tensor]) -> Conditioning:
        """Return what the text encoders say of prompts, given as token ids; see `encode`."""
        return encode(self.text_encoders, ids)


def _latents(vae: Any, pixels: Tensor) -> Tensor:
    """Return mean and standard deviation, joined along the channels; see `encode_images`."""
    found, config = vae.encode(pixels.to(vae.dtype)).latent_dist, vae.config
    mean = found.mean.float() - (config.shift_factor or 0.0)
    joined = torch.cat([mean, found.std.float()], dim=1)
    return joined * float(config.scaling_factor)


def encode(text_encoders: Sequence[Any], ids: Sequence[Tensor]) -> Conditioning:
    """Return what text encoders say of prompts, as the stock pipelines do.

    One encoder gives its last hidden states; of two (SDXL) the last but one of each are joined,
    and the second gives the pooled features.

    Args:
        text_encoders: The encoders.
        ids: Token ids for each encoder, (rows, tokens), padded to the tokenizer's length.
    """
    device = next(text_encoders[0].parameters()).device
    if len(text_encoders) == 1:
        return Conditioning(text_encoders[0](ids[0].to(device))[0])
    found = [
        encoder(own.to(device), output_hidden_states=True)
        for encoder, own in zip(text_encoders, ids, strict=True)
    ]
    return Conditioning(torch.cat([one.hidden_states[-2] for one in found], dim=-1), found[-1][0])


def token_ids(tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> Tensor:
    """Return the token ids of prompts, int64 (rows, tokens), cut and padded to the full length.

    A word of several vectors is written out, as the stock pipelines do.
    """
    ids: Tensor = tokenizer(
        [written_out(tokenizer, prompt) for prompt in prompts],
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids


def load_diffusion(
    pretrained: str, dtype: torch.dtype, train_text_encoder: bool = False
) -> DiffusionNetwork:
    """Load what may learn of a pipeline, in train mode.

    Args:
        pretrained: `pocket-sd`, a local folder or a hub id.
        dtype: Precision of the weights, loaded directly.
        train_text_encoder: Whether the text encoders are among it.

    Raises:
        UsageError: The pipeline cannot be found, or its weights do not fit its configs.
        IntegrityError: The weights are damaged.
    """
    names = text_encoder_names(pretrained) if train_text_encoder else ()
    tokenizers = dict(zip(names, load_tokenizers(pretrained), strict=False))
    encoders = {name: load_part(pretrained, name, dtype) for name in names}
    # Lightning keeps the mode it finds, and from_pretrained leaves networks in eval mode.
    return DiffusionNetwork(load_part(pretrained, "unet", dtype), encoders, tokenizers).train()


def load_encoders(pretrained: str, dtype: torch.dtype, device: torch.device | str) -> Encoders:
    """Load the parts that are only read, frozen; see `load_diffusion` for what it raises."""
    vae = load_part(pretrained, "vae", dtype)
    if dtype == torch.float16 and vae.config.force_upcast:  # it overflows, as SDXL's does
        vae = load_part(pretrained, "vae", torch.float32)
    return Encoders(
        vae.to(device),
        load_tokenizers(pretrained),
        tuple(
            load_part(pretrained, name, dtype).to(device) for name in text_encoder_names(pretrained)
        ),
    )


def load_pipeline(
    pretrained: str,
    dtype: torch.dtype,
    device: torch.device | str,
    network: DiffusionNetwork | None = None,
) -> diffusers.DiffusionPipeline:
    """Return the stock pipeline, without progress bar, safety checker and watermark.

    Args:
        pretrained: `pocket-sd`, a local folder or a hub id.
        dtype: Precision of what is loaded.
        device: Where it is put.
        network: Stands for the pretrained parts of its names, as it is: it is neither copied, nor
            cast, nor switched to eval mode.

    Raises:
        UsageError: The pipeline cannot be found, or its weights do not fit its configs.
        IntegrityError: The weights are damaged.
    """
    own = network.parts if network is not None else {}
    names = [n.replace("text_encoder", "tokenizer") for n in text_encoder_names(pretrained)]
    parts = dict(zip(names, load_tokenizers(pretrained), strict=True)) | own
    parts |= {
        name: load_part(pretrained, name, dtype).to(device)
        for name in ("unet", *text_encoder_names(pretrained))
        if name not in own
    }
    # The pipelines upcast it by themselves where it overflows in fp16.
    parts["vae"] = load_part(pretrained, "vae", dtype).to(device)
    folder = pipeline_folder(pretrained)
    without: dict[str, Any] = {"feature_extractor": None, "image_encoder": None}
    if pipeline_class(folder) == "StableDiffusionPipeline":
        without |= {"safety_checker": None, "requires_safety_checker": False}
    else:
        without |= {"add_watermarker": False}
    diffusers_logging.disable_progress_bar()
    with loading(f"the pipeline {pretrained!r}", lambda error: "fetch it again"):
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, **parts, **without
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_part(pretrained: str, part: str, dtype: torch.dtype) -> Any:
    """Load one part of a pipeline, such as `vae`, frozen and in eval mode.

    Raises:
        UsageError: Its weights do not fit its config.
        IntegrityError: They are damaged.
    """
    folder, what = pipeline_folder(pretrained) / part, f"the {part} of {pretrained!r}"
    kind = part_class(part)
    name = "dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype"
    with loading(what, lambda error: "give a pipeline whose files belong together"):
        check_size(lambda: empty_part(folder), folder, what)
        variant = variant_of(pretrained)
        module, info = kind.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            variant=variant if variant in variants_of(folder) else None,
            **{name: dtype},
        )
    if missing := sorted(info["missing_keys"]):
        raise UsageError(
            f"{what} lacks {len(missing)} tensors that its config.json asks "
            f"for, such as {missing[0]}; give a pipeline whose files belong together"
        )
    if dtype == torch.float16:
        _check_range(module, what)
    return module.eval().requires_grad_(False)


def _check_range(module: nn.Module, what: str) -> None:
    """Refuse weights that became infinite in half precision."""
    for name, tensor in module.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(
                f"{what} has weights in {name} that float16 cannot hold (numbers beyond 65,504); "
                "give --trainer.precision 32-true or bf16-true, or another pipeline by "
                "--model.pretrained"
            )
