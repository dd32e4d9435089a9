"""`hopline models`: the versions of a registry."""

import argparse
import shlex
import sys
from typing import TYPE_CHECKING, Any

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import OUTPUT, Commands, add_format, add_server, client_of, command, group, print_json

if TYPE_CHECKING:
    from hopline.registry.lineage import Version
    from hopline.registry.registry import Champion, Registry

_TEXT = """\
Shows the models that were promoted, goes back to the one before the champion, removes old ones, and checks them all.

examples:
  hopline models list
  hopline models show
  hopline models diff 2 3
  hopline models rollback
  hopline models verify --registry gs://my-bucket/language-models/registry
  hopline models prune --keep 5

"""
_CHAMPION = "champion"


def add(commands: Commands) -> None:
    """Declares the commands."""
    actions = group(commands, "models", "list, compare, roll back, check and remove promoted models", _TEXT)

    listing = command(
        actions, "list", _list, "all versions", "Lists the versions, newest first, and who was champion when.\n"
    )
    showing = command(actions, "show", _show, "a version's card", "Prints the card of a version.\n")
    showing.add_argument("version", nargs="?", default=_CHAMPION, help="its number (default: the champion)")

    differing = command(
        actions,
        "diff",
        _diff,
        "what differs between two versions",
        "Shows what differs between two versions: data, configuration, code, numbers.\n",
    )
    for name in ("a", "b"):
        differing.add_argument(name, metavar=name.upper(), help='number of a version, or "champion"')

    returning = command(
        actions,
        "rollback",
        _rollback,
        "make the champion's predecessor champion again",
        "Makes the version before the champion champion again.  The version that it leaves stays in the registry; its\n"
        "evaluation will not promote it a second time.\n",
    )
    verifying = command(
        actions,
        "verify",
        _verify,
        "check every file, and mend what can be mended",
        "Checks pointer, history and the content of every file of every version, which are fetched from an object\n"
        "store for that.  Writes anew what is missing and known: the champion's history entry, cards, index.html.\n",
    )
    verifying.add_argument(
        "--repair",
        action="store_true",
        help="also put the last entry of the history in the place of a champion.json that is damaged, lost or old",
    )
    pruning = command(
        actions,
        "prune",
        _prune,
        "remove old versions",
        "Removes all but the newest versions.  The champion and its predecessor stay in any case, and so does the\n"
        "history with what the cards said.\n",
    )
    pruning.add_argument("--keep", type=int, required=True, metavar="N", help="how many of the newest stay")
    add_server(returning)
    for action in (returning, pruning):
        action.add_argument("--yes", action="store_true", help="do not ask")
    for action in (listing, showing, differing, returning, verifying, pruning):
        place = action.add_mutually_exclusive_group()
        place.add_argument(
            "--output", default=str(OUTPUT), metavar="PLACE", help="the --output of the runs (%(default)s)"
        )
        place.add_argument("--registry", metavar="PLACE", help="the registry itself: a folder, gs:// or s3:// URI")
    for action in (listing, showing, differing, verifying):
        add_format(action)


def _list(options: argparse.Namespace) -> int:
    from hopline.registry.page import describe_change, describe_length, moment
    from pipelines.tables import text_table

    registry = _open(options)
    versions = registry.lineage()
    if options.format == "json":
        return _print_json([version.content() for version in reversed(versions)])
    rows = []
    for version in reversed(versions):
        entry = version.entry
        bars = ", ".join(f"{name} {value:,.1f}" for name, value in version.leading_baselines.items())
        measured = f"{entry.perplexity:,.2f} on {entry.split}"
        rows.append(
            [str(version.number), version.state, moment(entry.promoted), measured, describe_change(version), bars]
        )
    print(text_table(["version", "state", "promoted", "perplexity", "change", "baselines"], rows))
    reigns = sorted(
        ((reign, version) for version in versions for reign in version.reigns), key=lambda pair: pair[0].history
    )
    rows = [
        [
            str(version.number),
            moment(reign.since),
            moment(reign.until) if reign.until else "now",
            describe_length(reign.length) if reign.until else "",
            "rollback" if reign.rollback else "promotion",
        ]
        for reign, version in reversed(reigns)
    ]
    print(f"\n{text_table(['champion', 'from', 'until', 'for', 'by'], rows)}")
    _warn(registry)
    return ExitCode.DONE


def _show(options: argparse.Namespace) -> int:
    from hopline.registry.card import render

    registry = _open(options)
    version = _version(registry, options.version)
    card = registry.card(version.entry)
    if options.format == "json":
        return _print_json({**version.content(), "place": registry.location(version.number), "card": card})
    print(render(version.entry, card), end="")
    if version.state != _CHAMPION:
        print(f"\nThis version is not the champion: {version.state}.")
    return ExitCode.DONE


def _diff(options: argparse.Namespace) -> int:
    from pipelines.tables import text_table
    from pipelines.versions import differences

    registry = _open(options)
    a, b = (_version(registry, name) for name in (options.a, options.b))
    found = differences(*((version.entry, registry.card(version.entry)) for version in (a, b)))
    if options.format == "json":
        return _print_json({"a": a.number, "b": b.number, "differences": found})
    for part, rows in found.items():
        print(f"{part}:")
        heads = ["", f"version {a.number}", f"version {b.number}"]
        print(
            text_table(heads, [[row["key"], _shown(row["a"]), _shown(row["b"])] for row in rows]) if rows else "  equal"
        )
    return ExitCode.DONE


def _rollback(options: argparse.Namespace) -> int:
    from hopline.registry.page import moment

    registry = _open(options)
    champion = _champion(registry)
    target = registry.predecessor(champion)
    for word, entry in (("from", champion), ("to", target)):
        measured = f"perplexity {entry.perplexity:,.2f} on {entry.split}"
        print(f"{word + ':':6}version {entry.version}, {measured}, promoted {moment(entry.promoted)}")
    print(
        "A run that is under way, or a schedule that fires, may promote another model again; a schedule is held by "
        "`hopline schedule pause NAME`."
    )
    _require_consent(options, f"make version {target.version} champion again?")
    returned = registry.rollback(champion)
    print(f"version {returned.version} is champion; version {champion.version} stays in the registry")
    if options.host:  # last: a server that does not answer must not hold the rollback up
        _name_schedules(options, str(registry.path))
    return ExitCode.DONE


def _name_schedules(options: argparse.Namespace, place: str) -> None:
    """Prints the schedules on the Kubeflow server that fire and promote to the registry at `place`."""
    from hopline.runtime.errors import HoplineError

    try:
        for schedule in client_of(options).recurring_runs():
            if schedule.enabled and str(schedule.parameters.get("registry", "")).rstrip("/") == place.rstrip("/"):
                print(
                    f'the schedule "{schedule.name}" promotes here too; it waits after '
                    f"`hopline schedule pause {shlex.quote(schedule.name)}`"
                )
    except HoplineError as error:
        print(f"warning: {options.host} does not say which schedules promote here: {error.message}", file=sys.stderr)


def _verify(options: argparse.Namespace) -> int:
    from hopline.registry.upkeep import DAMAGED, examine

    registry = _open(options, whole=False)
    findings = []
    for finding in examine(registry, repair=options.repair):
        findings.append(finding)
        if options.format == "text":
            print(f"{finding.state + ':':9}{finding.name}: {finding.text}", flush=True)
    damaged = [finding for finding in findings if finding.state == DAMAGED]
    if options.format == "json":
        _print_json([{"name": item.name, "state": item.state, "text": item.text} for item in findings])
    return ExitCode.USER if damaged else ExitCode.DONE


def _prune(options: argparse.Namespace) -> int:
    from hopline.registry.upkeep import doomed, prune

    registry = _open(options)
    _champion(registry)
    going = doomed(registry, options.keep)
    if not going:
        print("nothing to remove")
        return ExitCode.DONE
    print(f"removes: {', '.join(f'version {version}' for version in going)}")
    _require_consent(options, "remove them? They cannot be brought back.")
    prune(registry, options.keep, lambda version: print(f"version {version}: removed", flush=True))
    return ExitCode.DONE


def _open(options: argparse.Namespace, *, whole: bool = True) -> "Registry":
    """The registry that the options name, which must hold something; with `whole`, a champion.

    Raises:
        UserError: it does not.
    """
    from hopline.registry.records import HISTORY, POINTER
    from hopline.registry.registry import Registry
    from pipelines.output import open_output

    place = options.registry or open_output(options.output).registry
    registry = Registry(place)
    begun = bool(registry.backend.numbers(HISTORY))
    if registry.backend.read(POINTER) is None and not begun:
        raise UserError(
            f"{place} holds no champion: nothing was promoted there",
            remedy="name the --output of earlier runs, or a --registry; a first `hopline run` promotes its model",
        )
    if whole and registry.champion() is None:
        raise UserError(
            f"{registry.backend.locate(POINTER)} is missing, though the registry has a history",
            remedy=f"`hopline models verify --repair --registry {place}` copies the last entry of the history there",
        )
    return registry


def _champion(registry: "Registry") -> "Champion":
    champion = registry.champion()
    if champion is None:  # between two readings
        raise UserError(f"{registry.path} holds no champion", remedy="see `hopline models verify`")
    return champion


def _version(registry: "Registry", name: str) -> "Version":
    """The version that `name` is: a number, or "champion".

    Raises:
        UserError: there is none.
    """
    versions = {str(version.number): version for version in registry.lineage()}
    number = str(_champion(registry).version) if name == _CHAMPION else name
    if number not in versions:
        raise UserError(
            f'{registry.path} has no version "{name}"', remedy=f"name one of {', '.join(versions)}, or {_CHAMPION}"
        )
    return versions[number]


def _require_consent(options: argparse.Namespace, question: str) -> None:
    """Asks, unless --yes was given.

    Raises:
        UserError: there is nobody to ask, or the answer is not yes.
    """
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise UserError("nothing was changed: there is no terminal to ask at", remedy="give --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("nothing was changed: the answer was not yes", remedy="answer y, or give --yes")


def _warn(registry: "Registry") -> None:
    """Says what of the history could not be read."""
    for error in registry.entries()[1]:
        print(f"warning: {error.message}; see `hopline models verify`", file=sys.stderr)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _print_json(value: object) -> int:
    print_json(value)
    return ExitCode.DONE
