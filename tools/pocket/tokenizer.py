"""A small vocabulary for the stock CLIP tokenizer: one token for each word a user may try.

All 256 bytes are tokens, alone and at a word's end, so that any text can be spelled. The merges
are learned from the listed words alone (Sennrich et al. 2016) until each of them is one token.
Unlisted words become a few pieces.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from hwlit.storage import write_text
from tools.pocket.backgrounds import PHRASES
from tools.pocket.objects import ACCESSORIES, KNOWN, MORE
from tools.pocket.scenes import OPENINGS, SECOND, SIZES
from tools.pocket.sketch import PATTERNS

CONTEXT = 32
END = "</w>"
# What users and papers write beside the words of the captions; identifiers of DreamBooth.
USERS = """\
the of and with in on at by to for near under over next behind front inside outside from against
i my your his her this that these no not two three four five six one many some it is are has wears
dog cat puppy kitten toy bear teddy monster robot duck rabbit horse cow pig bird lion tiger elephant
person man woman girl boy face head hand people child baby king queen
cup plate bowl can vase clock candle backpack bag hat shoe boot sneaker sunglasses glasses book
chair table bed lamp guitar bike bicycle train plane rocket bus truck ship castle church tower
bridge wall
city street road garden forest jungle mountain mountains hill river lake ocean beach desert island
sky sun moon star stars cloud clouds rain fire ice water stone wood wooden metal glass gold golden
silver paper clay crochet wool plush cloth barn kitchen room window door floor carpet rug field
photo picture drawing painting sketch image render rendering illustration poster cartoon sculpture
statue sticker icon photograph close up closeup cropped bright dark good bad cool nice weird dirty
clean old new large big small little tiny huge giant rendition depiction style art oil watercolor
pencil pixel van gogh monet night day morning evening sunset sunrise winter summer spring autumn
red orange yellow green blue purple pink black white grey gray brown cyan teal magenta violet
striped spotted checked dotted plain coloured colored colorful round square heart crown
sitting standing lying swimming flying floating running sleeping sailing parked holding wearing made
apple banana lemon pizza cake bread cheese egg carrot food coffee tea milk wine beer juice
background scene view front side top bottom left right center middle
sks ktn pll ucd zwx hta sta olis phol qvx xyz zzz abc tok
a an
"""


def words() -> list[str]:
    """Return every word that is one token, in a fixed order."""
    phrases = [p for many in PHRASES.values() for p in many]
    texts = [*OPENINGS, *phrases, *SECOND, *SIZES, *PATTERNS, *KNOWN, *MORE, *ACCESSORIES, USERS]
    found = {w for text in texts for w in text.replace("-", " ").split() if w.isalpha()}
    return sorted(found)


def byte_letters() -> list[str]:
    """Return the printable character of each byte, as byte-level BPE writes it (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    table = {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    return [table[b] for b in range(256)]


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """Learn the merges from the words, most frequent pair first, until each word is one token."""
    spelled = [[*word[:-1], word[-1] + END] for word in words()]
    learned = []
    while pairs := Counter(pair for pieces in spelled for pair in pairwise(pieces)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learned.append(best)
        spelled = [_merged(pieces, best) for pieces in spelled]
    return tuple(learned)


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        # A piece that has just been merged never equals the left half, so it is not merged twice.
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def vocabulary() -> dict[str, int]:
    """Return token -> id: bytes, bytes at a word's end, merged pieces, start and end of text."""
    letters = byte_letters()
    tokens = [*letters, *(letter + END for letter in letters)]
    tokens += list(dict.fromkeys(left + right for left, right in merges()))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}


def make(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer's files to `folder` and return it as the stock class reads them."""
    tokenizer = CLIPTokenizer(
        vocab=vocabulary(),
        merges=list(merges()),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    write_text(folder / "vocab.json", json.dumps(vocabulary(), ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges())]
    write_text(folder / "merges.txt", "\n".join(lines) + "\n")
    return CLIPTokenizer.from_pretrained(folder)
