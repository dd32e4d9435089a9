"""What an exported model says about a split, as one file between two processes."""

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
    """Scores of a text's N tokens, in order, and of a list of words looked up beside it.

    Attributes:
        nll: shape (N,), float32, negative log-likelihoods in nats.
        ids: shape (N,), int64, in the model's vocabulary.
        word_index: shape (N,), int32, the token as written: its place in `words`.
        words: the distinct words of the text, as written.
        looked_up: shape (number of words looked up,), int64, their ids in the model's vocabulary.
    """

    nll: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    word_index: npt.NDArray[np.int32]
    words: tuple[str, ...]
    looked_up: npt.NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Writes the scores to `path`, which must end in `.npz`."""
        arrays: dict[str, Any] = {"nll": self.nll, "ids": self.ids, "word_index": self.word_index}
        arrays["looked_up"] = self.looked_up
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
                    looked_up=arrays["looked_up"],
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InternalError(f"{path} holds no scores: {error}", remedy="run evaluate again") from error

    def surface(self) -> list[str]:
        """The N tokens as written."""
        return [self.words[index] for index in self.word_index]
