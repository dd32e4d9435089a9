"""A model's SavedModel as Python functions over NumPy arrays.  This imports TensorFlow."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hopline.runtime.errors import UserError
from hopline.schema import SAVED_MODEL_FOLDER

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # messages about devices do not belong among scores

import tensorflow as tf


class Exported:
    """The signatures of the export in a model's folder.  They may be called by several threads at once.

    Args:
        folder: the model's.

    Raises:
        UserError: it holds no export that loads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._loaded = tf.saved_model.load(str(folder / SAVED_MODEL_FOLDER))
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise UserError(
                f"the export in {folder} does not load: {error}",
                remedy="`hopline models verify` says what is damaged; restore it, or use another version",
            ) from error

    @property
    def signatures(self) -> dict[str, Any]:
        """The functions by name."""
        return dict(self._loaded.signatures)

    def inputs(self, signature: str) -> set[str]:
        """The names of a signature's inputs.

        Raises:
            UserError: the export has no such signature.
        """
        return set(self._function(signature).structured_input_signature[1])

    def width(self, signature: str, name: str) -> int:
        """The size of the last axis of a signature's input.

        Raises:
            UserError: the export has no such signature or input.
        """
        if name not in self.inputs(signature):
            raise self._older(f'the signature "{signature}" of the export in {self._folder} takes no {name}')
        return int(self._function(signature).structured_input_signature[1][name].shape[-1])

    def call(self, signature: str, /, **inputs: Any) -> dict[str, Any]:
        """Calls a signature.

        Args:
            signature: its name.
            inputs: all of its inputs; they are converted to its types.

        Returns:
            The outputs as NumPy arrays; strings are bytes.

        Raises:
            UserError: the export has no such signature, or an input is none of its types.
        """
        function = self._function(signature)
        specs = function.structured_input_signature[1]
        if missing := sorted(set(specs) ^ set(inputs)):
            raise UserError(
                f'the signature "{signature}" takes {", ".join(sorted(specs))}; wrong or missing: {", ".join(missing)}',
                remedy="give exactly these inputs",
            )
        try:
            tensors = {
                name: tf.ensure_shape(tf.convert_to_tensor(value, specs[name].dtype), specs[name].shape)
                for name, value in inputs.items()
            }
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise UserError(
                f'an input of "{signature}" is none of its type or shape: {error}',
                remedy="give the shapes and types that the metadata of the model lists",
            ) from error
        try:
            return {name: value.numpy() for name, value in function(**tensors).items()}
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                f'"{signature}" cannot compute with these inputs: {error.message}',
                remedy="correct their values",
            ) from error

    def _function(self, signature: str) -> Any:
        function = self._loaded.signatures.get(signature)
        if function is None:
            raise self._older(f'the export in {self._folder} has no signature "{signature}"')
        return function

    @staticmethod
    def _older(what: str) -> UserError:
        return UserError(
            f"{what}: an older hopline made it", remedy="train the model again with this version of hopline"
        )


def texts_of(words: Iterable[bytes]) -> list[str]:
    """Strings of TensorFlow as text."""
    return [word.decode("utf-8", errors="replace") for word in words]
