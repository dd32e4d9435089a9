"""`hopline compile`: the pipeline as a file."""

import argparse
from pathlib import Path

from hopline.runtime.errors import ExitCode
from pipelines.commands.parsing import Commands, add_config, command
from pipelines.config.config import Config

_TEXT = """\
Compiles the pipeline for a Kubeflow Pipelines 2 server: one YAML file, whole or not at all.  Its parameters default
to the configuration; the registry's folder has no default.

examples:
  hopline compile --output pipeline.yaml
  hopline compile --config configs/ptb.toml --set train.workers=4 --output pipeline.yaml

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "compile", _compile, "write the pipeline as YAML for a cluster", _TEXT)
    add_config(parser, required=False)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the YAML file to write")


def _compile(options: argparse.Namespace) -> int:
    from pipelines.compiled import write_pipeline

    config = Config.load(options.config, options.overrides)
    write_pipeline(config, options.output)
    print(f"wrote {options.output}")
    return ExitCode.DONE
