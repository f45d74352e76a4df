"""What lies in a folder of pictures, and why some of it is left out.

Which files are pictures is decided by their endings, so that a backup such as `a.jpg_original` is
not trained on; a picture under another name is named.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import features

from hwlit.bounded_files import open_plain
from hwlit.data.caption_lists import BESIDE, LISTS
from hwlit.errors import DataError

AVIF = (".avif", ".avifs")  # which Pillow decodes where it was built with libavif
ENDINGS = (
    ".apng", ".bmp", ".gif", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg", ".mpo", ".png",
    ".tif", ".tiff", ".webp", *(AVIF if features.check("avif") else ()),
)  # fmt: skip
# Pictures too, which few decoders read.
CONVERTED_FIRST = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".exr", ".hdr", ".heic", ".heics", ".heif",
    ".hif", ".ico", ".iiq", ".j2k", ".jp2", ".jxl", ".jxr", ".kdc", ".nef", ".nrw", ".orf", ".pbm",
    ".pef", ".pgm", ".ppm", ".psd", ".qoi", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srw", ".svg",
    ".tga", *(() if features.check("avif") else AVIF),
)  # fmt: skip
# What systems leave in folders, beside all that is hidden.
OF_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
FOLDERS_OF_SYSTEMS = ("__macosx", "@eadir", "$recycle.bin", "system volume information")
# OneTrainer reads `a-masklabel.png` as the mask of the picture `a.jpg`.
MASKS = ("-masklabel", "-condlabel")
LIKE_MASKS = ("_mask", "-mask", ".mask")  # by which a mask is often known, and a dog in a mask too
# How files begin that hold a picture, whatever they are called.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
# Of the containers RIFF and ISO BMFF, by what stands at the ninth byte.
BRANDS = (b"WEBP", b"avif", b"avis", b"heic", b"heix", b"mif1")
TABLES = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".xlsx")
REPEATS = re.compile(r"\d+_")  # how kohya's trainer names a folder: 10_sks dog
MOST_PICTURES = 10_000  # of a folder; each is read whole to see that it can be
MOST_LOOKED_AT = 10_000  # files and folders below, to say where pictures lie
FEW = 3  # names in a remark


@dataclass(frozen=True)
class Listing:
    """What lies in a folder.

    Args:
        pictures: The files that are pictures by their endings, by name.
        others: How many other entries there are, by their ending.
        files: Names of the files that are no pictures by their endings and are not hidden.
        disguised: Names of those of them that hold a picture.
        hidden: Names of hidden pictures.
        masks: Names of the masks of pictures.
        folders: The folders inside.
        below: How many pictures lie in folders below, by the folder's path inside this one.
        texts: Paths of the text files below, which may be captions.
        no_files: Names of links to nothing, of pipes and of what else is neither file nor folder.
        flag: What the folder was given by.
    """

    pictures: tuple[Path, ...] = ()
    others: dict[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    disguised: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    below: dict[str, int] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    no_files: tuple[str, ...] = ()
    flag: str = "--data.path"

    def remarks(self, read: Collection[str] = ()) -> list[str]:
        """Return what was left out and why, a sentence each.

        Args:
            read: Names of the files that were read though they are no pictures: captions.
        """
        return [*self._left_out(), *self._unread({*read, *self.disguised}), *self._inside()]

    def _left_out(self) -> Iterator[str]:
        unread = {kind: n for kind, n in self.others.items() if kind in CONVERTED_FIRST}
        if unread:
            listed = ", ".join(f"{count} of {kind}" for kind, count in unread.items())
            names = [name for name in self.files if Path(name).suffix.lower() in CONVERTED_FIRST]
            yield (
                f"left out: {listed}, which hwlit does not read ({some_of(names)}); convert them "
                "to png or jpg"
            )
        if self.no_files:
            lead = "entry that leads" if len(self.no_files) == 1 else "entries that lead"
            yield (
                f"left out: {len(self.no_files)} {lead} to no file ({some_of(self.no_files)}), as "
                "links do whose content is elsewhere (git annex get, dvc pull or git lfs pull "
                "fetch it)"
            )
        if self.disguised:
            count = counted(self.disguised, "picture", "pictures")
            yield (
                f"left out: {count} whose name does not end as a picture's "
                f"({some_of(self.disguised)}); rename what is to be read"
            )
        if self.hidden:
            count = counted(self.hidden, "hidden picture", "hidden pictures")
            yield f"left out: {count} ({some_of(self.hidden)})"
        if self.masks:
            yield (
                f"left out: {counted(self.masks, 'mask', 'masks')} of other pictures "
                f"({some_of(self.masks)}); hwlit trains on whole pictures"
            )
        marked = {file.name for file in _named_after(self.pictures, LIKE_MASKS, self.pictures)}
        marked |= {f.name for f in self.pictures if f.stem.lower().endswith(MASKS)}  # of no picture
        if marked:
            yield (
                f"trained on, though named like masks: {some_of(sorted(marked))}; move away what "
                "is one"
            )

    def _unread(self, read: Collection[str]) -> Iterator[str]:
        stems = {file.stem for file in self.pictures} | {file.name for file in self.pictures}
        rest = [
            name
            for name in self.files
            if name not in read and Path(name).suffix.lower() not in CONVERTED_FIRST
        ]
        beside = [name for name in rest if Path(name).stem in stems]
        if beside:
            yield (
                f"not read: {counted(beside, 'file', 'files')} beside a picture of the same name "
                f"({some_of(beside)}); captions end in .txt or .caption"
            )
        if rest := [name for name in rest if name not in beside]:
            lists = any(Path(name).suffix.lower() in TABLES for name in rest)
            yield (
                f"not read: {counted(rest, 'file', 'files')} of other kinds ({some_of(rest)})"
                + ("; captions of all pictures stand in metadata.csv or .jsonl" if lists else "")
            )

    def _inside(self) -> Iterator[str]:
        if self.folders:
            count, held = counted(self.folders, "folder", "folders"), sum(self.below.values())
            yield (
                f"not read: {count} inside ({some_of(self.folders)}) with {held} "
                f"{'picture' if held == 1 else 'pictures'}"
            ) + self._texts_inside(held)

    def _texts_inside(self, held: int) -> str:
        texts = f" and {counted(self.texts, 'text file', 'text files')}" if self.texts else ""
        if held:
            return f"{texts}; give such a folder by {self.flag}, or move them up"
        if not texts:
            return ""
        return f"{texts} ({some_of(self.texts)}); captions are read beside their pictures alone"

    def why_empty(self) -> str:
        """Return what to do about a folder without pictures; what it holds comes first."""
        if self.below:
            listed = [f"{name} with {count}" for name, count in self.below.items()]
            told = (
                f"holds no picture itself, but {counted(self.below, 'folder', 'folders')} of "
                f"pictures ({some_of(listed)}); give one of them by {self.flag}"
            )
            if any(REPEATS.match(name) for name in self.below):
                told += "; the repeats in kohya's names are not read: steps say how long to train"
            if lists := [name for name in self.files if name.lower() in LISTS]:
                told += f"; {some_of(lists)} is read beside the pictures alone"
            return told
        known = ", ".join(f"{count} of {ending}" for ending, count in self.others.items())
        held = f"holds no picture ({', '.join(ENDINGS)}), but {known[:500]}"
        names = (*self.disguised, *self.hidden)
        if any(kind in CONVERTED_FIRST for kind in self.others):
            remedy = "convert them to png or jpg, or "
        elif names:
            remedy = f"rename what is to be read, such as {some_of(names[:1])}, or "
        elif self.no_files:
            remedy = f"fetch what links such as {some_of(self.no_files[:1])} stand for, or "
        else:
            remedy = ""
        return (
            f"{held if known else 'is empty'}; {remedy}give the folder that the pictures lie in by "
            f"{self.flag}"
        )


def list_folder(folder: Path, flag: str) -> Listing:
    """Return what lies in a folder.

    Args:
        folder: The folder.
        flag: What it was given by.

    Raises:
        DataError: It cannot be listed, or holds more pictures than are read.
    """
    try:
        return _listed(folder, flag)
    except OSError as error:
        raise DataError(
            f"the pictures in {folder} cannot be listed ({error.strerror}); give another folder "
            f"by {flag}"
        ) from error


def _listed(folder: Path, flag: str) -> Listing:
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    entries = [entry for entry in entries if not _of_systems(entry)]
    others: Counter[str] = Counter()
    hidden, wanted, files = [], [], []
    folders: list[str] = []
    no_files: list[str] = []
    for entry in entries:
        if not entry.is_file():  # a loop of links is none either, nor is a pipe
            others["no file"] += 1
            (folders if entry.is_dir() else no_files).append(entry.name)
        elif entry.name.startswith("."):
            hidden.append(entry.name)
        elif entry.suffix.lower() in ENDINGS:
            wanted.append(entry)
        else:
            files.append(entry.name)
            others[entry.suffix.lower() or "no ending"] += 1
    unread = [folder / name for name in files if Path(name).suffix.lower() in CONVERTED_FIRST]
    masks = {file.name for file in _named_after(wanted, MASKS, [*wanted, *unread])}
    others += Counter({"hidden": len(hidden), "mask": len(masks)})  # none: left out
    wanted = [file for file in wanted if file.name not in masks]
    if len(wanted) > MOST_PICTURES:
        raise DataError(
            f"{folder} holds {len(wanted):,} pictures, and at most {MOST_PICTURES:,} are read; "
            f"give a folder of fewer by {flag}"
        )
    return Listing(
        tuple(wanted),
        dict(sorted(others.items())),
        tuple(files),
        tuple(name for name in files[:MOST_LOOKED_AT] if _holds_picture(folder / name)),
        tuple(hidden),
        tuple(sorted(masks)),
        tuple(folders),
        *_below(folder, folders),
        tuple(no_files),
        flag,
    )


def some_of(names: Collection[str], few: int = FEW) -> str:
    """Return names for a remark: the first few, and how many more there are."""
    first = ", ".join(name[:80] for name in itertools.islice(names, few))
    return first if len(names) <= few else f"{first} and {len(names) - few} more"


def counted(things: Collection[str], one: str, many: str) -> str:
    """Return how many things there are, with the words for one and for several."""
    return f"{len(things)} {one if len(things) == 1 else many}"


def _of_systems(entry: Path) -> bool:
    """Return whether a system or a program left an entry: none of these is worth a word."""
    name = entry.name.lower()
    if name.startswith("."):  # of a Mac's `._a.jpg` the picture is `a.jpg`
        return name.startswith("._") or entry.suffix.lower() not in ENDINGS or entry.is_dir()
    return name in OF_SYSTEMS or name in FOLDERS_OF_SYSTEMS


def _named_after(
    files: Sequence[Path], marks: Sequence[str], pictures: Sequence[Path]
) -> list[Path]:
    """Return the files that are named as a picture with a mark: `a-mask.png` after `a.jpg`."""
    stems = {picture.stem.lower() for picture in pictures}
    return [
        file
        for file in files
        for mark in marks
        if file.stem.lower().endswith(mark) and file.stem.lower().removesuffix(mark) in stems
    ]


def _holds_picture(path: Path) -> bool:
    """Return whether a file begins as a picture of a format that is read."""
    if path.suffix.lower() in CONVERTED_FIRST:  # raw pictures of cameras begin as TIFF does
        return False
    try:
        with open_plain(path) as file:
            start = file.read(16)
    except OSError:
        return False
    contained = b"RIFF" in start[:4] or b"ftyp" in start[4:8]
    return start.startswith(SIGNATURES) or (contained and start[8:12] in BRANDS)


def _below(folder: Path, folders: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return what lies in the folders inside; no link is followed there.

    Returns:
        How many pictures there are, by path, and the paths of text files.
    """
    found: dict[str, int] = {}
    texts: list[str] = []
    looked = 0
    for name in folders:
        for place, inside, files in os.walk(folder / name):
            inside[:] = sorted(i for i in inside if not i.startswith("."))
            path = Path(place).relative_to(folder).as_posix()
            shown = [file for file in sorted(files) if not file.startswith(".")]
            ends = [os.path.splitext(file)[1].lower() for file in shown]
            if count := sum(end in ENDINGS for end in ends):
                found[path] = count
            texts += [
                f"{path}/{file}"
                for file, end in zip(shown, ends, strict=True)
                if end in BESIDE or file.lower() in LISTS
            ]
            looked += 1 + len(files)
            if looked > MOST_LOOKED_AT:
                return found, tuple(texts)
    return found, tuple(texts)
