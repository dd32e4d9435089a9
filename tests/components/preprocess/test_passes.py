"""What is passed on to Beam."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.preprocess import passes
from components.preprocess.passes import runner_options
from components.preprocess.plan import Range, cut
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.corpus.files import source_files
from hopline.runtime.errors import InternalError

THREADS = "--direct_running_mode=multi_threading"
PROCESSES = "--direct_running_mode=multi_processing"


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ((), []),
        (("--region=x",), ["--region=x"]),
        (("--direct_num_workers=2",), ["--direct_num_workers=2", THREADS]),
        (("--direct_num_workers", "2"), ["--direct_num_workers", "2", THREADS]),
        (("--direct_num_workers=2", PROCESSES), ["--direct_num_workers=2", PROCESSES]),
    ],
)
def test_options_are_passed_on_and_several_workers_never_run_one_after_another(given, passed):
    assert runner_options(PreprocessConfig(runner_options=given), [Range(0, 1, ())] * 9) == passed


@pytest.mark.parametrize(
    ("sizes", "cpus", "workers"),
    [
        ([16 << 20] * 4, 2, 2),
        ([16 << 20] * 4, 8, 4),
        ([16 << 20] * 4, 1, 0),
        ([1 << 30], 8, 0),
        ([1000] * 400, 8, 0),
    ],
)
def test_there_are_as_many_workers_as_cpus_where_there_is_text_enough(monkeypatch, sizes, cpus, workers):
    monkeypatch.setattr(passes, "usable_cpus", lambda: cpus)
    ranges = [Range(index, size, ()) for index, size in enumerate(sizes)]
    expected = [f"--direct_num_workers={workers}", THREADS] if workers else []
    assert runner_options(PreprocessConfig(), ranges) == expected
    assert runner_options(PreprocessConfig(runner_options=(PROCESSES,)), ranges)[1:] == expected[:1]
    other = PreprocessConfig(runner="DataflowRunner", runner_options=("--region=europe-west1", "--num_workers=9"))
    assert runner_options(other, ranges) == ["--region=europe-west1", "--num_workers=9"]


@pytest.mark.parametrize(("most", "blocks"), [(passes._HELD_WORDS, 1), (0, 5)])
def test_a_worker_hands_on_the_words_of_its_ranges_at_once_or_when_it_holds_many(tmp_path, monkeypatch, most, blocks):
    text = tmp_path / "text"
    text.write_text("a b b\n" * 9)
    config = CorpusConfig(train=str(text))
    ranges = cut([replace(file, split="train") for file in source_files(config, tmp_path)], "file", 6)
    assert len(ranges) == 5
    add_up, arrived = passes._AddUp.process, []

    def note(self, partition):
        arrived.append(list(partition[1]))
        add_up(self, (partition[0], arrived[-1]))

    monkeypatch.setattr(passes._AddUp, "process", note)
    monkeypatch.setattr(passes, "_HELD_WORDS", most)
    assert passes.count_words(ranges, config, PreprocessConfig(), tmp_path) == ["b", "a"]
    assert [len(found) for found in arrived] == [blocks, blocks]


def test_words_that_a_runner_loses_on_the_way_stop_the_run(tmp_path: Path, monkeypatch):
    text = tmp_path / "text"
    text.write_text("a b c d e f\n" * 9)
    config = CorpusConfig(train=str(text))
    ranges = cut([replace(file, split="train") for file in source_files(config, tmp_path)], "file", 30)
    words = passes.count_words(ranges, config, PreprocessConfig(), tmp_path)
    assert sorted(words) == ["a", "b", "c", "d", "e", "f"]
    add_up, lost = passes._AddUp.process, []

    def lose_the_first(self, partition):
        if lost and lost[0] != partition[0]:
            add_up(self, partition)
        else:
            lost.append(partition[0])

    monkeypatch.setattr(passes._AddUp, "process", lose_the_first)
    with pytest.raises(InternalError, match=r"of 54 words .* were counted, \d+ arrived"):
        passes.count_words(ranges, config, PreprocessConfig(), tmp_path)
