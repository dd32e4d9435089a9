"""Changes small things in the code, one at a time, and says which change no test notices: `make mutants`.

    python -m tests.mutants [--minutes 10] [MODULE ...]

cosmic-ray's operators make the mutants.  No file is changed: each mutant lives in a child process, a fork of one that
has imported pytest and what the tests need of others' packages, so that one mutant costs a fraction of a second.
They are tried in an order that is the same each time; --minutes ends a module's turn.

A mutant that survives shows a test that is missing, code that does nothing, or equal code.
Of schedule_plan (2026-11-25, all 187) seven survive as equal: `frozen` and `kw_only` of a dataclass, `is` for `==`
between booleans, `!=` for `is not` between schedules, whose ids differ.
"""

import argparse
import difflib
import importlib
import os
import random
import signal
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 300  # for the tests of one mutant; one that takes longer counts as noticed
OURS = ("hopline", "components", "pipelines", "tests", "benchmarks")
UNFORKABLE = ("tensorflow", "tf", "keras", "jax", "apache_beam", "__mp_main__")  # start threads: a child imports them

# A module to the tests that must notice its mutants.
TARGETS = {
    "pipelines/kubeflow/schedule_plan.py": "tests/pipelines/kubeflow/test_schedule_plan.py",
    "components/evaluate/decide.py": "tests/components/evaluate/test_decide.py",
    "hopline/registry/lineage.py": "tests/hopline/registry/test_lineage.py",
    "hopline/registry/records.py": "tests/hopline/registry/test_records.py",
    "hopline/registry/registry.py": "tests/hopline/registry/test_registry.py",
    "hopline/model/scoring.py": "tests/hopline/model/test_scoring.py",
}
DEFAULT = ("pipelines/kubeflow/schedule_plan.py", "components/evaluate/decide.py")  # pure, and tested in a second


def mutants(source: str) -> Iterator[str]:
    """Every mutant of the source, by operator and place."""
    for name in operator_names():
        operator = get_operator(name)
        if not operator.arguments():
            occurrence = 0
            while (mutant := mutate_code(source, operator(), occurrence)) is not None:
                yield mutant
                occurrence += 1


def tests_pass(module: str, source: str, tests: str) -> bool:
    """Whether the tests pass with `source` in the place of the module, in a child process."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(SECONDS)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            _put_in_place(module, source)
            os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", tests])))
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _put_in_place(module: str, source: str) -> None:
    name = module.removesuffix(".py").replace("/", ".")
    package, _, last = name.rpartition(".")
    made = types.ModuleType(name)
    made.__file__, made.__package__ = str(ROOT / module), package
    sys.modules[name] = made
    exec(compile(source, module, "exec"), made.__dict__)
    setattr(importlib.import_module(package), last, made)


def import_what_tests_need(tests: str) -> None:
    """Imports here, once, the packages of others that a child had to import."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        pytest.main(["-q", "-x", "-p", "no:cacheprovider", tests])
        found = {name.partition(".")[0] for name in sys.modules} - {*OURS}
        found = {name for name in found if not name.startswith(UNFORKABLE)}
        os.write(writing, "\n".join(sorted(found)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as names:
        wanted = names.read().split("\n")
    os.wait()
    for name in wanted:
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"not imported beforehand: {name}: {error}", file=sys.stderr)


def survivors(module: str, seconds: float) -> list[str]:
    """Tries mutants of the module for so long; the differences of those that no test notices."""
    source, tests = (ROOT / module).read_text(encoding="utf-8"), TARGETS[module]
    import_what_tests_need(tests)
    if not tests_pass(module, source, tests):
        raise SystemExit(f"{tests} fails without a mutation")
    every = list(mutants(source))
    random.Random(0).shuffle(every)
    ends, tried, found = time.monotonic() + seconds, 0, []
    for mutant in every:
        if time.monotonic() > ends:
            break
        tried += 1
        if tests_pass(module, mutant, tests):
            lines = difflib.unified_diff(source.splitlines(), mutant.splitlines(), module, module, lineterm="", n=1)
            found.append("\n".join(lines))
            print(found[-1], flush=True)
    print(f"{module}: {tried} of {len(every)} mutants tried, {len(found)} survived", flush=True)
    return found


def main() -> int:
    """Tries the mutants of the modules named; 1 if one survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TARGETS)}; default: the first two")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each module (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.modules) - TARGETS.keys():
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}")
    os.chdir(ROOT)
    found = [survivors(module, 60 * options.minutes) for module in options.modules or DEFAULT]
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
