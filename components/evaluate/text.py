"""The raw text of a split, as `examples/text/` keeps it: passages, joined here to whole documents."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hopline.runtime.errors import UserError


@dataclass(frozen=True)
class Document:
    """A document of the corpus: its name (`hopline.schema.Passage`) and all its text."""

    name: str
    text: str

    @property
    def source(self) -> str:
        """The file that it stands in."""
        file, _, byte = self.name.rpartition("@")
        return file if file and byte.isdecimal() else self.name


def read_documents(folder: Path, split: str) -> list[Document]:
    """Every document of `split` in order, each the text of its consecutive passages.

    Args:
        folder: holds `<split>-*.jsonl`, in whose lines are `document` (its name) and `text`.
        split: the split's name.

    Raises:
        UserError: there is no such file, or a line of one is damaged.
    """
    shards = sorted(folder.glob(f"{split}-*.jsonl"))
    if not shards:
        raise UserError(
            f'{folder} holds no text of the split "{split}"', remedy="run preprocess again, or choose another split"
        )
    passages = (passage for shard in shards for passage in _passages(shard))
    by_document = itertools.groupby(passages, key=lambda passage: passage[0])
    return [Document(name, "".join(text for _, text in group)) for name, group in by_document]


def _passages(shard: Path) -> Iterator[tuple[str, str]]:
    with shard.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                passage = json.loads(line)
                yield passage["document"], passage["text"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{shard}, line {number} is damaged: {error}",
                    remedy=f"remove {shard.parent.parent} and run again to make it anew",
                ) from error
