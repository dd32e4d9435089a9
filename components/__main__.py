"""Runs a step of those that are installed here: the entry point of every image.

python -m components train --examples DIR ...
"""

import argparse
import pkgutil
import runpy
import sys

import components


def main() -> None:
    """Becomes the program of the step that the first argument names, with the arguments after it."""
    steps = sorted(module.name for module in pkgutil.iter_modules(components.__path__) if module.ispkg)
    parser = argparse.ArgumentParser(
        prog="python -m components",
        usage="%(prog)s [-h] STEP ...",
        description=f"Runs a step of those that are installed here: {', '.join(steps)}.",
        epilog="`STEP --help` lists a step's arguments.",
        allow_abbrev=False,
    )
    parser.add_argument("step", metavar="STEP", choices=steps, help="and its arguments")
    step = parser.parse_args(sys.argv[1:2]).step
    del sys.argv[1]
    runpy.run_module(f"components.{step}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
