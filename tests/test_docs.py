"""The documents tell the truth: links lead somewhere, commands and configuration keys exist."""

import dataclasses
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from pipelines.config.config import Config

ROOT = Path(__file__).resolve().parent.parent
FILES = [ROOT / name for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()]
DOCUMENTS = [path for path in FILES if path.suffix == ".md"]
CONFIGS = [path for path in FILES if path.parent.name == "configs"]


def called(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=called)
def test_every_link_leads_to_a_file(document):
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{target} in {document.name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=called)
def test_every_file_named_in_code_style_exists(document):
    named = re.findall(
        r"`((?:hopline|components|pipelines|tests|benchmarks|configs|docs)/[\w/.-]+\.\w+)`", document.read_text()
    )
    for name in named:
        assert (ROOT / name).exists(), f"{name} in {document.name}"


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


def test_every_section_of_the_configuration_is_on_the_page_of_keys():
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    named = re.findall(r"<!-- keys of (\w+) in ", page)
    assert sorted(named) == sorted(f.type.__name__ for f in dataclasses.fields(Config))


def test_every_page_is_in_the_sites_navigation():
    pages = {str(path.relative_to(ROOT / "docs")) for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")}
    assert pages == set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
