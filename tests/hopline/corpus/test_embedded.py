"""The embedded corpora: what every CPython carries, found without importing a module."""

import subprocess
import sys
import sysconfig

import pytest

from hopline.config.corpus import CorpusConfig
from hopline.corpus import embedded
from hopline.corpus.files import fingerprint, source_files
from hopline.runtime.process import child_environment


@pytest.fixture(autouse=True)
def found_anew():
    """What is found of one library is not what another has."""
    embedded._documents.cache_clear()
    yield
    embedded._documents.cache_clear()


def test_the_topics_of_pydoc_are_a_corpus(tmp_path):
    from pydoc_data.topics import topics

    config = CorpusConfig(train="embedded:python-docs")
    files = source_files(config, tmp_path)
    assert {file.name: file.path.read_text(encoding="utf-8") for file in files} == {
        f"{topic}.txt": text for topic, text in topics.items()
    }
    assert source_files(config, tmp_path) == files


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "library"
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(folder))
    monkeypatch.setattr(embedded, "_topics", lambda: iter([("with", "The  with statement.\n\nCommon text.\n")]))

    def write(**texts):
        for name, text in texts.items():
            path = folder / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        root = embedded.write("embedded:python", tmp_path / "scratch")
        return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in sorted(root.rglob("*.txt"))}

    return write


SOURCE = '''"""Module.

    indented
"""
raise SystemExit("imported")

class A:
    """Class."""
    x = """No docstring."""
    async def f(self):
        """Function."""
        def g():
            "Inner."

try:
    import b
except ImportError:
    def late():
        """Late."""
else:
    if 1:
        def later():
            """Later."""
'''


def test_a_module_is_a_document_of_its_docstrings_in_the_order_of_its_source(library):
    found = library(a=SOURCE, package__b='"B."', empty="")
    assert found["modules/a.txt"] == "Module.\n\nindented\n\nClass.\n\nFunction.\n\nInner.\n\nLate.\n\nLater.\n"
    assert found["modules/package/b.txt"] == "B.\n"
    assert "modules/empty.txt" not in found


def test_a_passage_that_stands_twice_is_kept_once(library):
    found = library(a='"""Common\n   text.\n\nOwn."""', b='"""Own."""', c='"Own.\\n\\n  Own.\\n\\nMore."')
    assert found["topics/with.txt"] == "The  with statement.\n\nCommon text.\n"
    assert found["modules/a.txt"] == "Own.\n"
    assert "modules/b.txt" not in found
    assert found["modules/c.txt"] == "More.\n"


def test_tests_and_what_is_not_of_the_standard_library_are_left_out(library):
    left_out = (
        "test__a",
        "json__tests__a",
        "idlelib__idle_test__a",
        "site-packages__a",
        "__pycache__/a",
        "sitecustomize",
    )
    assert [*library(**dict.fromkeys(left_out, '"Out."'), kept='"In."')] == ["modules/kept.txt", "topics/with.txt"]


def test_what_does_not_parse_or_is_no_text_changes_the_content_only(library, tmp_path):
    nested = "x = " + "(" * 5000 + ")" * 5000
    text = library(bad="def", deep=nested, nul='"a\\0b\\n\\nseen"', half='"a\\ud800b"', good='"Good."')
    assert text == {
        "modules/good.txt": "Good.\n",
        "modules/nul.txt": "seen\n",
        "topics/with.txt": text["topics/with.txt"],
    }


def test_a_python_without_library_or_topics_is_refused_as_an_empty_corpus(tmp_path, monkeypatch):
    from hopline.runtime.errors import UserError

    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "nowhere"))
    monkeypatch.setattr(embedded, "_topics", lambda: iter([]))
    with pytest.raises(UserError, match="a folder without files"):
        source_files(CorpusConfig(), tmp_path)


_FOUND = """
import sys
from pathlib import Path
from hopline.corpus import embedded
before = set(sys.modules)
root = embedded.write("embedded:python", Path(sys.argv[1]))
print(*(set(sys.modules) - before))
"""


@pytest.mark.slow
def test_it_is_the_same_in_every_run_and_no_module_is_imported(tmp_path):
    command = [sys.executable, "-c", _FOUND, str(tmp_path / "other")]
    environment = child_environment() | {"PYTHONHASHSEED": "7"}
    imported = subprocess.run(command, check=True, capture_output=True, env=environment, text=True).stdout.split()
    assert "pydoc_data.topics" in imported
    assert not {"antigravity", "turtle", "tkinter", "idlelib", "asyncio.events", "xmlrpc.client"} & set(imported)
    files = source_files(CorpusConfig(), tmp_path)
    other = source_files(CorpusConfig(train=str(tmp_path / "other" / "python")), tmp_path)
    assert fingerprint(CorpusConfig(), files) == fingerprint(CorpusConfig(), other)
    assert len(files) > 400
    assert sum(file.size for file in files) > 1_500_000
