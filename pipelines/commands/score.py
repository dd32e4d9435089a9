"""`hopline score`: what a model makes of a text."""

import argparse

from hopline.runtime.errors import UserError
from pipelines.commands.parsing import Commands, command
from pipelines.commands.using import add_cache, add_model, cache_of, use

_TEXT = """\
Scores text by the champion: perplexity, with and without the words it does not know, bits per character, speed.

examples:
  hopline score chapter.txt
  echo "the for statement is used to iterate" | hopline score --per word
  hopline score --format kenlm --per line sentences.txt
  hopline score --json chapter.txt | python -m json.tool
  echo "the for statement is used to iterate" | hopline score --attention
  hopline score --cache 500 --registry gs://my-bucket/language-models/registry --version 3 chapter.txt

Each file is one document, and a word sees those of the lines before; --context line makes a text of each line, as
n-gram tools do.  An end of line is a word, `<eos>`, and counts as one.  Files may be of any size.

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "score", _score, "perplexity and surprisal of texts by the champion", _TEXT)
    parser.add_argument("files", nargs="*", metavar="FILE", help='text, UTF-8; none or "-" for standard input')
    parser.add_argument("--per", choices=("document", "line", "word"), help="what is printed besides the totals")
    parser.add_argument(
        "--format",
        choices=("table", "json", "kenlm", "srilm", "tsv"),
        default="table",
        help="a table; one JSON object; as KenLM's query; as SRILM's ngram -ppl -debug 2; surprisal in bits by tabs",
    )
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    parser.add_argument(
        "--context", choices=("document", "line"), default="document", help="what a word sees (%(default)s)"
    )
    parser.add_argument("--attention", action="store_true", help="show where each hop looked, in place of scores")
    add_cache(parser)
    add_model(parser)


def _score(options: argparse.Namespace) -> int:
    from hopline.use.requests import ScoreRequest

    cache = cache_of(options)
    if options.attention and (cache or options.format != "table" or options.per):
        raise UserError("--attention has a form of its own", remedy="leave out --per, --format and --cache")
    request = {name: getattr(options, name) for name in ("files", "format", "context", "attention")}
    # The forms of other tools are theirs word by word, unless less is asked for.
    per = options.per or ("word" if options.format in {"kenlm", "srilm", "tsv"} else "document")
    return use("score", ScoreRequest, options, per=per, cache=cache, **request)
