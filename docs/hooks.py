"""Hooks of the documentation's build: tables of configuration keys, each page as plain text too, and `llms.txt`."""

import ast
import re
from pathlib import Path
from typing import Any

_KEYS = re.compile(r"<!-- keys of (?P<section>\w+) in (?P<file>[\w/.]+) -->")


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Puts a table of a section's keys where a page asks for one."""
    root = Path(config["config_file_path"]).parent
    return _KEYS.sub(
        lambda match: key_table((root / match["file"]).read_text(encoding="utf-8"), match["section"]), markdown
    )


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
