"""`hopline serve`: a model behind HTTP on this machine."""

import argparse
import importlib.util

from hopline.runtime.errors import UserError
from pipelines.commands.parsing import Commands, command
from pipelines.commands.using import add_model, use

_TEXT = """\
Serves the champion over HTTP on this machine, until Ctrl-C.  There is a page to try it at its address.

  /v1/completions            as OpenAI's: prompt, max_tokens, temperature, top_p, n, stop, seed, logprobs, echo, stream
  /v1/models/NAME            status, /metadata and :predict as TensorFlow Serving's, also with /versions/N or
                             /labels/champion

examples:
  hopline serve
  hopline serve --port 8600 --registry gs://my-bucket/language-models/registry --version 3
  curl -d '{"prompt": "the stock market", "max_tokens": 20}' http://127.0.0.1:8600/v1/completions

It listens on this machine alone unless --host says otherwise, and asks nobody who they are.

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "serve", _serve, "serve the champion over HTTP on this machine", _TEXT)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8600, metavar="N", help="0 for any that is free (%(default)s)")
    parser.add_argument("--name", default="hopline", help="the model's name in URLs (%(default)s)")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-body", type=int, default=1 << 20, metavar="BYTES", help="of a request at most (%(default)s)"
    )
    limits.add_argument(
        "--max-tokens", type=int, default=1000, metavar="N", help="words of an answer at most (%(default)s)"
    )
    limits.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="that an answer may take (%(default)s)"
    )
    add_model(parser)


def _serve(options: argparse.Namespace) -> int:
    from hopline.use.requests import ServeRequest

    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("starlette") is None:
        raise UserError("hopline serve needs uvicorn and starlette", remedy="install the extra: hopline[serve]")
    for name, least in (("port", 0), ("max_body", 1), ("max_tokens", 1), ("timeout", 0.001)):
        if not getattr(options, name) >= least:
            option = name.replace("_", "-")
            raise UserError(f"--{option} is {getattr(options, name)}, but must be {least} or more", remedy="correct it")
    names = ("host", "port", "name", "max_body", "max_tokens", "timeout")
    champion = options.version is None
    return use("serve", ServeRequest, options, champion=champion, **{name: getattr(options, name) for name in names})
