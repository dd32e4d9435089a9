"""The documents tell the truth: links lead somewhere, commands and configuration keys exist."""

import dataclasses
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from components.steps import STEPS
from pipelines.config.config import Config

ROOT = Path(__file__).resolve().parent.parent
FILES = [ROOT / name for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()]
DOCUMENTS = [path for path in FILES if path.suffix == ".md"]
CONFIGS = [path for path in FILES if path.parent.name == "configs"]


def called(path):
    return str(path.relative_to(ROOT))


def without_blocks(document):
    """The document's text but for its fenced blocks."""
    return re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=called)
def test_every_link_leads_to_a_file(document):
    for target in re.findall(r"\]\(([^)#]+)\)", without_blocks(document)):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{target} in {document.name}"


TOP_FOLDERS = {path.relative_to(ROOT).parts[0] for path in FILES if path.parent != ROOT}
FILE_NAMES = {path.name for path in FILES}
ANNOTATIONS = {"hopline/workers", "hopline/percent", "hopline/seconds-left", "hopline/values"}  # of a Job
OF_A_RUN = {"report.html", "config.toml"}  # files that hopline writes


@pytest.mark.parametrize("document", DOCUMENTS, ids=called)
def test_every_path_and_module_named_in_code_style_exists(document):
    for name in re.findall(r"`([^`\n]+)`", without_blocks(document)):
        if name in ANNOTATIONS:
            continue
        if re.fullmatch(r"[\w.-]+(/[\w.-]*)+", name) and name.partition("/")[0] in TOP_FOLDERS:
            assert (ROOT / name).exists(), f"{name} in {document.name}"
        elif re.fullmatch(r"[\w-]+\.(py|sh|toml|yaml|html)", name):
            assert name in FILE_NAMES | OF_A_RUN, f"{name} in {document.name}"
        elif re.fullmatch(r"(components|pipelines|tests|benchmarks)(\.\w+)+", name):
            module = ROOT / name.replace(".", "/")
            assert module.is_dir() or module.with_suffix(".py").exists(), f"{name} in {document.name}"


def test_a_file_that_the_architecture_names_without_its_folder_is_in_a_folder_of_the_same_paragraph():
    everywhere = {"component.py"}  # each step has one
    for paragraph in without_blocks(ROOT / "docs" / "architecture.md").split("\n\n"):
        named = [ROOT / name for name in re.findall(r"`([\w.-]+(?:/[\w.-]*)+)`", paragraph)]
        folders = {path if path.is_dir() else path.parent for path in named}
        for name in set(re.findall(r"`(\w+\.py)`", paragraph)) - everywhere:
            assert any((folder / name).exists() for folder in folders), f"{name} in: {paragraph[:80]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=called)
def test_every_make_command_is_a_target(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE):
        assert target in targets, f"make {target} in {document.name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=called)
def test_every_hopline_command_exists(document):
    from pipelines.cli import arguments

    (subcommands,) = [action.choices for action in arguments()._actions if action.choices]
    for command in re.findall(r"(?:bin/|`)hopline ([a-z]+)", document.read_text()):
        assert command in subcommands, f"hopline {command} in {document.name}"


@pytest.mark.parametrize("path", CONFIGS, ids=called)
def test_every_config_loads_and_opens_with_its_command_time_and_goal(path):
    Config.load(path)
    header = path.read_text().split("\n\n[")[0].splitlines()
    assert all(line.startswith("#") for line in header)
    text = " ".join(header)
    assert re.search(rf"hopline (run|submit|schedule apply) --config configs/{re.escape(path.name)}", text)
    assert "Should reach" in text


def test_every_documented_exit_code_is_one():
    from hopline.runtime.errors import ExitCode

    documented = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(map(int, documented)) == sorted(ExitCode)


def test_no_committed_file_names_a_package_registry_or_a_path_of_one_machine():
    forbidden = re.compile(
        "|".join(["py" + r"pi\.org", "pythonhost" + "ed", "npm" + r"js\.", r"debian\." + "org", "/wo" + "rk/"])
    )
    for path in FILES:
        if path.suffix not in {".png", ""} or path.name in {"Makefile", "run"}:
            found = forbidden.search(path.read_text(errors="replace"))
            assert not found, f"{found.group()} in {called(path)}"


SECTION = '''
@dataclass
class SomeConfig(Section):
    """Some."""

    name = "some"

    # Read only
    # on Sundays.
    first: str = "a|b"  # or "c"
    second: int = 10_000
'''


def test_a_page_shows_a_sections_keys_with_their_defaults_and_comments():
    hooks = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
    assert hooks["key_table"](SECTION, "SomeConfig").splitlines()[2:] == [
        '| `first` | `"a\\|b"` | Read only on Sundays. or "c" |',
        "| `second` | `10000` |  |",
    ]


def test_the_page_of_the_architecture_shows_what_each_step_reads_and_writes():
    hooks = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
    assert "<!-- steps in components/steps.py -->" in (ROOT / "docs" / "architecture.md").read_text()
    rows = hooks["step_table"]((ROOT / "components" / "steps.py").read_text()).splitlines()[2:]
    assert rows == [f"| `{step.name}` | {step.reads} | {step.writes} |" for step in STEPS]


def test_every_section_of_the_configuration_is_on_the_page_of_keys():
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    named = re.findall(r"<!-- keys of (\w+) in ", page)
    assert sorted(named) == sorted(f.type.__name__ for f in dataclasses.fields(Config))


def test_every_page_is_in_the_sites_navigation():
    pages = {str(path.relative_to(ROOT / "docs")) for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")}
    assert pages == set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))


# What a change may touch, the compiled pipeline among it, which is made anew by a command.
WALKS = {"step": 8, "tokeniser": 7, "key": 6}


@pytest.mark.parametrize(("walk", "most"), WALKS.items())
def test_the_diff_of_a_walk_still_applies_and_touches_no_more_than_it_may(walk, most):
    page = (ROOT / "docs" / "walks" / f"{walk}.md").read_text()
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    subprocess.run(["git", "apply", "--check", "-"], cwd=ROOT, input=diff, text=True, check=True)
    golden = "tests/golden/pipeline.yaml" in page
    assert diff.count("\ndiff --git ") + 1 + golden <= most
