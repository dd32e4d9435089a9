"""Files of word vectors: every form is read, and what is damaged is refused by line or byte."""

import gzip
import json
import struct
import subprocess
import sys

import pytest

from hopline.model import vectors
from hopline.model.vectors import KEY, check_vectors, read_vectors
from hopline.runtime.errors import InternalError, UserError
from hopline.store import objects
from hopline.store.bucket import CHUNK_BYTES
from hopline.store.objects import Store
from hopline.store.repeats import Repeats
from hopline.store.sources import locate

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


def read(place, width):
    return read_vectors(locate(KEY, str(place)), width, "test")


def check(place, width):
    return check_vectors(locate(KEY, str(place)), width, "test")


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
    found = {word.decode(): list(vector) for word, vector in read(path, 3)}
    assert found == {word: pytest.approx(numbers, rel=1e-6) for word, numbers in VECTORS.items()}
    assert list(found) == list(VECTORS)


def test_a_word_of_glove_may_have_spaces_in_it(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1.0 2.0\n. . . 3.0 4.0\nat name@domain.com 5.0 6.0\n")
    assert [word for word, _ in read(path, 2)] == [b"the", b". . .", b"at name@domain.com"]


def test_binary_numbers_that_look_like_a_newline_or_a_space_are_numbers(tmp_path):
    tricky = dict(
        zip("abc", [list(struct.unpack("<3f", part * 6)) for part in (b"\n ", b" \n", b"\x00 ")], strict=True)
    )
    path = tmp_path / "vectors.bin"
    path.write_bytes(binary(vectors=tricky))
    assert {word.decode(): list(vector) for word, vector in read(path, 3)} == tricky


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
    "more than float32 holds": (text().replace(b"-1.25", b"-1e39"), [":2:", '"the"', "not finite"]),
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
        check(path, 3)
    for part in (str(path), *named):
        assert part in f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy


def test_a_truncated_archive_is_refused(tmp_path):
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(text() * 100)[:-30])
    with pytest.raises(UserError, match="cannot be read"):
        check(path, 3)


def test_a_first_line_may_be_long(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(f"the {' '.join(['-0.123456789'] * 2_000)}\n")
    assert [(word, len(vector)) for word, vector in read(path, 2_000)] == [(b"the", 2_000)]


@pytest.fixture
def held(monkeypatch):
    """Has four words held in memory, and the others' hashes in the file."""
    monkeypatch.setattr(vectors, "Repeats", lambda: Repeats(held=4))


def many(words, form, width=3):
    given = {f"word{number}": [0.5] * width for number in range(words)}
    return text(vectors=given, width=width) if form == "text" else binary(vectors=given, width=width)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("form", "named"), [("text", [":22:", "line 4 before"]), ("binary", ["byte 395", "byte 43 b"])]
)
def test_a_word_that_comes_twice_with_many_between_is_found_when_all_were_read(form, named, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(many(30, form).replace(b"word20 ", b"word2 "))
    found = read(path, 3)
    assert [next(found)[0] for _ in range(30)][20] == b"word2"
    with pytest.raises(UserError, match='"word2" comes twice') as caught:
        next(found)
    for part in (str(path), *named):
        assert part in caught.value.message


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("form", ["text", "binary"])
def test_words_that_are_no_longer_held_are_no_repeats(form, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(many(30, form))
    assert check(path, 3) == 30


MEASURED = """
import json, resource, sys
from hopline.model import vectors
from hopline.store.sources import locate
from hopline.store.repeats import Repeats
vectors.Repeats = lambda: Repeats(held=1 << 12)
words = vectors.check_vectors(locate(vectors.KEY, sys.argv[1]), 50, "test")
print(json.dumps([words, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def write_large(path, words, form):
    text_of, packed = b" 0.25" * 50 + b"\n", struct.pack("<50f", *[0.25] * 50)
    with path.open("wb") as stream:
        stream.write(f"{words} 50\n".encode())
        for number in range(words):
            stream.write(b"word%d%s" % (number, text_of if form == "text" else b" " + packed))


@pytest.mark.parametrize("form", ["text", "binary"])
def test_peak_memory_does_not_follow_the_size_of_the_file(form, tmp_path):
    """With all words in memory, as it was once, the larger file takes 20 MB more than the smaller."""
    peaks, path = [], tmp_path / "vectors"
    for words in (8_192, 131_072):  # 2 and 27 MB
        write_large(path, words, form)
        done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
        read_words, peak = json.loads(done.stdout)
        assert read_words == words
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 4 * 2**20


def test_a_place_without_a_file_is_refused(tmp_path):
    for place in (tmp_path / "nowhere.vec", tmp_path, "http://example.com/a.vec"):
        with pytest.raises(UserError) as caught:
            locate(KEY, str(place))
        assert str(place) in caught.value.message


def test_the_digest_is_that_of_the_content(tmp_path):
    one, same, other = (tmp_path / name for name in "abc")
    one.write_bytes(text())
    same.write_bytes(text())
    other.write_bytes(text(header=False))
    digests = [locate(KEY, str(path)).digest for path in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


class TestInAnObjectStore:
    @pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
    def test_every_form_is_read_by_its_uri(self, content, remote_place):
        Store(remote_place).write("deep/vectors.vec", content)
        found = {word.decode(): list(vector) for word, vector in read(f"{remote_place}/deep/vectors.vec", 3)}
        assert found == {word: pytest.approx(numbers, rel=1e-6) for word, numbers in VECTORS.items()}

    def test_a_compressed_one_of_several_chunks_is_read_with_no_copy_here(self, remote_place, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(objects, "CHUNK_BYTES", 1_000)
        packed = gzip.compress(many(4_000, "text"))
        assert len(packed) > 5_000
        Store(remote_place).write("vectors.vec.gz", packed)
        assert check(f"{remote_place}/vectors.vec.gz", 3) == 4_000
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("named", ["nan", "a number missing", "fewer words than it says", "a word twice", "empty",
                                       "binary cut in a vector", "more binary words than it says"])  # fmt: skip
    def test_a_damaged_one_is_refused_by_uri_and_line_or_byte(self, named, remote_place):
        content, parts = DAMAGED[named]
        Store(remote_place).write("vectors", content)
        with pytest.raises(UserError) as caught:
            check(f"{remote_place}/vectors", 3)
        for part in (f"{remote_place}/vectors", *parts):
            assert part in caught.value.message

    def test_a_truncated_archive_is_refused_by_uri(self, remote_place):
        Store(remote_place).write("vectors.gz", gzip.compress(text() * 100)[:-30])
        with pytest.raises(UserError, match=rf"{remote_place}/vectors\.gz cannot be read"):
            check(f"{remote_place}/vectors.gz", 3)

    @pytest.mark.parametrize("name", ["", "/", "/*.vec", "/a.vec/", "/a"])
    def test_a_uri_that_is_no_object_is_refused(self, name, remote_place):
        Store(remote_place).write("a.vec", text())
        with pytest.raises(UserError, match="names no object") as caught:
            locate(KEY, f"{remote_place}{name}")
        assert f"{remote_place}{name}" in caught.value.message
        assert "no pattern" in caught.value.remedy

    def test_a_bucket_that_is_not_there_is_named(self, remote_place):
        scheme = remote_place.partition(":")[0]
        with pytest.raises(UserError, match="no-such-bucket"):
            locate(KEY, f"{scheme}://no-such-bucket/a.vec")

    def test_one_that_is_replaced_while_it_is_read_is_told(self, remote_place, monkeypatch):
        monkeypatch.setattr(objects, "CHUNK_BYTES", 1 << 20)
        place, large = f"{remote_place}/vectors", many(400_000, "binary")
        assert len(large) > 8 << 20
        Store(remote_place).write("vectors", large)
        found = read(place, 3)
        next(found)
        Store(remote_place).write("vectors", large.replace(struct.pack("<f", 0.5), struct.pack("<f", 0.25)))
        # This server of gs:// gives whatever is there when asked for a version, so the digest must tell.
        with pytest.raises(InternalError, match=r"vectors (was replaced|differs from its recorded MD5)"):
            list(found)

    def test_one_whose_bytes_are_not_those_that_were_sent_is_told(self, remote_place, tmp_path, monkeypatch):
        path = tmp_path / "vectors"
        path.write_bytes(text())
        Store(remote_place).upload_file(path, "vectors", sha256="0" * 64)
        with pytest.raises(InternalError, match="vectors differs from its recorded SHA256"):
            check(f"{remote_place}/vectors", 3)

    def test_a_server_that_is_killed_is_named_and_one_that_comes_back_goes_on(self, mortal, tmp_path, monkeypatch):
        words = 60_000
        path = tmp_path / "vectors"
        write_large(path, words, "binary")
        assert path.stat().st_size > CHUNK_BYTES
        mortal.hold("vectors", path)
        place = f"{mortal.scheme}://bucket/vectors"
        monkeypatch.setattr(objects, "CHUNK_BYTES", 1 << 20)
        found = read(place, 50)
        next(found)
        mortal.kill()
        mortal.start()
        assert sum(1 for _ in found) == words - 1
        monkeypatch.setattr(objects, "PATIENCE_SECONDS", 1.0)
        found = read(place, 50)
        next(found)
        mortal.kill()
        with pytest.raises(InternalError, match=f"{mortal.scheme}://bucket did not answer for 1 s") as caught:
            list(found)
        assert "can be reached" in caught.value.remedy
