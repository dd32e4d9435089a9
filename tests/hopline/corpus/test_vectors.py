"""Files of word vectors: every form is read, and what is damaged is refused by line or byte."""

import gzip
import struct
import tracemalloc

import pytest

from hopline.corpus.vectors import check_vectors, locate, read_vectors
from hopline.runtime.errors import UserError
from hopline.store.objects import Store

VECTORS = {"the": [0.5, -1.25, 3.0], "café": [1.0, 2.0, -0.125], "<unk>": [0.0, 0.0, 1e-3]}


def text(header=True, end="\n", vectors=VECTORS, count=None, width=3):
    lines = [f"{word} {' '.join(map(str, numbers))}{end}" for word, numbers in vectors.items()]
    first = f"{len(vectors) if count is None else count} {width}\n" if header else ""
    return (first + "".join(lines)).encode()


def binary(newline=b"\n", vectors=VECTORS, count=None, width=3):
    head = f"{len(vectors) if count is None else count} {width}\n".encode()
    return head + b"".join(
        word.encode() + b" " + struct.pack(f"<{len(numbers)}f", *numbers) + newline for word, numbers in vectors.items()
    )


FORMS = {
    "word2vec text": text(),
    "fastText, with a space at the end of lines": text(end=" \n"),
    "written on Windows": text(end="\r\n"),
    "GloVe": text(header=False),
    "without a last newline": text()[:-1],
    "word2vec binary": binary(),
    "word2vec binary as gensim writes it": binary(newline=b""),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_form_gives_the_same_words_and_numbers(content, compressed, tmp_path):
    path = tmp_path / ("vectors.gz" if compressed else "vectors")
    path.write_bytes(gzip.compress(content) if compressed else content)
    found = {word.decode(): list(vector) for word, vector in read_vectors(path, 3)}
    assert found == {word: pytest.approx(numbers, rel=1e-6) for word, numbers in VECTORS.items()}
    assert list(found) == list(VECTORS)


def test_a_word_of_glove_may_have_spaces_in_it(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1.0 2.0\n. . . 3.0 4.0\nat name@domain.com 5.0 6.0\n")
    assert [word for word, _ in read_vectors(path, 2)] == [b"the", b". . .", b"at name@domain.com"]


def test_binary_numbers_that_look_like_a_newline_or_a_space_are_numbers(tmp_path):
    tricky = dict(
        zip("abc", [list(struct.unpack("<3f", part * 6)) for part in (b"\n ", b" \n", b"\x00 ")], strict=True)
    )
    path = tmp_path / "vectors.bin"
    path.write_bytes(binary(vectors=tricky))
    assert {word.decode(): list(vector) for word, vector in read_vectors(path, 3)} == tricky


NAN = {**VECTORS, "bad": [1.0, float("nan"), 0.0]}
INFINITE = {"bad": [1.0, float("inf"), 0.0], **VECTORS}
DAMAGED = {
    "more words than it says": (text(count=2), [":4:", "says 2 words, but has 3"]),
    "fewer words than it says": (text(count=4), [":4:", "says 4 words, but has 3"]),
    "a number missing": (text() + b"x 1.0 2.0\n", [":5:", "a word and 3 numbers"]),
    "a number too many": (text() + b"x 1.0 2.0 3.0 4.0\n", [":5:", "a word and 3 numbers"]),
    "no number": (text().replace(b"2.0", b"two"), [":3:", "a word and 3 numbers"]),
    "an empty line": (text().replace(b"<unk>", b"\n<unk>"), [":4:", "a word and 3 numbers"]),
    "cut in a line": (text()[:-12], [":4:"]),
    "nan": (text(vectors=NAN), [":5:", '"bad"', "not finite"]),
    "infinity": (text(vectors=INFINITE, header=False), [":1:", '"bad"', "not finite"]),
    "a word twice": (text(header=False) * 2, [":4:", '"the" comes twice', "line 1 before"]),
    "empty": (b"", ["is empty"]),
    "a line without end": (b"w" * (1 << 21), ["are 0 wide"]),
    "a long line": (text(header=False) + b"w" * (1 << 21), [":4:", "megabyte"]),
    "binary nan": (binary(vectors=NAN), ["byte 59", '"bad"', "not finite"]),
    "a binary word twice": (binary(count=6) + binary()[4:], ["byte 59", '"the" comes twice', "byte 4 before"]),
    "binary cut in a vector": (binary()[:-5], ["byte ", "ends in the vector of word 3 of the 3"]),
    "binary cut in a word": (binary(count=4)[:-1] + b"\nabc", ["the file ends in word 4 of the 4"]),
    "binary with a wrong width": (binary(width=4, vectors={"w" * 5: [0.1] * 3} | VECTORS), ["are 4 wide"]),
    "more binary words than it says": (binary(count=2), ["more than the 2 words"]),
    "a model of fastText": (b"\xba\x16\x4f\x2f" + b"\0" * 60, ["model of fastText", ".vec"]),
    "another width": (text(vectors={"the": [1.0, 2.0]}, width=2), [":1:", "are 2 wide", "are 3", "model.factor to 2"]),
    "another width of GloVe": (text(header=False, vectors={"the": [1.0] * 5}), [":1:", "are 5 wide"]),
}


@pytest.mark.parametrize(("content", "named"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_by_line_or_byte(content, named, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        check_vectors(path, 3)
    for part in (str(path), *named):
        assert part in f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy


def test_a_truncated_archive_is_refused(tmp_path):
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(text() * 100)[:-30])
    with pytest.raises(UserError, match="cannot be read"):
        check_vectors(path, 3)


def test_a_file_is_read_without_being_held(tmp_path):
    path, words = tmp_path / "vectors", 2_000
    line = " ".join(["0.125"] * 300)
    path.write_text("".join(f"w{number} {line}\n" for number in range(words)))
    tracemalloc.start()
    try:
        assert check_vectors(path, 300) == words
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 4
    finally:
        tracemalloc.stop()


def test_a_place_without_a_file_is_refused(tmp_path):
    for place in (tmp_path / "nowhere.vec", tmp_path, "http://example.com/a.vec"):
        with pytest.raises(UserError) as caught:
            locate(str(place), tmp_path, "resolve")
        assert str(place) in caught.value.message


def test_a_pattern_of_several_objects_is_refused(bucket, tmp_path):
    place = bucket("s3")
    for name in ("a.vec", "b.vec"):
        Store(place).write(name, text())
    with pytest.raises(UserError, match="names 2 objects") as caught:
        locate(f"{place}/*.vec", tmp_path, "resolve")
    assert caught.value.remedy == "name one file of vectors"


def test_the_digest_is_that_of_the_content(tmp_path):
    one, same, other = (tmp_path / name for name in "abc")
    one.write_bytes(text())
    same.write_bytes(text())
    other.write_bytes(text(header=False))
    digests = [locate(str(path), tmp_path, "resolve").digest for path in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
