"""Changes small things in the code, one at a time, and says which change no test notices: `make mutants`.

    python -m tests.mutants [--minutes 10] [MODULE ...]

cosmic-ray makes the mutants.  It changes files in place, so all of it happens in a copy in build/mutants, and what is
finished there is not tried again.  A mutant that survives shows a test that is missing, code that does nothing, or
equal code.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "mutants"
SECONDS = 120.0  # for the tests of one mutant; one that takes longer counts as noticed

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


def copy_tree() -> Path:
    """The tracked files as they are now; those that did not change keep their time."""
    tree = FOLDER / "tree"
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        source, target = ROOT / name, tree / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return tree


def mutate(module: str, tree: Path, seconds: float) -> list[dict[str, object]]:
    """Tries the mutants of the module for so long, and returns those that survived, by place."""
    session = FOLDER / (module.replace("/", ".") + ".sqlite")
    config = session.with_suffix(".toml")
    tests = f"{sys.executable} -m pytest -q -x -p no:cacheprovider {TARGETS[module]}"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {SECONDS}\nexcluded-modules = []\n'
        f'test-command = "{tests}"\n\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    program = str(Path(sys.executable).with_name("cosmic-ray"))
    source = (ROOT / module).read_text()
    if not session.exists() or session.stat().st_mtime < (ROOT / module).stat().st_mtime:
        subprocess.run([program, "init", "--force", str(config), str(session)], cwd=tree, check=True)
    subprocess.run([program, "baseline", str(config)], cwd=tree, check=True)  # else every mutant would be noticed
    try:
        subprocess.run([program, "exec", str(config), str(session)], cwd=tree, check=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        (tree / module).write_text(source)  # the mutant that was being tried
    dump = subprocess.run([program, "dump", str(session)], cwd=tree, check=True, capture_output=True, text=True).stdout
    items = [json.loads(line) for line in dump.splitlines()]
    done = [(work, result) for work, result in items if result]
    survived = [
        {**work["mutations"][0], "diff": result["diff"]}
        for work, result in done
        if result["test_outcome"] == "survived"
    ]
    print(f"{module}: {len(done)} of {len(items)} mutants tried, {len(survived)} survived", flush=True)
    return survived


def main() -> int:
    """Tries the mutants of the modules named; 1 if one survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TARGETS)}; default: the first two")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each module (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.modules) - TARGETS.keys():
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}")
    tree, survived = copy_tree(), []
    for module in options.modules or DEFAULT:
        found = mutate(module, tree, 60 * options.minutes)
        survived += found
        for mutant in found:
            print(mutant["diff"])
    return int(bool(survived))


if __name__ == "__main__":
    sys.exit(main())
