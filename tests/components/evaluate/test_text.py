import json

import pytest

from components.evaluate.text import Document, read_documents
from hopline.runtime.errors import UserError


def write(folder, name, passages):
    lines = [json.dumps({"document": document, "offset": 0, "text": text}) + "\n" for document, text in passages]
    (folder / name).write_text("".join(lines))


def test_passages_of_a_document_are_joined_across_shards(tmp_path):
    write(tmp_path, "valid-00000-of-00002.jsonl", [("a", "one\n"), ("b", "two "), ("b", "three\n")])
    write(tmp_path, "valid-00001-of-00002.jsonl", [("b", "four\n"), ("c", "five\u2028\n")])
    write(tmp_path, "test-00000-of-00001.jsonl", [("d", "six\n")])
    assert read_documents(tmp_path, "valid") == [
        Document("a", "one\n"),
        Document("b", "two three\nfour\n"),
        Document("c", "five\u2028\n"),
    ]


@pytest.mark.parametrize(
    ("name", "source"), [("a.txt", "a.txt"), ("a.txt@120", "a.txt"), ("me@home.txt", "me@home.txt"), ("@7", "@7")]
)
def test_the_source_of_a_document_is_its_file(name, source):
    assert Document(name, "").source == source


def test_a_split_without_text_is_refused(tmp_path):
    with pytest.raises(UserError, match='no text of the split "test"'):
        read_documents(tmp_path, "test")


@pytest.mark.parametrize("line", ["{", '{"document": "a"}', "[]", "1"])
def test_a_damaged_line_is_named(tmp_path, line):
    write(tmp_path, "valid-00000-of-00001.jsonl", [("a", "one\n")])
    with (tmp_path / "valid-00000-of-00001.jsonl").open("a") as shard:
        shard.write(line + "\n")
    with pytest.raises(UserError, match="line 2 is damaged"):
        read_documents(tmp_path, "valid")
