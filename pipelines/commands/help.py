"""`hopline help`: what all commands have in common, said once; and `hopline completion`."""

import argparse
from typing import Any

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import EXIT_CODES, Commands, Parser, add_server, command, parsers_of

_HELP = """\
Says what all commands have in common: their exit codes, and how they find a Kubeflow Pipelines server.

examples:
  hopline help exit-codes
  hopline help server

"""
_COMPLETION = """\
Prints what a shell needs to complete commands and options.

examples:
  hopline completion bash > ~/.local/share/bash-completion/completions/hopline
  hopline completion zsh > ~/.zfunc/_hopline

"""


def add(commands: Commands) -> None:
    """Declares the commands."""
    helping = command(commands, "help", _help, "exit codes, and how a server is found", _HELP)
    helping.add_argument("topic", choices=("exit-codes", "server"), help="of what")
    completing = command(commands, "completion", _completion, "complete commands in a shell", _COMPLETION)
    completing.add_argument("shell", choices=("bash", "zsh"), help="for which shell")


def _help(options: argparse.Namespace) -> int:
    if options.topic == "exit-codes":
        print(EXIT_CODES, end="")
        return ExitCode.DONE
    parser = Parser(prog="hopline COMMAND", add_help=False)
    add_server(parser, shown=True)
    print(parser.format_help(), end="")
    return ExitCode.DONE


def _completion(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        raise UserError(
            "completion needs the package shtab, which is not installed", remedy="pip install 'hopline[command]'"
        ) from error
    from pipelines.cli import arguments

    parser: Any = arguments()
    for each in parsers_of(parser):
        for action in each._actions:
            if action.help == argparse.SUPPRESS:  # it is left out of help texts, and is an option all the same
                action.help = ""
    print(shtab.complete(parser, options.shell))
    return ExitCode.DONE
