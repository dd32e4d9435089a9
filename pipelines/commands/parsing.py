"""What the commands' parsers have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

OUTPUT = Path("hopline-output")
EXIT_CODES = """\
exit codes:
  0    done; a model that was rejected is a result, not a failure
  1    internal error: the log says more
  2    configuration or data are wrong
  3    training diverged
  4    the champion kept changing while the challenger was evaluated
  130  stopped by Ctrl-C (the same command continues)
  143  stopped by SIGTERM (the same command continues)
"""


def command(
    commands: Commands,
    name: str,
    function: Callable[[argparse.Namespace], int],
    summary: str,
    text: str,
) -> argparse.ArgumentParser:
    """Adds the command `name`: `summary` in the list of commands, `text` in its own help; it calls `function`."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=function)
    return parser


def add_config(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds --config and --set."""
    note = "" if required else " (default: the built-in configuration)"
    parser.add_argument("--config", type=Path, required=required, metavar="FILE", help=f"configuration, TOML{note}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="replaces one value of the configuration; may be given several times",
    )
