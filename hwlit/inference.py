"""Use a finished run: label texts, or write its model in a plain format."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from peft import PeftModel
from tqdm import tqdm
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from hwlit.adapters.quantized import dequantize
from hwlit.adapters.quantized_state import restore
from hwlit.bounded_files import told_size
from hwlit.data.content import check_length, decoded
from hwlit.data.dialects import USUAL, dialect_in
from hwlit.data.files import read_bytes
from hwlit.data.reading import with_fields
from hwlit.data.tables import read_table
from hwlit.errors import DataError, IntegrityError, ResourceError, UsageError, writing
from hwlit.exports.peft_folder import BASE
from hwlit.exports.quantized_folder import is_quantized, read_quantized
from hwlit.exports.stock_classifier import Text, characters, score
from hwlit.exports.transformers_folder import write_whole
from hwlit.networks.empty import empty_classifier
from hwlit.networks.exported import adapted, again, whole_classifier
from hwlit.networks.loading import loading, try_tokenizer
from hwlit.networks.quantization_config import MISSING, read_quantization
from hwlit.networks.text import has_vocabulary, load_classifier, weights_sha256
from hwlit.networks.vetting import ADAPTER, vet
from hwlit.plain_text import is_screen, printable, write_data
from hwlit.records import Record, need, read_run
from hwlit.run_inputs import pair_column, parted, read_stride, reads_pairs
from hwlit.storage import replacing_folder, write_text

Classifier = PreTrainedModel | PeftModel
TASK = "text_classification"  # as records name it
MOST_BYTES = 1 << 30  # of a file of lines
MOST_STREAMED = 1 << 28  # bytes of standard input, where nothing says how much will come


def predict(
    run: Path, texts: Sequence[Text], batch_size: int, device: str, output: Path | None
) -> None:
    """Label texts and write CSV: text, prediction, probability per class; one row a text, in order.

    Args:
        run: The run's directory.
        texts: What to label; of pairs both sentences, the second of which has a column `pair`.
        batch_size: Texts per call.
        device: Device of torch.
        output: The file to write; None writes to standard output.

    Raises:
        UsageError: The batch size is below 1, or the run reads pairs and these are not, or not.
        DataError: There is no text.
        IntegrityError: The run holds no exported model.
        ResourceError: The device is not there.
    """
    if batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, got {batch_size}")
    if not texts:
        raise DataError("there is no text to label; give --text, --file or lines on standard input")
    record = read_run(run)
    _check_finished(run, record)
    pairs = reads_pairs(run, record, texts)
    network, tokenizer = load(run, record)
    try:
        network.to(device)  # type: ignore[arg-type]
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ResourceError(f"--device {device} cannot be used ({reason}); try cpu") from error
    labels, max_length = record.model.labels, record.data.max_length
    assert labels is not None  # `load` needs both
    assert max_length is not None
    if max_length <= (special := tokenizer.num_special_tokens_to_add(pair=pairs)):
        raise IntegrityError(
            f"{run} cuts texts at {max_length} tokens, and its tokenizer puts {special} around "
            "each: the two do not belong together; bring the run's own files back"
        )
    stride = read_stride(run, record, max_length - special)
    shares = probabilities(network, tokenizer, texts, max_length, batch_size, stride)
    if shares.shape[1] != len(labels):
        raise IntegrityError(
            f"the record of {run} has {len(labels)} labels, but its model tells {shares.shape[1]} "
            "classes apart; bring the run's own files back"
        )
    text = _as_csv(texts, shares, labels, printable if output is None and is_screen() else str)
    if output is not None:
        write_text(output, text)
    else:
        write_data(text)


def _as_csv(
    texts: Sequence[Text], shares: torch.Tensor, labels: Sequence[str], shown: Callable[[str], str]
) -> str:
    file = io.StringIO()
    # Quoted, for a lone carriage return in a text would else end the row.
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    given = ["text"] if isinstance(texts[0], str) else ["text", "pair"]
    writer.writerow([*given, "prediction", *(shown(f"p({label})") for label in labels)])
    for text, share in zip(texts, shares, strict=True):
        sentences = (text,) if isinstance(text, str) else text
        told = *map(shown, sentences), shown(labels[int(share.argmax())])
        writer.writerow([*told, *(f"{p:.6f}" for p in share)])
    return file.getvalue()


def export_merged(run: Path, folder: Path) -> None:
    """Write a plain transformers model folder with the adapter folded in.

    Args:
        run: The run's directory.
        folder: Where to write, new or empty.

    Raises:
        UsageError: The folder holds something already.
        IntegrityError: The run holds no exported model.
        ResourceError: The folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--merged {folder} holds something already; give a new folder")
    record = read_run(run)
    network, tokenizer = load(run, record)
    if isinstance(network, PeftModel):
        network = _merged(network, run, record)
    dequantize(network)
    with writing(folder), replacing_folder(folder) as staged:
        write_whole(staged, network, tokenizer)


def load(run: Path, record: Record) -> tuple[Classifier, PreTrainedTokenizerBase]:
    """Load a run's exported model with the loaders that a stranger would use, in eval mode.

    Args:
        run: The run's directory.
        record: Its record.

    Raises:
        UsageError: The run is none of text classification.
        IntegrityError: The run has not ended well, holds no exported model, or its base model has
            changed.
    """
    _check_finished(run, record)
    need(run, record, "model.labels", "model.pretrained", "model.sha256", "data.max_length")
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = run / "adapter"
    if not any((folder / name).is_file() for name in ("config.json", ADAPTER)):
        raise IntegrityError(f"{run} holds no exported model: its status is {record.status}")
    vet(folder)
    with loading(f"the tokenizer of {run}", again, IntegrityError):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        try_tokenizer(tokenizer, folder)
    if not has_vocabulary(tokenizer, folder):
        raise IntegrityError(f"{folder} holds no tokenizer; bring the run's own files back")
    if is_quantized(folder):
        plain = empty_classifier(folder)
        with loading(f"the quantised weights of {run}", again, IntegrityError):
            return restore(plain, *read_quantized(folder)), tokenizer
    if not (folder / ADAPTER).is_file():
        return whole_classifier(folder, f"the model of {run}"), tokenizer
    name, labels, trained_on = record.model.pretrained, record.model.labels, record.model.sha256
    assert name is not None
    assert labels is not None
    assert trained_on is not None
    if weights_sha256(name) != trained_on:
        raise IntegrityError(
            f"the weights of {name} are not those that {run} was trained on (sha256 "
            f"{trained_on[:12]}…); bring these back, or train again"
        )
    quantization = read_quantization(folder / BASE) if (folder / BASE).exists() else None
    try:
        base = load_classifier(name, labels, quantization=quantization, tokenizer=tokenizer).network
    except UsageError as error:
        if isinstance(error.__cause__, ImportError):  # of a package that quantises
            raise UsageError(MISSING.format(folder / BASE)) from error
        raise
    return adapted(base, run).eval(), tokenizer


def _check_finished(run: Path, record: Record) -> None:
    """Refuse a run of pictures, and one that has not ended well.

    Raises:
        UsageError: It is one of pictures.
        IntegrityError: It has not ended well.
    """
    if record.task not in (TASK, None):  # None is a damaged record, which lacks more
        raise UsageError(f"{run} labels no texts: it draws pictures, by hwlit generate")
    if record.status != "ok":  # its export may be there, and not give what was tested
        why = f" ({record.error})" if record.error else ""
        on = f"go on with it: hwlit fit --resume {run}" if record.status == "interrupted" else ""
        raise IntegrityError(
            f"{run} is no finished run: its status is {record.status}{why}; "
            f"{on or 'train it again'}"
        )


def _merged(network: PeftModel, run: Path, record: Record) -> PreTrainedModel:
    """Return the plain network with the adapter folded in; a quantised base is dequantised first.

    Folded into quantised weights, what was learned would be rounded away for the most part.
    """
    if not (run / "adapter" / BASE).exists():
        merged: PreTrainedModel = network.merge_and_unload(safe_merge=True)
        return merged
    assert record.model.pretrained is not None  # `load` needs both
    assert record.model.labels is not None
    plain = load_classifier(record.model.pretrained, record.model.labels).network
    base = network.unload()
    dequantize(base)
    plain.load_state_dict(base.state_dict())
    folded = adapted(plain, run).merge_and_unload(safe_merge=True)
    assert isinstance(folded, PreTrainedModel)
    return folded


@torch.inference_mode()
def probabilities(
    network: Classifier,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Text],
    max_length: int,
    batch_size: int,
    stride: int | None = None,
) -> torch.Tensor:
    """Return the probability of each class, (texts, labels), in the order of the texts.

    Args:
        network: The classifier, in eval mode.
        tokenizer: Its tokenizer.
        texts: What to label: texts, or both sentences of pairs.
        max_length: Longer texts are cut to this many tokens.
        batch_size: Texts per call; those of like length go together.
        stride: Tokens that the windows of a longer text share, whose logits are averaged; None
            cuts it.

    Raises:
        IntegrityError: A probability is not finite.
    """
    # The longest first: if memory runs out, it does so at once.
    order = sorted(range(len(texts)), key=lambda i: -characters(texts[i]))
    shares = torch.empty(len(texts), len(network.config.id2label or ()))
    for start in tqdm(range(0, len(order), batch_size), "predict", disable=None, leave=False):
        rows = order[start : start + batch_size]
        logits = score(network, tokenizer, [texts[i] for i in rows], max_length, stride)
        shares[rows] = logits.softmax(dim=-1).cpu()
    if not shares.isfinite().all():
        raise IntegrityError(
            "the model answers with numbers that are not finite: its weights are damaged, or too "
            "large for their precision; bring the run's own files back"
        )
    return shares


def read_texts(
    path: Path, record: Record, column: str | None = None, pair: str | None = None
) -> list[Text]:
    """Read the texts of a file as the run read its own, or the lines of a .txt file.

    Args:
        path: The file.
        record: The run's record; it names the columns that the run read.
        column: The column of the texts; None takes the one that the run read, or "text".
        pair: The column of the second sentences; None takes the one that the run read, if any.

    Raises:
        DataError: The file cannot be read, or has no such column.
        IntegrityError: The record tells no longer how the run read its files.
    """
    if path.suffix == ".txt":
        lines = read_lines(read_bytes(path, MOST_BYTES, "a file of texts"), str(path))
        return parted(lines, str(path), record)
    data, pair = record.data, pair or pair_column(path, record)
    column, before = column or data.text_column or "text", data.before
    wanted = dict.fromkeys(before, f"the run reads {', '.join(before)} too: add it, if only empty")
    wanted[column] = "name the column of the texts by --column"
    if pair is not None:
        wanted[pair] = "name the column of the second sentences by --pair-column"
    dialect = dialect_in(data.rest.get("dialect"))
    table = read_table(path, wanted, data.label_column, dialect)
    fields = {name: table.texts(name) for name in before}
    texts = [
        with_fields(text, {name: values[row] for name, values in fields.items()})
        for row, text in enumerate(table.texts(column))
    ]
    return list(texts if pair is None else zip(texts, table.texts(pair), strict=True))


def read_lines(content: bytes, source: str) -> list[str]:
    """Return the lines of a text, one text a line; only line feeds end a line.

    Args:
        content: The text as read, UTF-8 or with a byte order mark.
        source: What to call it in an error.

    Raises:
        DataError: It is no text, or a line is too long.
    """
    text = decoded(source, content, "text", USUAL).text
    # str.splitlines would also cut at form feeds and at Unicode's line separators.
    lines = text.replace("\r\n", "\n").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    for number, line in enumerate(lines, start=1):
        check_length(Path(source), f"line {number}", line)
    return lines


def read_stream(stream: BinaryIO, source: str, record: Record) -> list[Text]:
    """Return the lines of a stream, which may never end; see `read_lines`.

    Args:
        stream: The stream.
        source: What to call it in an error.
        record: The run's record: where the run reads pairs, a tab parts the sentences of a line.

    Raises:
        DataError: It holds more than `MOST_STREAMED`, is not UTF-8, or a line is too long.
    """
    content = stream.read(MOST_STREAMED + 1)
    if len(content) > MOST_STREAMED:
        raise DataError(
            f"{source} holds more than {told_size(MOST_STREAMED)}, or never ends; write it to a "
            "file and give that by --file"
        )
    return parted(read_lines(content, source), source, record)
