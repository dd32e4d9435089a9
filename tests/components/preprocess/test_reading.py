"""Text of a range: documents, splits, places, and what is refused."""

import bz2
import gzip
import itertools
import lzma

import pytest

from components.preprocess import reading
from components.preprocess.plan import cut
from components.preprocess.reading import Skipped, batches, pieces, text_before
from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import source_files, split_by_hash
from hopline.runtime.errors import UserError


@pytest.fixture
def read(tmp_path):
    """Reads a corpus of one file, given as bytes; returns its pieces."""

    def read(content, name="text", shard_bytes=1 << 20, **options):
        folder = tmp_path / "corpus"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        config = CorpusConfig(train=str(folder), **options)
        files = source_files(config, tmp_path)
        return [piece for work in cut(files, config.documents, shard_bytes) for piece in pieces(work, config)]

    return read


def documents(found):
    return {name: b"".join(p.text for p in group) for name, group in itertools.groupby(found, lambda p: p.document)}


def test_a_file_is_one_document_and_offsets_are_bytes_in_it(read):
    text = "zwölf Boxkämpfer jagen\n".encode() * 5000
    found = read(text)
    assert documents(found) == {"text": text}
    assert len(found) > 3
    assert all(text[piece.offset :].startswith(piece.text) and piece.text.endswith(b"\n") for piece in found)


def test_a_long_line_is_cut_behind_spaces_and_a_long_word_not_at_all(read):
    text = b"word " * 20_000 + b"x" * 100_000
    found = read(text)
    assert b"".join(piece.text for piece in found) == text
    assert all(piece.text.endswith(b" ") for piece in found[:-1])
    assert found[-1].text.endswith(b"x" * 100_000)


def test_a_byte_order_mark_at_the_start_is_dropped(read):
    assert [(p.offset, p.text) for p in read(b"\xef\xbb\xbfone two\n")] == [(3, b"one two\n")]
    assert documents(read(b'\xef\xbb\xbf{"text": "a"}\n', documents="json-line")) == {"text@3": b"a"}


def test_blank_lines_separate_documents_and_belong_to_none(read):
    found = read(b"\n \na b\nc\n\n\t\r\nd\r\ne", documents="blank-line")
    assert documents(found) == {"text@3": b"a b\nc\n", "text@13": b"d\r\ne"}
    assert [piece.offset for piece in found] == [3, 13]


def test_a_json_line_is_a_document_named_by_its_byte(read):
    text = b'{"body": "a\\nb", "x": 1}\n\n{"body": "\\u00e9"}'
    found = read(text, documents="json-line", text_field="body")
    assert documents(found) == {"text@0": b"a\nb", "text@26": "é".encode()}


def test_compressed_text_reads_as_plain_text_does(read):
    text = b"some text\n" * 10_000
    assert b"".join(p.text for p in read(gzip.compress(text), name="text.gz", shard_bytes=100)) == text


@pytest.mark.parametrize(
    ("name", "compress"),
    [("TEXT.GZ", gzip.compress), ("text.bz2", bz2.compress), ("text.xz", lzma.compress), ("TEXT.XZ", lzma.compress)],
)
def test_a_suffix_in_any_case_says_how_a_file_is_compressed(read, name, compress):
    assert [piece.text for piece in read(compress(b"a\nno final line end"), name=name)] == [b"a\nno final line end"]


@pytest.mark.parametrize("shard_bytes", [1, 13, 50, 1000])
@pytest.mark.parametrize("kind", ["blank-line", "json-line"])
def test_documents_and_their_splits_do_not_depend_on_the_cuts(read, kind, shard_bytes):
    if kind == "blank-line":
        text = b"".join(b"first %d\nsecond\n\n" % number for number in range(50))
    else:
        text = b"".join(b'{"text": "document %d"}\n' % number for number in range(50))
    options = {"documents": kind, "valid_fraction": 0.3, "test_fraction": 0.3}
    found, expected = read(text, shard_bytes=shard_bytes, **options), read(text, **options)
    assert [(p.split, p.document, p.offset, p.text) for p in found] == [
        (p.split, p.document, p.offset, p.text) for p in expected
    ]
    config = CorpusConfig(**options)
    assert all(p.split == split_by_hash(p.text.strip(), config) for p in found)
    assert {p.split for p in found} == {"train", "valid", "test"}


class TestRefusals:
    def test_invalid_utf8_is_named_by_file_and_byte(self, read):
        with pytest.raises(UserError, match=r"text is not UTF-8 at byte 60004 ") as caught:
            read(b"good\n" * 12_000 + b"bad \xff\n")
        assert 'invalid_utf8 to "replace"' in caught.value.remedy

    def test_invalid_utf8_is_replaced_on_request(self, read):
        (piece,) = read(b"a\xff\xe2\x82 b\n", invalid_utf8="replace")
        assert piece.text.decode() == "a\ufffd\ufffd b\n"

    def test_a_binary_file_is_named_by_its_nul_byte(self, read):
        with pytest.raises(UserError, match="NUL at byte 3"):
            read("añ\0".encode())

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b'{"text": "cut', "line 3 .byte 29. is no document: Unterminated"),
            (b'{"body": "a"}', 'with a string "text"'),
            (b'{"text": 1}', 'with a string "text"'),
            (b'["text"]', 'with a string "text"'),
            (b"[" * 100_000, "line 3 .byte 29. is no document: it is nested too deeply"),
            (b'{"text": "a\\u0000b"}', r"line 3 .byte 29. spells a NUL by the escape \\u0000"),
            (b'{"text": "\\ud83d"}', r"line 3 .byte 29. spells half a surrogate pair by the escape \\ud83d"),
        ],
    )
    def test_a_line_that_is_no_document_is_named_by_its_number(self, read, line, message):
        with pytest.raises(UserError, match=message):
            read(b'{"text": "first line here"}\n\n' + line, documents="json-line")

    def test_what_escapes_spell_and_text_cannot_hold_is_replaced_on_request(self, read):
        line = b'{"text": "a\\ud800b\\u0000\\ud83d\\ude00"}'
        (piece,) = read(line, documents="json-line", invalid_utf8="replace")
        assert piece.text.decode() == "a\ufffdb\ufffd\U0001f600"

    def test_numbers_of_any_length_are_no_matter(self, read):
        (piece,) = read(b'{"n": ' + b"9" * 5000 + b', "text": "a"}', documents="json-line")
        assert piece.text == b"a"

    def test_so_many_bad_lines_as_are_allowed_are_left_out_and_counted(self, tmp_path):
        (tmp_path / "text").write_bytes(b'{"text": "a"}\n{"text": 1}\n\n{"text": "b"}\nnot json\n{"text": "c"}\n')
        for most in (2, 3):
            config = CorpusConfig(train=str(tmp_path / "text"), documents="json-line", skip_lines=most)
            (work,) = cut(source_files(config, tmp_path), "json-line", 1 << 20)
            skipped = Skipped()
            assert [piece.text for piece in pieces(work, config, skipped)] == [b"a", b"b", b"c"]
            assert skipped.lines == 2
            assert "line 2" in skipped.first
        with pytest.raises(UserError, match=r"line 5 .byte 41. is no document"):
            list(pieces(work, CorpusConfig(documents="json-line", skip_lines=1)))

    @pytest.mark.parametrize("name", ["text", "text.gz"])
    @pytest.mark.parametrize(
        "pointer",
        [
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n",
            b"/annex/objects/SHA256E-s12345--4d7a21.txt\n",
        ],
    )
    def test_a_pointer_to_a_large_file_is_refused_by_name(self, read, name, pointer):
        with pytest.raises(UserError, match=f"{name} is a pointer of Git LFS or git-annex"):
            read(pointer, name=name)

    def test_text_that_quotes_a_pointer_is_text(self, read):
        text = b"see version https://git-lfs.github.com/spec/v1\n"
        assert [piece.text for piece in read(text)] == [text]

    @pytest.mark.parametrize(
        ("kind", "text", "place"),
        [
            ("file", b"a b\n%s c", "text has no blank and no line end in the 1,048,576 bytes from byte 4 on"),
            ("blank-line", b"a\n\n%s", "text, document at byte 3, has no blank .* from byte 3 on"),
            ("json-line", b'{"text": "%s"}', "text, document at byte 0, has no blank .* from byte 0 on"),
        ],
    )
    def test_a_word_has_a_bound(self, read, kind, text, place):
        assert b"".join(piece.text for piece in read(text % (b"x" * 1_000_000), documents=kind)).count(b"x") > 999_999
        with pytest.raises(UserError, match=place):
            read(text % (b"x" * 1_100_000), documents=kind)

    def test_a_file_that_vanishes_before_it_is_read_is_named(self, tmp_path):
        (tmp_path / "text").write_text("a b\n")
        config = CorpusConfig(train=str(tmp_path / "text"))
        (work,) = cut(source_files(config, tmp_path), "file", 99)
        (tmp_path / "text").unlink()
        with pytest.raises(UserError, match="text cannot be read: No such file"):
            list(pieces(work, config))

    def test_text_that_has_lines_and_no_blanks_is_no_long_word(self, read):
        line = "\u6c34\u706b".encode() * 1000 + b"\n"
        assert b"".join(piece.text for piece in read(line * 400)) == line * 400

    @pytest.mark.parametrize("name", ["text.gz", "text.BZ2", "text.xz", "text.zst"])
    def test_a_file_that_is_not_what_its_name_says_is_refused(self, read, name):
        with pytest.raises(UserError, match=f"{name} cannot be read"):
            read(b"plain text", name=name)


def test_text_before_begins_with_a_whole_token(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfalpha beta\ngamma delta\nepsilon\n")
    config = CorpusConfig(train=str(tmp_path / "text"))
    ranges = cut(source_files(config, tmp_path), "file", 28)
    segment = ranges[1].segments[0]
    assert segment.start == 26
    assert text_before(segment, 8, config) == (b"delta\n", False)
    assert text_before(segment, 3, config) == (b"", False)
    assert text_before(segment, 99, config) == (b"alpha beta\ngamma delta\n", True)


def test_batches_keep_the_order_and_are_bounded(read, monkeypatch):
    monkeypatch.setattr(reading, "_BATCH_BYTES", 1000)
    found = read(b"".join(b"%d\n\n" % number for number in range(100)), documents="blank-line")
    grouped = list(batches(found))
    assert [piece for batch in grouped for piece in batch] == found
    assert all(sum(len(piece.text) for piece in batch) <= 1100 for batch in grouped)
    assert len(grouped) > 3
