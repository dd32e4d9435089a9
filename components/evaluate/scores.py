"""What an exported model says about a split, as one file between two processes."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hopline.runtime.errors import InternalError

_SEPARATOR = "\n"  # no word holds one: it is a token by itself


@dataclass(frozen=True)
class Scores:
    """Scores of a text's N tokens, in order.

    Attributes:
        nll: shape (N,), float32, negative log-likelihoods in nats.
        ids: shape (N,), int64, in the model's vocabulary.
        word_index: shape (N,), int32, the token as written: its place in `words`.
        words: the distinct words of the text, as written.
        lengths: shape (documents,), int64, how many of the N tokens each document has.
        milliseconds: median time to score one line; NaN where it was not measured.
    """

    nll: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    word_index: npt.NDArray[np.int32]
    words: tuple[str, ...]
    lengths: npt.NDArray[np.int64]
    milliseconds: float = math.nan

    def save(self, path: Path) -> None:
        """Writes the scores to `path`, which must end in `.npz`."""
        arrays: dict[str, Any] = {"nll": self.nll, "ids": self.ids, "word_index": self.word_index}
        arrays |= {"lengths": self.lengths, "milliseconds": np.float64(self.milliseconds)}
        # One string of bytes: an array of strings would take the longest word's room for each, or need pickle.
        arrays["words"] = np.frombuffer(_SEPARATOR.join(self.words).encode(), np.uint8)
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Scores":
        """Reads what `save` wrote.

        Raises:
            InternalError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                text = arrays["words"].tobytes().decode()
                return cls(
                    nll=arrays["nll"],
                    ids=arrays["ids"],
                    word_index=arrays["word_index"],
                    words=tuple(text.split(_SEPARATOR)) if text else (),
                    lengths=arrays["lengths"],
                    milliseconds=float(arrays["milliseconds"]),
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InternalError(f"{path} holds no scores: {error}", remedy="run evaluate again") from error

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """Shape (N,): the number of each token's document."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def surface(self) -> list[str]:
        """The N tokens as written."""
        return [self.words[index] for index in self.word_index]
