"""`hopline generate`: a model continues a text."""

import argparse

from pipelines.commands.parsing import Commands, command
from pipelines.commands.using import add_cache, add_model, cache_of, use

_TEXT = """\
Continues a text by the champion, word by word.  The same seed gives the same words.

examples:
  hopline generate "the stock market"
  hopline generate "the stock market" --tokens 60 --temperature 0.8 --top-k 50 --seed 1
  hopline generate "the stock market" --top-p 0.9 -n 5 --stop .
  hopline generate --temperature 0 --json ""
  hopline generate "the stock market" --tokens 300 --cache 500

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "generate", _generate, "continue a text by the champion", _TEXT)
    parser.add_argument("text", nargs="?", default="", help="what to continue; none for the beginning of a document")
    parser.add_argument("--tokens", type=int, default=30, metavar="N", help="words at most (%(default)s)")
    parser.add_argument("-n", type=int, default=1, metavar="N", help="how many continuations (%(default)s)")
    parser.add_argument(
        "--temperature", type=float, default=0.8, metavar="X", help="below 1 likely words become likelier (%(default)s)"
    )
    parser.add_argument("--top-k", type=int, default=50, metavar="K", help="of the K likeliest; 0 of all (%(default)s)")
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="of the fewest likeliest that have this share (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--stop", action="append", default=[], metavar="WORD", help="ends the text; may be given several times"
    )
    parser.add_argument("--unknown", action="store_true", help="let <unk> be drawn")
    parser.add_argument("--json", action="store_true", help="one JSON object, with log-probabilities in nats")
    add_cache(parser)
    add_model(parser)


def _generate(options: argparse.Namespace) -> int:
    from hopline.use.requests import GenerateRequest

    names = ("text", "tokens", "n", "temperature", "top_k", "top_p", "seed", "stop", "unknown", "json")
    request = {name: getattr(options, name) for name in names}
    return use("generate", GenerateRequest, options, cache=cache_of(options), **request)
