"""The corpus: which files it has, what identifies it, and where a document belongs."""

import dataclasses
import errno
import shutil
from pathlib import Path

import pytest

from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import fingerprint, source_files, split_by_hash
from hopline.runtime.errors import UserError


def write(root, **texts):
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def named(config, tmp_path):
    return [(file.split, file.name) for file in source_files(config, tmp_path / "scratch")]


def test_a_file_a_folder_and_a_glob_name_files_below_the_corpus_root(tmp_path):
    write(tmp_path, data__b="b", data__deep__a="a", data__deep__er__c="c")
    data = tmp_path / "data"
    assert named(CorpusConfig(train=str(data / "b")), tmp_path) == [("", "b")]
    assert named(CorpusConfig(train=str(data)), tmp_path) == [("", "b"), ("", "deep/a"), ("", "deep/er/c")]
    assert named(CorpusConfig(train=f"{data}/*/a"), tmp_path) == [("", "deep/a")]
    assert named(CorpusConfig(train=f"{data}/**/c"), tmp_path) == [("", "deep/er/c")]


def test_patterns_for_several_splits_give_each_file_its_split(tmp_path):
    write(tmp_path, train="a", valid="b")
    config = CorpusConfig(train=str(tmp_path / "train"), valid=str(tmp_path / "valid"))
    assert named(config, tmp_path) == [("train", "train"), ("valid", "valid")]


def test_a_file_whose_name_looks_like_a_glob_is_taken_as_it_is(tmp_path):
    (tmp_path / "notes[1].txt").write_text("a")
    (tmp_path / "notes1.txt").write_text("b")
    assert named(CorpusConfig(train=str(tmp_path / "notes[1].txt")), tmp_path) == [("", "notes[1].txt")]


def test_hidden_files_are_left_out_and_linked_folders_are_followed_once(tmp_path):
    write(tmp_path, data__a="a", **{"data__.hidden": "h", "data__.git__b": "b"}, elsewhere__c="c")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "ring").symlink_to(tmp_path / "data")
    assert named(CorpusConfig(train=str(tmp_path / "data")), tmp_path) == [("", "a"), ("", "link/c")]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("{root}/missing", "does not exist"),
        ("{root}/*.gone", "matches no file"),
        ("{root}/folder", "a folder without files"),
        ("{root}/empty", "the corpus is empty"),
        ("http://host/text", "neither a path nor the URI"),
        ("embedded:nothing", "neither a path nor the URI"),
    ],
)
def test_a_pattern_that_names_no_text_is_refused(tmp_path, train, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match=message):
        source_files(CorpusConfig(train=train.format(root=tmp_path)), tmp_path)


class TestGlobs:
    def test_each_real_file_counts_once_whatever_rings_of_links_there_are(self, tmp_path):
        write(tmp_path, data__a="a", data__deep__b="b", data__c="c")
        data = tmp_path / "data"
        (data / "0-first").symlink_to("a")
        (data / "deep" / "ring").symlink_to(data)
        (data / "ring").symlink_to("deep")
        for pattern in (data, f"{data}/**", f"{data}/**/*"):
            assert named(CorpusConfig(train=str(pattern)), tmp_path) == [("", "a"), ("", "c"), ("", "deep/b")]
        assert named(CorpusConfig(train=f"{data}/ring/[b]"), tmp_path) == [("", "b")]

    def test_a_link_to_nothing_is_refused_by_name(self, tmp_path):
        write(tmp_path, data__a="a", **{"data__b.bin": "b"})
        (tmp_path / "data" / "gone.bin").symlink_to(tmp_path / "nowhere")
        for pattern in ("", "/*", "/**", "/*/x", "/gone.*/x"):
            with pytest.raises(UserError, match=r"data/gone\.bin is a link that leads to nothing"):
                source_files(CorpusConfig(train=f"{tmp_path}/data{pattern}"), tmp_path)
        assert named(CorpusConfig(train=f"{tmp_path}/data/**/a"), tmp_path) == [("", "a")]

    def test_a_folder_that_cannot_be_read_is_refused_by_name(self, tmp_path, monkeypatch):
        write(tmp_path, data__a="a", data__secret__b="b")
        entries = Path.iterdir

        def iterdir(folder):  # permissions do not keep the superuser out, who may run this
            if folder.name == "secret":
                raise PermissionError(errno.EACCES, "Permission denied", str(folder))
            return entries(folder)

        monkeypatch.setattr(Path, "iterdir", iterdir)
        for pattern in ("", "/**/*", "/*/*"):
            with pytest.raises(UserError, match="data/secret cannot be read: Permission denied"):
                source_files(CorpusConfig(train=f"{tmp_path}/data{pattern}"), tmp_path)

    def test_only_what_the_person_wrote_is_a_pattern(self, tmp_path):
        folder = write(tmp_path / "lm [draft] *", **{"texts__a.txt": "a", "texts__b[1].txt": "b", "texts__c": "c"})
        for written, names in (("texts/*.txt", ["a.txt", "b[1].txt"]), ("texts/b[1].txt", ["b[1].txt"])):
            config = CorpusConfig(train=written).absolute(folder)
            assert named(config, tmp_path) == [("", name) for name in names]
        for written in ("texts", "**/*", "../*/texts/*"):
            assert len(source_files(CorpusConfig(train=written).absolute(folder), tmp_path)) == 3

    def test_hidden_names_need_a_pattern_that_spells_the_dot(self, tmp_path):
        write(tmp_path, **{"data__.hidden": "h", "data__.git__b": "b", "data__a": "a"})
        assert named(CorpusConfig(train=f"{tmp_path}/data/**/*"), tmp_path) == [("", "a")]
        assert named(CorpusConfig(train=f"{tmp_path}/data/.*/*"), tmp_path) == [("", ".git/b")]

    def test_an_output_folder_inside_the_corpus_is_no_part_of_it(self, tmp_path):
        write(tmp_path, a="a", out__lock="", out__cache__x="x", out__runs__log="y", other__lock="l", other__runs__z="z")
        for pattern in ("", "/**", "/*/**"):
            names = [name for _, name in named(CorpusConfig(train=f"{tmp_path}{pattern}"), tmp_path)]
            assert [name for name in names if name != "a"] == ["other/lock", "other/runs/z"]


def test_a_file_in_two_splits_is_refused(tmp_path):
    write(tmp_path, a="a", valid="v")
    config = CorpusConfig(train=f"{tmp_path}/*", valid=str(tmp_path / "valid"))
    with pytest.raises(UserError, match=r"both corpus\.train and corpus\.valid"):
        source_files(config, tmp_path / "scratch")


class TestFingerprint:
    def of(self, root, scratch, **options):
        config = CorpusConfig(train=str(root), **options)
        return fingerprint(config, source_files(config, scratch))

    def test_does_not_depend_on_where_the_corpus_lies(self, tmp_path):
        here = write(tmp_path / "here", a="text", b__c="more")
        shutil.copytree(here, tmp_path / "there")
        assert self.of(here, tmp_path) == self.of(tmp_path / "there", tmp_path)

    def test_changes_with_content_name_and_reading(self, tmp_path):
        root = write(tmp_path / "corpus", a="text", b="more")
        seen = {self.of(root, tmp_path), self.of(root, tmp_path, documents="blank-line")}
        (root / "a").write_text("test")  # of the same size
        seen.add(self.of(root, tmp_path))
        (root / "a").rename(root / "c")
        seen.add(self.of(root, tmp_path))
        assert len(seen) == 4

    def test_tells_the_same_files_in_other_splits_apart(self, tmp_path):
        write(tmp_path, a="text", b="text")
        config = CorpusConfig(train=str(tmp_path / "a"), valid=str(tmp_path / "b"))
        swapped = dataclasses.replace(config, valid="", test=config.valid)
        files, other = source_files(config, tmp_path), source_files(swapped, tmp_path)
        assert fingerprint(config, files) != fingerprint(swapped, other)


class TestSplitByHash:
    keys = tuple(str(number).encode() for number in range(4000))

    def test_gives_each_split_about_its_share(self):
        config = CorpusConfig(valid_fraction=0.25, test_fraction=0.1)
        splits = [split_by_hash(key, config) for key in self.keys]
        assert splits.count("valid") == pytest.approx(1000, rel=0.1)
        assert splits.count("test") == pytest.approx(400, rel=0.15)

    def test_another_valid_fraction_leaves_the_test_split_as_it_is(self):
        small, large = CorpusConfig(valid_fraction=0.05), CorpusConfig(valid_fraction=0.5)
        for key in self.keys:
            assert (split_by_hash(key, small) == "test") == (split_by_hash(key, large) == "test")

    def test_stays_what_it_was_in_earlier_versions(self):
        # A change here silently moves documents between the splits of every corpus.
        config = CorpusConfig(valid_fraction=0.3, test_fraction=0.3)
        expected = "valid train test train valid valid test train train valid train train"
        assert [split_by_hash(key, config) for key in self.keys[:12]] == expected.split()
