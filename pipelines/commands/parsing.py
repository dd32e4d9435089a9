"""What the commands' parsers have in common."""

import argparse
import difflib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from pipelines.config.config import Config
    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.connection import Server

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
SEE = "exit codes: hopline help exit-codes\n"
SEE_SERVER = f"the server (--host, --namespace, --token-file, --ca-file, --kube-namespace): hopline help server\n{SEE}"


def positive(text: str) -> int:
    """The type of an option that is a whole number of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'it is "{text}", but must be a whole number of at least 1')
    return number


class Parser(argparse.ArgumentParser):
    """A parser that says what was probably meant, and ends with code 2 as every user's error does."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            hint = nearest(str(value), choices) or f"choose from {', '.join(choices)}"
            raise argparse.ArgumentError(action, f'there is no "{value}": {hint}')

    def error(self, message: str) -> NoReturn:
        """Prints usage and `message`, with the option that an unknown one is nearest to, and leaves."""
        start, _, rest = message.partition("unrecognized arguments: ")
        if rest and not start and (hint := nearest(rest.split()[0].partition("=")[0], sorted(options_of(self)))):
            message = f"{message}: {hint}"
        super().error(message)


def nearest(word: str, known: Iterable[str]) -> str:
    """The question whether the nearest of `known` was meant; "" if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All options of the parser and of its commands."""
    return {option for each in parsers_of(parser) for action in each._actions for option in action.option_strings}


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers_of(inner)


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
        epilog=SEE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=function)
    return parser


def group(commands: Commands, name: str, summary: str, text: str) -> Commands:
    """Adds the command `name`, of which each action is a command of its own; they are added to what is returned."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser.add_subparsers(required=True, metavar="ACTION")


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


def add_server(parser: argparse.ArgumentParser, *, shown: bool = False) -> None:
    """Adds where a Kubeflow Pipelines server is, and how we prove who we are; `hopline help server` shows it."""
    if not shown:
        parser.epilog = SEE_SERVER
    group = parser.add_argument_group(
        "the Kubeflow Pipelines server",
        "kfp's own settings hold as well: KF_PIPELINES_IAP_OAUTH2_CLIENT_ID and others, ~/.config/kfp/context.json.",
    )
    host = os.environ.get("HOPLINE_KFP_HOST") or os.environ.get("KF_PIPELINES_ENDPOINT", "")
    token = os.environ.get("HOPLINE_KFP_TOKEN_FILE")
    group.add_argument("--host", default=host, metavar="URL", help="its address (default: HOPLINE_KFP_HOST)")
    group.add_argument(
        "--namespace",
        default=os.environ.get("HOPLINE_KFP_NAMESPACE", ""),
        help="of a multi-user installation (default: HOPLINE_KFP_NAMESPACE)",
    )
    group.add_argument(
        "--token-file",
        type=Path,
        default=Path(token) if token else None,
        metavar="FILE",
        help="holds a bearer token, and is read again for each request (default: HOPLINE_KFP_TOKEN_FILE)",
    )
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust, PEM")
    group.add_argument(
        "--kube-namespace",
        default=os.environ.get("HOPLINE_KFP_KUBE_NAMESPACE", ""),
        metavar="NAME",
        help="where the pods run, often kubeflow: logs are then read with kubectl's configuration, and while a step "
        "runs (default: HOPLINE_KFP_KUBE_NAMESPACE)",
    )
    if not shown:
        for action in group._group_actions:
            action.help = argparse.SUPPRESS
        group.title = group.description = argparse.SUPPRESS


def add_format(parser: argparse.ArgumentParser, *, wide: bool = False) -> None:
    """Adds -o; `wide` is for a command that knows more than fits a line of a terminal."""
    parser.add_argument(
        "-o",
        choices=("text", "json", *(["wide"] if wide else [])),
        default="text",
        dest="format",
        help="the form of what is printed: for people, or one JSON document"
        f"{', or all columns, each row in one line' if wide else ''} (%(default)s)",
    )


def print_json(content: object) -> None:
    """Prints `content` as a JSON document."""
    import json

    print(json.dumps(content, indent=2))


def name_images() -> None:
    """Has this process and its children take the images that `make images` makes of the checked-out commit.

    A tag in the environment goes before it.  Call it before `components.images` is imported.
    """
    from hopline.artifacts import git_revision

    commit, changes, _ = git_revision().partition("+changes")
    if commit:
        os.environ.setdefault("HOPLINE_IMAGE_TAG", f"{commit[:12]}{'-changes' if changes else ''}")


def add_preflight(parser: argparse.ArgumentParser) -> None:
    """Adds what turns `preflight` off."""
    parser.add_argument(
        "--no-preflight",
        dest="preflight",
        action="store_false",
        help="with --kube-namespace: do not look there first whether accounts, Secrets and claims exist",
    )


def preflight(options: argparse.Namespace, config: "Config") -> None:
    """Looks, where Kubernetes can be asked, whether a run would find what it needs.

    Raises:
        UserError: it would not.
    """
    if not options.kube_namespace or not options.preflight:
        return
    from pipelines.doctor.preflight import require_ready

    for line in require_ready(config, options.kube_namespace, server_of(options)):
        print(f"warning: {line}")


def server_of(options: argparse.Namespace) -> "Server":
    """The server that the options of `add_server` describe."""
    from pipelines.kubeflow.connection import Server

    place = {name: getattr(options, name) for name in ("host", "namespace", "token_file", "ca_file")}
    return Server(**place)


def client_of(options: argparse.Namespace) -> "Client":
    """The client that the options of `add_server` describe."""
    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.connection import Connection

    connection = Connection(server_of(options))
    if not options.kube_namespace:
        return Client(connection)

    from pipelines.kubeflow.live import live_logs

    return Client(connection, live_logs(options.kube_namespace))
