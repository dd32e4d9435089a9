"""Ranges: every byte in exactly one, cut only where no token and no document is hurt."""

import pytest

from components.preprocess.plan import cut, with_splits
from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import SourceFile, source_files

LINES = b"".join(b"line %d of the text\n" % number for number in range(300))
PARAGRAPHS = b"".join(b"first %d\nsecond\n%s\n" % (number, b" \n" * (number % 3)) for number in range(200))


@pytest.fixture
def corpus(tmp_path):
    def make(**contents):
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        return source_files(CorpusConfig(train=str(tmp_path)), tmp_path)

    return make


def parts(ranges):
    return [
        segment.path.read_bytes()[segment.start : segment.end if segment.end >= 0 else None]
        for work in ranges
        for segment in work.segments
    ]


@pytest.mark.parametrize("size", [1, 7, 100, 1000, 4096, 1 << 20])
class TestForAnySize:
    def test_the_parts_are_the_whole_corpus_in_order(self, corpus, size):
        files = corpus(a=LINES, b=b"", c=b"small\n", d=PARAGRAPHS)
        for documents in ("file", "blank-line", "json-line"):
            ranges = cut(files, documents, size)
            assert b"".join(parts(ranges)) == LINES + b"small\n" + PARAGRAPHS
            assert [work.index for work in ranges] == list(range(len(ranges)))

    def test_a_file_is_cut_at_line_ends(self, corpus, size):
        ranges = cut(corpus(a=LINES), "file", size)
        assert all(part.endswith(b"\n") for part in parts(ranges))
        assert max(map(len, parts(ranges))) <= size + len(b"line 100 of the text\n")

    def test_paragraphs_stay_whole(self, corpus, size):
        for part in filter(None, map(bytes.strip, parts(cut(corpus(a=PARAGRAPHS), "blank-line", size)))):
            assert part.startswith(b"first")
            assert part.endswith(b"second")


def test_an_empty_file_may_come_first(corpus):
    assert parts(cut(corpus(a=b"", b=b"", c=b"text\n"), "file", 1)) == [b"", b"", b"text\n"]


def test_text_without_line_ends_is_cut_behind_spaces(corpus):
    text = b"word " * 100_000
    pieces = parts(cut(corpus(a=text), "file", 50_000))
    assert len(pieces) == 10
    assert all(piece.endswith(b" ") for piece in pieces)


def test_a_token_longer_than_a_shard_is_not_cut(corpus):
    assert parts(cut(corpus(a=b"x" * 200_000 + b"\nend"), "file", 1000)) == [b"x" * 200_000 + b"\n", b"end"]


def test_small_files_share_a_range_up_to_its_size(corpus):
    files = corpus(**dict.fromkeys("abcdefg", b"x" * 40))
    assert [len(work.segments) for work in cut(files, "file", 100)] == [2, 2, 2, 1]


def test_files_of_different_splits_share_no_range(tmp_path, corpus):
    corpus(a=b"a", b=b"b")
    config = CorpusConfig(train=str(tmp_path / "a"), valid=str(tmp_path / "b"))
    assert len(cut(source_files(config, tmp_path), "file", 100)) == 2


def test_only_the_first_segment_of_a_range_begins_inside_a_file(corpus):
    ranges = cut(corpus(a=b"x\n" * 10, b=LINES, c=b"y\n", d=LINES, e=b"z\n"), "file", 700)
    assert all(segment.start == 0 for work in ranges for segment in work.segments[1:])


def test_a_compressed_file_is_one_segment_to_its_end(corpus):
    (work,) = cut(corpus(**{"a.gz": LINES}), "file", 10)
    assert (work.segments[0].start, work.segments[0].end, work.segments[0].whole) == (0, -1, True)
    assert work.size == len(LINES)


def test_a_part_is_told_from_a_whole_file(corpus):
    assert [work.segments[0].whole for work in cut(corpus(a=b"one\n", b=LINES), "file", 3000)] == [True, *[False] * 3]


def test_hash_cut_files_get_their_split_and_come_together(tmp_path):
    files = [SourceFile("", f"{number:03}", tmp_path, 1) for number in range(100)]
    decided = with_splits(files, CorpusConfig(valid_fraction=0.3, test_fraction=0.3))
    splits = [file.split for file in decided]
    assert set(splits) == {"train", "valid", "test"}
    assert splits == sorted(splits)
    assert sorted(file.name for file in decided) == [file.name for file in files]
    assert with_splits(files, CorpusConfig(documents="blank-line")) == files
