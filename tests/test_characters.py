"""What becomes of each character, as docs/preprocessing.md says it in two tables."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from components.preprocess import reading
from components.preprocess.graph import split
from components.preprocess.plan import cut
from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import SourceFile
from hopline.model.tokenisers import tokenise
from hopline.runtime.errors import UserError
from hopline.schema import TOKENISERS
from pipelines.config.config import Config

PAGE = Path(__file__).parents[1] / "docs" / "preprocessing.md"
REFUSED = "refused"


def rows(title: str) -> Iterator[list[str]]:
    """The cells of the table below the title, without the code marks; the first row says what the columns are."""
    section = re.split("^#+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    [text] = [part for part in section if part.startswith(f"{title}\n")]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for line in [lines[0], *lines[2:]]:
        yield [cell.strip().removeprefix("`").removesuffix("`") for cell in line.strip("|").split("|")]


def written(cell: str) -> str:
    """The text that the cell spells as a Python literal does."""
    return ast.literal_eval(f"'{cell}'")


def spelled(text: str) -> str:
    """The text with everything that a reader could not see as an escape."""
    escapes = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
    shown = [
        c if c.isprintable() and c not in escapes and ord(c) < 0x300 else escapes.get(c) or _escape(c) for c in text
    ]
    return "".join(shown)


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


CHARACTERS = list(rows("What becomes of each character"))
FILES = list(rows("What becomes of bytes and of the escapes of JSON"))


@pytest.mark.parametrize("row", CHARACTERS[1:], ids=lambda row: row[1])
def test_the_table_of_characters_says_what_each_tokeniser_makes_of_them(row):
    text = f"a{written(row[0])}b"
    for tokeniser, cell in zip(CHARACTERS[0][2:], row[2:], strict=True):
        assert [spelled(token) for token in tokenise(text, tokeniser)] == cell.split(" ")


@pytest.mark.parametrize("tokeniser", TOKENISERS)
def test_the_graph_makes_the_same_of_them(tokeniser):
    texts = [f"a{written(row[0])}b" for row in CHARACTERS[1:]]
    found = split(tf.constant(texts), tokeniser, lowercase=False).to_list()
    assert [[word.decode() for word in words] for words in found] == [tokenise(text, tokeniser) for text in texts]


def test_the_table_has_a_column_for_each_tokeniser():
    assert CHARACTERS[0][2:] == list(TOKENISERS)


def read(folder: Path, documents: str, data: bytes, rule: str) -> str:
    """The text that preprocess finds, as the table spells it."""
    path = folder / "text"
    path.write_bytes(data)
    config = CorpusConfig(documents=documents, invalid_utf8=rule)
    try:
        ranges = cut([SourceFile("train", "text", path, len(data))], documents, 1 << 20)
        return spelled("".join(piece.text.decode() for work in ranges for piece in reading.pieces(work, config)))
    except UserError:
        return REFUSED


@pytest.mark.parametrize("row", FILES[1:], ids=lambda row: f"{row[0]} {row[2]}")
def test_the_table_of_files_says_what_each_rule_makes_of_them(row, tmp_path):
    documents, data, _, *cells = row
    for rule, cell in zip(FILES[0][3:], cells, strict=True):
        assert read(tmp_path, documents, written(data).encode("latin-1"), rule) == cell


def test_a_byte_order_mark_before_a_configuration_is_none_of_it(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[model]\nhops = 5\n")
    assert Config.load(tmp_path / "a.toml").model.hops == 5
