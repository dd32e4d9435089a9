"""Hooks of the site's build: tables of steps and configuration keys, each page as plain text too, and `llms.txt`."""

import ast
import re
from pathlib import Path
from typing import Any

_STEPS = re.compile(r"<!-- steps in (?P<file>[\w/.]+) -->")
_KEYS = re.compile(r"<!-- keys of (?P<section>\w+) in (?P<file>[\w/.]+) -->")


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Puts a table of the steps, or of a section's keys, where a page asks for one."""
    root = Path(config["config_file_path"]).parent
    markdown = _STEPS.sub(lambda match: step_table((root / match["file"]).read_text(encoding="utf-8")), markdown)
    return _KEYS.sub(
        lambda match: key_table((root / match["file"]).read_text(encoding="utf-8"), match["section"]), markdown
    )


def step_table(source: str) -> str:
    """What each `Step(...)` of the source reads and writes, as a table."""
    rows = ["| step | reads | writes |", "| --- | --- | --- |"]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Step":
            said = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
            rows.append(f"| `{said['name']}` | {said['reads']} | {said['writes']} |")
    return "\n".join(rows)


def key_table(source: str, section: str) -> str:
    """The keys of the dataclass `section` as a table: name, default, and the comment that stands with the key."""
    lines = source.splitlines()
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == section)
    rows = ["| key | default | |", "| --- | --- | --- |"]
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            default = ast.unparse(node.value).replace("'", '"').replace("|", "\\|")
            rows.append(f"| `{node.target.id}` | `{default}` | {_comment(lines, node).replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def _comment(lines: list[str], node: ast.AnnAssign) -> str:
    """The comment behind the key, after any that stand on lines of their own above it."""
    above = []
    number = node.lineno - 2
    while number >= 0 and lines[number].lstrip().startswith("#"):
        above.insert(0, lines[number].strip().removeprefix("# "))
        number -= 1
    behind = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
    return " ".join([*above, behind]).strip()


def on_post_build(config: Any, **_: Any) -> None:
    """Copies every page's Markdown beside its HTML, and writes the list of pages (llmstxt.org)."""
    site, source = Path(config["site_dir"]), Path(config["docs_dir"])
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']}", "", "## Pages", ""]
    for page in sorted(source.rglob("*.md")):
        name, text = page.relative_to(source), page.read_text(encoding="utf-8")
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
        title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), str(name))
        lines.append(f"- [{title}]({name.as_posix()})")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
