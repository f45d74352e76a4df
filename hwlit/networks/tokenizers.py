"""Tokenizers of text-to-image pipelines."""

from __future__ import annotations

from pathlib import Path

from diffusers.loaders import TextualInversionLoaderMixin
from transformers import CLIPTokenizer

from hwlit.errors import UsageError
from hwlit.networks.loading import loading
from hwlit.networks.pipelines import part_config, pipeline_folder, text_encoder_names


def load_tokenizers(pretrained: str) -> tuple[CLIPTokenizer, ...]:
    """Load the tokenizer of each text encoder.

    Raises:
        UsageError: One cannot be read, or has words that its text encoder lacks.
    """
    names, folder = text_encoder_names(pretrained), pipeline_folder(pretrained)
    return tuple(_tokenizer(folder / name) for name in names)


def _tokenizer(encoder: Path) -> CLIPTokenizer:
    """Load the tokenizer that belongs to a text encoder's folder."""
    folder = encoder.with_name(encoder.name.replace("text_encoder", "tokenizer"))
    with loading(f"the tokenizer {folder}", lambda error: "fetch it again"):
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    if len(tokenizer) > (size := int(part_config(encoder)["vocab_size"])):
        raise UsageError(
            f"the tokenizer {folder} has {len(tokenizer):,} words, but its text encoder {size:,}; "
            "give a pipeline whose files belong together"
        )
    longest = int(part_config(encoder)["max_position_embeddings"])
    if not 2 <= tokenizer.model_max_length <= longest:
        raise UsageError(
            f"the tokenizer {folder} writes {tokenizer.model_max_length:,} tokens, but its text "
            f"encoder reads 2 to {longest:,}; set model_max_length in a copy of its "
            "tokenizer_config.json"
        )
    return tokenizer


def written_out(tokenizer: CLIPTokenizer, prompt: str) -> str:
    """Return a prompt in which words of several vectors stand with all of them: `<a> <a>_1`."""
    # The pipelines' own, so that training and drawing read the same.
    return str(TextualInversionLoaderMixin().maybe_convert_prompt(prompt, tokenizer))
