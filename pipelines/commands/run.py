"""`hopline run`: the whole pipeline on this machine."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hopline.runtime.errors import ExitCode
from pipelines.commands.parsing import OUTPUT, Commands, add_config, command, name_images
from pipelines.config.config import Config

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.output import Output

_TEXT = """\
Runs the whole pipeline on this machine: resolve, preprocess, train, evaluate, promote.  Stopped or killed at any
moment, the same command continues where it was; results for unchanged configuration and text are found in the cache.

examples:
  hopline run --config configs/tiny.toml
  hopline run --config configs/tiny.toml --workers 2 --set train.epochs=3 --set corpus.train='my-texts/*.txt'
  hopline run --config configs/ptb.toml --minutes 15 --set corpus.train=ptb.train.txt --set corpus.valid=ptb.valid.txt
  hopline run --config configs/tiny.toml --dry-run
  hopline run --config configs/tiny.toml --runner docker
  hopline run --config configs/tiny.toml --output gs://my-bucket/language-models

written under --output:
  runs/<id>/   one folder per run, named by its time: config.toml, log.txt, examples/, model/, evaluation/
  registry/    every promoted model and the champion among them
  cache/       results and checkpoints by what they were made from; `hopline clean` removes it

With an --output in an object store (gs://, s3://, credentials from the environment) registry and finished runs lie
there.  Work in progress, and runs that failed, are in a folder of their own in ${XDG_CACHE_HOME:-~/.cache}/hopline.

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "run", _run, "run the whole pipeline on this machine", _TEXT)
    add_config(parser, required=True)
    parser.add_argument(
        "--workers", type=int, metavar="N", help="training processes; the same as --set train.workers=N"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="train for so long: as many epochs as fit by the speed measured here; the same as --set train.minutes=N",
    )
    parser.add_argument(
        "--output", default=str(OUTPUT), metavar="PLACE", help="folder, gs:// or s3:// URI for everything (%(default)s)"
    )
    parser.add_argument(
        "--runner",
        choices=("subprocess", "docker"),
        default="subprocess",
        help="what a step is: a process of this machine, or a container of its image, see `make images` (%(default)s); "
        "HOPLINE_IMAGE_TAG for images of another tag than the checked-out commit",
    )
    parser.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE",
        help="keep there how far the run is, in Prometheus's text format (for node_exporter a name that ends in .prom)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="look at configuration, corpus, registry and champion, say what a run would do, and make nothing",
    )


def _dry_run(config: Config, output: "Output", console: "Console") -> int:
    """Says what a run would do, by its first step alone, in a folder that is removed."""
    import json
    import subprocess
    import sys
    import tempfile

    from hopline.runtime.process import FAILURE_FILE, child_environment, failure_of, read_failure
    from pipelines.closing import print_rows

    with tempfile.TemporaryDirectory() as scratch:
        found, work = Path(scratch, "resolution"), Path(scratch, "work")
        command = [sys.executable, "-m", "components.resolve", f"--registry={output.registry}"]
        sections = (config.corpus, config.resolve, config.preprocess, config.train, config.model)
        command += [f"--{section.name}-config={section.to_json()}" for section in sections]
        done = subprocess.run(
            [*command, f"--output={found}", f"--work-dir={work}"],
            env=child_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise read_failure(work / FAILURE_FILE) or failure_of("resolve", done.returncode)
        resolution = json.loads((found / "resolution.json").read_text(encoding="utf-8"))
    champion = resolution["champion"]
    rows = [
        ("corpus", f"{resolution['files']:,} files, {resolution['bytes'] / 1e6:,.1f} MB"),
        ("champion", champion or "none yet"),
        ("would", f"{resolution['action']}: {resolution['reason']}"),
    ]
    print_rows(rows, console)
    return ExitCode.DONE


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    if options.runner == "docker":
        name_images()
    from pipelines.closing import print_failure, print_result
    from pipelines.estimate import describe
    from pipelines.output import RUNS, open_output
    from pipelines.run import LOG, run_pipeline

    overrides = [*options.overrides]
    if options.workers is not None:
        overrides.append(f"train.workers={options.workers}")
    if options.minutes is not None:
        overrides.append(f"train.minutes={options.minutes}")
    config = Config.load(options.config, overrides)
    config = replace(config, corpus=config.corpus.absolute(Path.cwd()), model=config.model.absolute(Path.cwd()))
    console = Console(highlight=False)
    output = open_output(options.output)
    for line in describe(config, output.folder / RUNS):
        console.print(line, markup=False, soft_wrap=True)
    if options.dry_run:
        return _dry_run(config, output, console)
    run = run_pipeline(config, output, console, options.runner, options.metrics_file)
    if run.failure is None:
        print_result(run, output, console)
        return ExitCode.DONE
    print_failure(run.failure, Path(run.place, LOG), Console(stderr=True, highlight=False))
    return run.failure.code
