"""Whether the functions of an export agree with each other: what is drawn or shown must be what is scored."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.tolerance import difference_of_mean, require_close
from hopline.runtime.errors import InternalError
from hopline.schema import PAD

Arrays = Mapping[str, npt.NDArray[Any]]
Call = Callable[..., Arrays]

_PIECES = ("score_piece", "alternatives", "states", "attention")  # they say what "score" says, and more
_CHARACTERS = 4_000  # of a document that is looked at
_LEAST_LIKELY = 50.0  # nats
_ALL = (1 << 31) - 1  # more words than any vocabulary: all of them
_DRAW = {"tokens": 1, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1, "stop": [], "unknown": True}


def require_agreement(call: Call, document: str) -> None:
    """Demands that all functions give the words of a document the probabilities that "score" gives them.

    Args:
        call: calls a signature by name and inputs.
        document: some text; its beginning is used.

    Raises:
        InternalError: two of them differ by more than rounding.
    """
    text = document[: document.find("\n", _CHARACTERS) + 1 or _CHARACTERS]
    scored = call("score", text=[text])
    nll, ids = scored["nll"], scored["ids"]
    if not len(ids) or not np.isfinite(nll).all():  # a model that says nothing is refused for that, elsewhere
        return
    no_context = np.full_like(call("begin", text=[""])["context"][0], PAD)
    first = text.find("\n") + 1  # where the text can be cut without cutting a word
    for name in _PIECES:
        found, context = [], no_context
        for part in filter(None, (text[:first], text[first:])):
            result = call(name, context=context, text=part, **({"k": 1} if name == "alternatives" else {}))
            found.append(result["nll"])
            context = result["context"]
        _require_same(name, np.concatenate(found), nll)
    for start in {0, first} - {len(text)}:
        place = len(call("score", text=[text[:start]])["ids"])
        if place == len(ids) or nll[place] > _LEAST_LIKELY:  # nothing but blanks follows, or what float32 cannot hold
            continue
        likely = call("next_words", text=[text[:start]], k=_ALL)
        with np.errstate(divide="ignore"):  # `<pad>` has none
            log_probs = dict(zip(likely["ids"][0].tolist(), np.log(likely["probabilities"][0]), strict=True))
        _require_same("next_words", -np.array([log_probs[int(ids[place])]]), nll[place : place + 1])
        drawn = call("generate", text=[text[:start]], **_DRAW)
        expected = np.array([log_probs[int(drawn["ids"][0, 0])]])
        _require_same("generate", -drawn["log_probabilities"][0], -expected)


def _require_same(name: str, found: npt.NDArray[np.float32], nll: npt.NDArray[np.float32]) -> None:
    if len(found) != len(nll):
        raise InternalError(
            f'the signature "{name}" reads {len(found)} words where "score" reads {len(nll)}',
            remedy="do not serve this export; train the model again, and report it if this persists",
        )
    require_close(found, nll, difference_of_mean(found, nll), f'the signatures "{name}" and "score"')
