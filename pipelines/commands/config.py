"""`hopline config`: what can be configured, and what is."""

import argparse
import textwrap
from pathlib import Path

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import Commands, add_config, add_format, command, group, print_json

_TEXT = """\
Shows what can be configured, what each key means, and what a configuration comes to.

examples:
  hopline config init > my.toml
  hopline config explain train.learning_rate
  hopline config explain job
  hopline config show --config configs/tiny.toml --set train.epochs=3 --changed

"""
_INIT = """\
Prints a configuration with every key, its default and what it is, each commented out.

"""
_EXPLAIN = """\
Says what a key is, its default and, with --config or --set, its value; or all keys of a section.

"""
_SHOW = """\
Prints the whole configuration that a file and --set come to, as TOML.

"""
_WIDTH = 110


def add(commands: Commands) -> None:
    """Declares the commands."""
    actions = group(commands, "config", "show and explain configurations, and begin one", _TEXT)
    beginning = command(actions, "init", _init, "a configuration to begin with", _INIT)
    beginning.add_argument("--output", type=Path, metavar="FILE", help="a new file for it (default: it is printed)")
    explaining = command(actions, "explain", _explain, "what a key is", _EXPLAIN)
    explaining.add_argument("key", metavar="SECTION[.KEY]", help="which")
    showing = command(actions, "show", _show, "what a configuration comes to", _SHOW)
    showing.add_argument("--changed", action="store_true", help="only what is not the default")
    add_format(showing)
    for action in (explaining, showing):
        add_config(action, required=False)


def _init(options: argparse.Namespace) -> int:
    from pipelines.config.describe import template

    if options.output is None:
        print(template(), end="")
        return ExitCode.DONE
    try:
        with options.output.open("x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError as error:
        raise UserError(f"{options.output} is there already", remedy="name a new file") from error
    except OSError as error:
        raise UserError(
            f"--output {options.output} cannot be written: {error.strerror}",
            remedy="name a file in a folder that exists",
        ) from error
    print(f"wrote {options.output}")
    return ExitCode.DONE


def _explain(options: argparse.Namespace) -> int:
    from pipelines.config.config import Config
    from pipelines.config.describe import find, toml

    found = find(options.key)
    config = Config.load(options.config, options.overrides)
    for key in found:
        value = getattr(getattr(config, key.section), key.name)
        print(f"{key.section}.{key.name} = {toml(value)}")
        default = "the default" if value == key.default else f"the default is {toml(key.default)}"
        for text in (f"{key.kind}; {default}", key.about):
            if text:
                print(textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    "))
    return ExitCode.DONE


def _show(options: argparse.Namespace) -> int:
    from pipelines.config.config import Config
    from pipelines.config.describe import toml

    shown, defaults = Config.load(options.config, options.overrides).to_dict(), Config().to_dict()
    if options.changed:
        changed = {
            name: {key: value for key, value in values.items() if value != defaults[name][key]}
            for name, values in shown.items()
        }
        shown = {name: values for name, values in changed.items() if values}
    if options.format == "json":
        print_json(shown)
        return ExitCode.DONE
    parts = [
        "\n".join([f"[{name}]", *(f"{k} = {toml(v)}" for k, v in values.items())]) for name, values in shown.items()
    ]
    print("\n\n".join(parts))
    return ExitCode.DONE
