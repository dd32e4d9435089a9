"""A model for the LM Evaluation Harness (the package `lm-eval`, extra `lm-eval`).

    import lm_eval
    from hopline.use.harness import HoplineLM

    lm_eval.simple_evaluate(model=HoplineLM("hopline-output"), tasks=["wikitext"])

Interface: `lm_eval.api.model.LM` and docs/model_guide.md of that package.  Importing this module also registers the
model as "hopline", so `simple_evaluate(model="hopline", model_args={"place": "hopline-output"})` finds it.
"""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

import hopline
from hopline.runtime.errors import UserError
from hopline.use.drawing import Choice

_TOKENS = 256  # words of a continuation, if a task sets no limit: the harness's own number
_AT_ONCE = 16  # words that are drawn between two looks for a stop


@register_model("hopline")
class HoplineLM(LM):
    """The model at a place, see `hopline.load`.

    Its tokens are its words, and an unknown word costs its `<unk>`: numbers of models with other vocabularies are
    comparable only where no word is unknown.

    Args:
        place: an output, a registry or a model folder; a gs:// or s3:// URI of the first two.
        version: of the registry; None for the champion.
    """

    def __init__(self, place: str = "hopline-output", version: int | None = None, **_: Any) -> None:
        super().__init__()
        self.model = hopline.load(place, None if version is None else int(version))

    @property
    def tokenizer_name(self) -> str:
        """Tells the models apart in the harness's cache of requests."""
        return f"hopline-{self.model.located.manifest.id}"

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """For each (context, continuation): its log-probability in nats, and whether each word of it is the likeliest.

        The continuation begins with the first word that the context alone does not have: where a word is cut in two it
        is scored whole.
        """
        found = []
        for request in requests:
            context, continuation = request.args
            answer = self._of_continuation(context, continuation)
            self.cache_hook.add_partial("loglikelihood", request.args, answer)
            found.append(answer)
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-probability in nats of each text, every word with all the memory that the text allows."""
        texts = [request.args[0] for request in requests]
        found = [-scored.totals.nats for scored in self.model.score(texts)]
        for request, number in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, number)
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The continuation of each context up to the first of the strings in `until`, which is left out.

        Of the settings of a task `until`, `max_gen_toks`, `do_sample`, `temperature`, `top_k`, `top_p` and `seed` are
        followed; without `do_sample` or a temperature the likeliest word is taken.
        """
        found = []
        for request in requests:
            context, settings = request.args
            answer = self._continued(context, settings)
            self.cache_hook.add_partial("generate_until", request.args, answer)
            found.append(answer)
        return found

    def _of_continuation(self, context: str, continuation: str) -> tuple[float, bool]:
        model = self.model
        before = model.words_of(context)
        scored, likeliest = model.alternatives(context + continuation, k=1)
        same = (old == new for old, new in zip(before, model.words_of(context + continuation), strict=False))
        first = next((place for place, equal in enumerate(same) if not equal), len(before))
        greedy = all(
            word == model.vocabulary[identity]
            for [(word, _)], identity in zip(likeliest[first:], scored.ids[first:], strict=True)
        )
        return -float(scored.nll[first:].sum(dtype="float64")), greedy

    def _continued(self, context: str, settings: dict[str, Any]) -> str:
        until = settings.get("until") or []
        stops = [until] if isinstance(until, str) else [stop for stop in until if stop]
        temperature = float(settings.get("temperature") or 0.0)
        if settings.get("do_sample") and not settings.get("temperature"):
            temperature = 1.0
        choice = Choice(
            temperature=0.0 if settings.get("do_sample") is False else temperature,
            top_k=int(settings.get("top_k") or 0),
            top_p=float(settings.get("top_p") or 1.0),
            seed=int(settings.get("seed") or 0),
        )
        tokens = int(settings.get("max_gen_toks") or _TOKENS)
        words: list[str] = []
        text = ""
        for [part] in self.model.stream(context, tokens=tokens, choice=choice, at_once=_AT_ONCE):
            words += part.words
            text = self.model.joined(context, words)
            ends = [place for stop in stops if (place := text.find(stop)) >= 0]
            if ends:
                return text[: min(ends)]
        return text

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A language model of plain text has no chat template.

        Raises:
            UserError: always.
        """
        raise UserError("this model continues text and knows no chat", remedy="leave out --apply_chat_template")
