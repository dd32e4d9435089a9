"""The vocabulary of a promoted model, for models that are to share it."""

import json
from dataclasses import dataclass

from hopline.config.preprocess import PreprocessConfig
from hopline.config.section import require
from hopline.registry.registry import Registry
from hopline.schema import VOCABULARY_FILE


@dataclass(frozen=True)
class Vocabulary:
    """Words by id, the reserved ones first, and the model that they are from."""

    words: list[str]
    model_id: str


def promoted_vocabulary(registry: str, model_id: str, config: PreprocessConfig) -> Vocabulary:
    """The vocabulary of the model `model_id`, which is or was champion in `registry`.

    Raises:
        UserError: the model or its vocabulary is missing or damaged, or its text was cut or lowercased in another way.
    """
    promoted = Registry(registry)
    version = promoted.version(model_id)
    manifest, text = promoted.read(version, VOCABULARY_FILE)
    made_with = {
        "tokeniser": manifest.facts.get("tokeniser", "whitespace"),  # the only one there was
        "lowercase": bool(manifest.facts["lowercase"]),
    }
    for key, value in made_with.items():
        ours = getattr(config, key)
        require(
            ours == value,
            f"preprocess.{key} is {json.dumps(ours)}, but the vocabulary of champion {version} was made "
            f"with {json.dumps(value)}",
            f'set preprocess.{key} = {json.dumps(value)}, or preprocess.vocabulary = "own"',
        )
    return Vocabulary(text.removesuffix("\n").split("\n"), model_id)
