"""`hopline rescore`: a model ranks the hypotheses of n-best lists."""

import argparse

from pipelines.commands.parsing import Commands, command
from pipelines.commands.using import add_model, use

_TEXT = """\
Ranks the hypotheses of n-best lists anew, best first, by score + weight * log p(hypothesis).

examples:
  hopline rescore nbest.txt --lm-weight 0.5
  decode ... | hopline rescore - --lm-weight 0.5 --word-score 0.2

A line is `key ||| hypothesis ||| features ||| score` (features may be left out), or key, score and hypothesis with tabs
between them; lines of one key stand together.  It comes out in the same form, with the new score for the old.

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "rescore", _rescore, "rank n-best lists by the champion", _TEXT)
    parser.add_argument("file", metavar="NBEST", help='the list, UTF-8; "-" for standard input')
    parser.add_argument(
        "--lm-weight", type=float, required=True, metavar="X", help="what log p, natural, is multiplied with"
    )
    parser.add_argument("--word-score", type=float, default=0.0, metavar="X", help="added for each word (%(default)s)")
    add_model(parser)


def _rescore(options: argparse.Namespace) -> int:
    from hopline.use.requests import RescoreRequest

    names = ("file", "lm_weight", "word_score")
    return use("rescore", RescoreRequest, options, **{name: getattr(options, name) for name in names})
