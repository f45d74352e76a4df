"""What a network can read: which token ids, and how many positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.ibert.quant_modules import QuantEmbedding

from hwlit.errors import UsageError

# Names of tables of absolute positions; those of relative ones have no end.
TABLES = (
    "position_embeddings", "embed_positions", "wpe", "positions_embed", "pos_encoding",
    "char_position_embeddings",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What a network can read.

    Args:
        tokens: Rows of its token embedding; None where it has no such table.
        positions: Tokens of the longest text; None where its positions have no end.
    """

    tokens: int | None
    positions: int | None

    def check(
        self, pretrained: str, tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]
    ) -> None:
        """Refuse token ids for which the network has no row.

        Args:
            pretrained: Name of the model.
            tokenizer: Its tokenizer.
            ids: Token ids that will be read.

        Raises:
            UsageError: There is one.
        """
        largest = max(ids, default=0)
        if self.tokens is not None and largest >= self.tokens:
            token = tokenizer.convert_ids_to_tokens(largest)
            raise UsageError(
                f"the tokenizer of {pretrained} gives token {largest:,} ({token!r}), but the "
                f"embedding of the model has {self.tokens:,} rows, from 0 to {self.tokens - 1:,}; "
                "give another --model.pretrained, or enlarge the embedding of this one: "
                "resize_token_embeddings, then save_pretrained"
            )

    def check_tokenizer(self, pretrained: str, tokenizer: PreTrainedTokenizerBase) -> None:
        """Refuse a tokenizer whose words, or whose marks around and after texts, have no row.

        A token that was added and never used does no harm: of Gemma 3 1B it stands for pictures.

        Raises:
            UsageError: There is one.
        """
        vocabulary, added = tokenizer.get_vocab(), tokenizer.get_added_vocab()
        if self.tokens is None or max(vocabulary.values(), default=0) < self.tokens:
            return
        words = (token for word, token in vocabulary.items() if word not in added)
        self.check(pretrained, tokenizer, words)
        self.check(pretrained, tokenizer, (*tokenizer("")["input_ids"], tokenizer.pad_token_id))

    def check_length(self, pretrained: str, max_length: int) -> None:
        """Refuse texts that are longer than the network has positions.

        Args:
            pretrained: Name of the model.
            max_length: Tokens after which a text is cut.

        Raises:
            UsageError: There are fewer positions.
        """
        if self.positions is not None and max_length > self.positions:
            raise UsageError(
                f"--data.max_length is {max_length:,}, but {pretrained} has {self.positions:,} "
                f"positions; lower --data.max_length to {self.positions} or below"
            )


def limits_of(network: PreTrainedModel) -> Limits:
    """Return what a network as loaded can read."""
    try:
        embedding = network.get_input_embeddings()
    except NotImplementedError:  # CANINE hashes characters
        embedding = None
    tokens: int | None
    if isinstance(embedding, nn.Embedding):
        tokens = embedding.num_embeddings
    else:  # Perceiver has its table in another place
        tokens = getattr(network.config.get_text_config(), "vocab_size", None)
    places = [*_places(network)]
    if places:  # the table of Nystromformer has two rows more than it uses
        places.append(getattr(network.config, "max_position_embeddings", places[0]))
    return Limits(tokens, min(places, default=None))


def counted_from(network: nn.Module) -> int | None:
    """Return the token id that a network leaves out as it counts positions; None without one.

    RoBERTa and its kin start at the place after this id, so that it has to be what pads.
    """
    return next((t.padding_idx for t in _tables(network) if t.padding_idx is not None), None)


def _places(network: nn.Module) -> Iterator[int]:
    """Yield how many positions each table of absolute positions has."""
    for table in _tables(network):
        before = 0 if table.padding_idx is None else table.padding_idx + 1
        before += vars(table).get("offset", 0)  # BART and OPT leave out their first two rows
        yield len(table.weight) - before
    for name, buffer in network.named_buffers():  # GPT-J and CTRL keep theirs so
        if name.rpartition(".")[2] in TABLES and buffer.is_floating_point():
            yield buffer.shape[0]


def _tables(network: nn.Module) -> Iterator[nn.Embedding | QuantEmbedding]:
    for name, module in network.named_modules():
        if name.rpartition(".")[2] in TABLES and isinstance(module, nn.Embedding | QuantEmbedding):
            yield module
