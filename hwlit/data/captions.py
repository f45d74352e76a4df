"""Captions that lie beside pictures.

Of a picture `dog.jpg` these are `dog.jpg.txt`, `dog.txt`, `dog.jpg.caption` and `dog.caption`, and
then what a list of the folder says (see `caption_lists`); the first of them counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwlit.data.caption_lists import BESIDE, LISTS, Row, read_list, read_text
from hwlit.data.picture_folder import counted, some_of
from hwlit.errors import DataError

LINE_END = re.compile(r"[\r\n]")  # Unicode's line separators are spaces to us
# Weights and networks, as web interfaces write them into prompts.
MARKS = re.compile(r"\([^()]*:\d*\.?\d+\)|<(?:lora|lyco|hypernet):[^<>]*>")


@dataclass(frozen=True)
class Captions:
    """The captions of a folder.

    Args:
        texts: By the picture's name.
        files: Names of the files that were read, or that `remarks` names.
        remarks: What a user should know of them, a sentence each.
    """

    texts: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def read_captions(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the captions of pictures, by the picture's name; see `find_captions`."""
    return find_captions(folder, tuple(names)).texts


def find_captions(folder: Path, names: Sequence[str]) -> Captions:
    """Read the captions of pictures; one's own file comes before the list of the folder.

    Names that differ only in case, or in how accents are composed, are the same where no other
    picture has the name as it is written.

    Args:
        folder: Where the pictures lie.
        names: The names of the pictures.

    Raises:
        DataError: A caption is empty, very long or no text, or a list is not as expected.
    """
    try:
        files = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); check it") from error
    beside = [file for file in files if Path(file).suffix.lower() in BESIDE]
    lists = [file for file in files if file.lower() in LISTS]
    own = _matched({file: Path(file).stem for file in beside}, names)
    rows, told = _rows(folder, lists)
    listed = _matched({row: row for row in rows}, names, stems=False)
    texts = {file: read_text(folder / file) for file in dict.fromkeys(_flat(own))}
    found = {}
    for name in names:
        said = [(file, texts[file]) for file in own.get(name, ())]
        said += [(rows[row].place, rows[row].text) for row in listed.get(name, ())]
        if said and not _words(said[0][1]):
            what = "the file" if name in own else "the row"
            raise DataError(
                f"the caption of {folder / name} is empty ({said[0][0]}); write it or remove {what}"
            )
        if said:
            found[name] = said
    remarks = [
        *told,
        *([] if lists else _above(folder)),
        *_unmatched(beside, own, rows, listed),
        *_remarks(found, names, own),
    ]
    first = {name: _words(said[0][1]) for name, said in found.items()}
    return Captions(first, (*beside, *lists), tuple(remarks))


def known_captions(texts: Mapping[str, str], names: Sequence[str]) -> Captions:
    """Return the captions of pictures that lie in no folder.

    Args:
        texts: By the picture's name.
        names: The names of the pictures.
    """
    found = {name: [("", texts[name])] for name in names if name in texts}
    return Captions(
        {name: _words(texts[name]) for name in found}, (), tuple(_remarks(found, names, {}))
    )


def _words(text: str) -> str:
    return " ".join(text.split())


def _flat(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for each in found.values():
        yield from each


def _same(name: str) -> str:
    """Return a name as systems compare it that know no case, or compose accents otherwise."""
    return unicodedata.normalize("NFC", name).casefold()


def _matched(
    keys: Mapping[str, str], names: Sequence[str], stems: bool = True
) -> dict[str, list[str]]:
    """Return what is said of each picture, by its name; nothing of those without.

    Args:
        keys: To each file or row the name of its picture, whole or, of files, the stem alone.
        names: The names of the pictures.
        stems: Whether a stem is enough.
    """
    wanted = {name: (name, Path(name).stem) if stems else (name,) for name in names}
    exact = {key for each in wanted.values() for key in each}
    by_key: dict[str, list[str]] = {}
    alike: dict[str, list[str]] = {}
    for thing, key in keys.items():
        by_key.setdefault(key, []).append(thing)
        if key not in exact:
            alike.setdefault(_same(key), []).append(thing)
    found: dict[str, list[str]] = {}
    for name, each in wanted.items():
        things = [t for key in each for t in by_key.get(key) or alike.get(_same(key), [])]
        # Stable, so that the whole name stays before the stem.
        things.sort(key=lambda thing: not thing.lower().endswith(BESIDE[0]))
        if things:
            found[name] = list(dict.fromkeys(things))
    return found


def _rows(folder: Path, lists: Sequence[str]) -> tuple[dict[str, Row], list[str]]:
    """Return the rows of a folder's lists by the picture's name, and remarks on them."""
    rows: dict[str, Row] = {}
    remarks: list[str] = []
    for name in sorted(lists, key=lambda name: LISTS.index(name.lower())):
        found, told = read_list(folder / name)
        remarks += told
        for row in found:
            known = rows.setdefault(row.name, row)
            if _words(known.text) != _words(row.text):
                raise DataError(
                    f"{row.place} has another caption for {row.name[:80]!r} than {known.place}; "
                    "keep one of them"
                )
    return rows, remarks


def _above(folder: Path) -> Iterator[str]:
    """Yield that a list lies in the folder above, whose rows name `images/dog.jpg`."""
    for name in LISTS:
        if (folder.absolute().parent / name).exists():
            yield (
                f"not read: {name} of the folder above; move it beside the pictures, and name them "
                "there without the folder"
            )


def _unmatched(
    beside: Sequence[str],
    own: Mapping[str, Sequence[str]],
    rows: Mapping[str, Row],
    listed: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """Yield which captions belong to no picture."""
    used = {*_flat(own), *_flat(listed)}
    if lost := [file for file in beside if file not in used]:
        yield (
            f"{counted(lost, 'caption file belongs', 'caption files belong')} to no picture that "
            f"is read ({some_of(lost)}); call it as its picture, such as dog.txt for dog.jpg"
        )
    if lost := [row for row in rows if row not in used]:
        places = ", ".join(dict.fromkeys(rows[row].file for row in lost))
        told = counted(lost, "caption belongs", "captions belong")
        below = any("/" in row for row in lost)
        yield (
            f"{places}: {told} to no picture that is read ({some_of(lost)})"
            + ("; move pictures and list into one folder" if below else "")
        )


def _remarks(
    found: Mapping[str, Sequence[tuple[str, str]]],
    names: Sequence[str],
    own: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """Yield what a user should know of the captions that were found."""
    bare = [name for name in names if name not in found]
    if found and bare:
        yield (
            f"no caption, so that the usual prompt is taken: {len(bare)} of {len(names)} pictures "
            f"({some_of(bare)})"
        )
    differ = [n for n, said in found.items() if len({_words(text) for _, text in said}) > 1]
    if differ:
        read = [f"{found[name][0][0]} for {name}" for name in differ]
        yield (
            f"several captions, which differ: {len(differ)} of {len(names)} pictures; read is "
            f"{some_of(read)}"
        )
    if shared := [file for file, count in Counter(_flat(own)).items() if count > 1]:
        yield f"one caption for several pictures of the same name: {some_of(shared)}"
    lines = [name for name, said in found.items() if LINE_END.search(said[0][1].strip())]
    if lines:
        yield (
            f"captions of several lines, which are read as one: {len(lines)} of {len(found)} "
            f"({some_of(lines)}); some trainers read the first line alone"
        )
    marks = {name: m[0] for name, said in found.items() if (m := MARKS.search(said[0][1]))}
    if marks:
        name, mark = next(iter(marks.items()))
        yield (
            f"weights and networks, which are read as plain words: {len(marks)} of {len(found)} "
            f"captions, such as {mark[:40]!r} of {name}"
        )
