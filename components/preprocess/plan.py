"""Cuts the corpus into ranges: one range is one element of the pipelines and becomes one shard of a split."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import SourceFile, split_by_hash
from hopline.store.sources import open_source

_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Segment:
    """Consecutive bytes of one file.

    Attributes:
        file: the file's name in the corpus.
        path: where the file is.
        split: the split of all its documents, or "" where each document's text decides.
        start: the first byte.
        end: the byte after the last one; -1 for the end of a compressed file.
        whole: whether the segment is the whole file.
    """

    file: str
    path: Path
    split: str
    start: int
    end: int
    whole: bool


@dataclass(frozen=True)
class Range:
    """Consecutive segments, which one worker reads in order.  Only the first may begin inside a file."""

    index: int
    size: int  # bytes on disk, of which progress is made
    segments: tuple[Segment, ...]


def with_splits(files: list[SourceFile], config: CorpusConfig) -> list[SourceFile]:
    """Gives each file its split where a file is a document and documents are cut by hash.

    Files of a split come together, so that ranges seldom hold several splits.
    """
    if config.split_by_pattern or config.documents != "file":
        return files
    decided = [replace(file, split=split_by_hash(file.name.encode(), config)) for file in files]
    return sorted(decided, key=lambda file: (file.split, file.name))


def cut(files: list[SourceFile], documents: str, shard_bytes: int) -> list[Range]:
    """The ranges of the corpus, in order.

    Small files share a range up to `shard_bytes`.  A larger one is cut into even parts of at most about that
    size, at line ends or, where documents are finer than files, between documents; a compressed file is never
    cut, because it cannot be entered in the middle.
    """
    groups: list[list[Segment]] = []
    room = 0
    for file in files:
        segments = list(_segments(file, documents, shard_bytes))
        if groups and len(segments) == 1 and file.size <= room and groups[-1][-1].split == file.split:
            groups[-1] += segments
            room -= file.size
        else:
            groups += [[segment] for segment in segments]
            room = shard_bytes - file.size if len(segments) == 1 else 0
    sizes = {file.path: file.size for file in files}
    return [
        Range(index, sum(s.end - s.start if s.end >= 0 else sizes[s.path] for s in group), tuple(group))
        for index, group in enumerate(groups)
    ]


def _segments(file: SourceFile, documents: str, shard_bytes: int) -> Iterator[Segment]:
    if file.compressed or file.size <= shard_bytes:
        yield Segment(file.name, file.path, file.split, 0, -1 if file.compressed else file.size, whole=True)
        return
    parts = -(-file.size // shard_bytes)
    start = 0
    for part in range(1, parts + 1):
        # A part may end far past its due place (a long line, a long document): the next ones then vanish.
        due = file.size * part // parts
        if due <= start:
            continue
        end = file.size if part == parts else _boundary(file, documents, due)
        yield Segment(file.name, file.path, file.split, start, end, whole=(start, end) == (0, file.size))
        start = end


def _boundary(file: SourceFile, documents: str, position: int) -> int:
    """The first place at or after `position` at which the file may be cut, or the file's size."""
    with open_source(file.path) as stream:
        stream.seek(position)
        if documents == "file":
            while block := stream.read(_BLOCK_BYTES):
                # Text without line ends within sight, such as text8, is cut after a space: no token is hurt.
                if found := block.find(b"\n") + 1 or block.find(b" ") + 1:
                    return min(stream.tell() - len(block) + found, file.size)
            return file.size
        stream.readline()  # the rest of a line that may begin anywhere
        while documents == "blank-line" and (line := stream.readline()) and line.strip():
            pass
        return min(stream.tell(), file.size)
