"""The preprocess program, end to end, on small corpora and bad ones.

All cases run in one child process, because TensorFlow Transform must not come near the other tests.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from hopline import artifacts
from hopline.model.tokenisers import tokenise
from hopline.runtime.errors import ExitCode
from hopline.runtime.process import FAILURE_FILE, child_environment, read_failure
from hopline.schema import EOS, EXAMPLES, REPORT_FILE, RESERVED_WORDS, SPLITS, UNKNOWN
from hopline.store import folders
from tests.components.preprocess.cases import ONE_SPLIT, Outcome, case, prepare

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess, pytest.mark.timeout(1200)]

TRICKY = (
    "the cat <unk> sat <eos> on\u3000the\u00a0mat\n"
    "<pad> the\tCat\u2028\u0085sat\x1c\x1fon on\r\n"
    "\n   \n"
    "na\u00efve \u00e0 \U0001f600 the<eos>cat <PAD> on the"
)
TRICKY_WORDS = [
    *["the", "cat", "<unk>", "sat", "<eos>", "on", "the", "mat", "<eos>"],
    *["<pad>", "the", "Cat", "sat", "on", "on", "<eos>"],
    *["<eos>", "<eos>"],
    *["naïve", "à", "😀", "the<eos>cat", "<PAD>", "on", "the"],
]
LINES = "".join(f"word{number % 17} word{number % 5} and the line {number % 3}\n" for number in range(400))
LINE_ENDS = (ord("\n"), ord("\r"))
OTHER = "".join(f"line {number % 3} and other{number % 13} word{number % 17}\n" for number in range(400))
HAN = "".join(f"{chr(0x4E00 + number) * 9}\n" * 2 for number in range(90))
COPY = {"train/a": LINES, "train/b": OTHER, "valid": OTHER}
BAD_LINES = "".join(
    json.dumps({"text": line}) + "\n" + "bad\n" * (number in (1, 190, 390))
    for number, line in enumerate(LINES.split("\n"))
)
BY_PATTERN = {"train": "train", "valid": "valid"}
TWO = ("--direct_num_workers=2",)
PROMOTED = ("on", "\u00e0", "the", "never-here")


CASES = {
    "tricky": case(TRICKY, max_words=6),
    "tricky, all words": case(TRICKY),
    "lowercase": case(TRICKY, lowercase=True),
    "words": case(TRICKY, tokeniser="words"),
    "characters": case(TRICKY, tokeniser="characters"),
    "min_count": case(TRICKY, min_count=2),
    "champion's words": case(
        TRICKY, promoted=PROMOTED, vocabulary="champion", max_words=1, min_count=9, max_unknown_rate=0.7
    ),
    "champion's words, lowercase here": case(TRICKY, promoted=PROMOTED, vocabulary="champion", lowercase=True),
    "champion's words, hardly any known": case(LINES, promoted=("sat",), vocabulary="champion"),
    "champion not asked for": case(TRICKY, promoted=PROMOTED),
    "no champion yet": case(TRICKY, vocabulary="champion"),
    "one shard": case({"a": LINES, "b": LINES + "end", "c": "short\n"}, context=5),
    "many shards": case({"a": LINES, "b": LINES + "end", "c": "short\n"}, context=5, shard_bytes=1000),
    "many shards, two threads": case(
        {"a": LINES, "b": LINES + "end", "c": "short\n"}, context=5, shard_bytes=1000, runner_options=TWO
    ),
    "many shards, two processes": case(
        {"a": LINES, "b": LINES + "end", "c": "short\n"},
        context=5,
        shard_bytes=1000,
        runner_options=(*TWO, "--direct_running_mode=multi_processing"),
    ),
    "patterns": case(
        {"train": LINES, "valid": "the new line\n"}, corpus={"train": "train", "valid": "valid"}, max_words=20
    ),
    "hash": case(
        {"text": "\n\n".join(LINES.splitlines())},
        corpus={"documents": "blank-line", "valid_fraction": 0.3, "test_fraction": 0.3},
        shard_bytes=1000,
    ),
    "invalid UTF-8": case({"a": LINES, "b": b"good\nb\xffd\n"}),
    "invalid UTF-8 replaced": case(
        {"a": b"good b\xffd\n"}, corpus=ONE_SPLIT | {"invalid_utf8": "replace"}, max_type_ratio=1.0
    ),
    "damaged only in valid": case({"train": LINES, "valid": b"\0"}, corpus={"train": "train", "valid": "valid"}),
    "not JSON": case("{}\n", corpus=ONE_SPLIT | {"documents": "json-line"}),
    "one document to cut": case(LINES, corpus={}),
    "no document in a split": case(LINES, corpus={"documents": "blank-line"}),
    "unknown rate": case({"train": LINES, "valid": "never seen"}, corpus={"train": "train", "valid": "valid"}),
    "no word": case("\n \n"),
    "no word often enough": case("a b c", min_count=2),
    "only reserved words": case("<unk> <eos> <pad>\n"),
    "no unknown word to learn from": case(
        {"train": LINES, "valid": "the new line\n"}, corpus={"train": "train", "valid": "valid"}
    ),
    "one word": case("so so so\n" * 9),
    "next to nothing": case("a\n"),
    "too few words": case({"train": LINES, "valid": "the line\n"}, corpus=BY_PATTERN, min_tokens=3),
    "words without blanks": case({"train": HAN, "valid": "\u6c34\u706b\n"}, corpus=BY_PATTERN),
    "hardly a word twice": case("".join(f"word{number}\n" for number in range(90)) + "word1\n"),
    "a copy held out": case({"train/a": LINES, "train/b": OTHER, "valid": OTHER}, corpus=BY_PATTERN),
    "a copy held out, allowed": case(
        {"train/a": LINES, "train/b": OTHER, "valid": OTHER}, corpus=BY_PATTERN, max_leak=1.0
    ),
    "lone CR": case("a b\rc a\r\nb c\r\ra b"),
    "bad lines": case(BAD_LINES, corpus=ONE_SPLIT | {"documents": "json-line", "skip_lines": 3}, shard_bytes=2000),
    "too many bad lines": case(
        BAD_LINES, corpus=ONE_SPLIT | {"documents": "json-line", "skip_lines": 2}, shard_bytes=2000
    ),
    "another corpus": case(LINES, before=OTHER * 9),
    "another corpus, too far": case(LINES, before=OTHER * 9, max_drift_words=0.1),
    "another part of the corpus": case(LINES, before=LINES[: len(LINES) // 2], max_drift_words=0.1),
    "stale": case(LINES, stale=True),
    "no such runner": case(LINES, runner="NoSuchRunner"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tmp_path_factory.mktemp("preprocess")


@pytest.fixture(scope="module")
def outcomes(world):
    arguments = {name: prepare(world / name, case) for name, case in CASES.items()}
    (world / "cases.json").write_text(json.dumps(arguments))
    child = Path(__file__).with_name("child.py")
    command = [sys.executable, str(child), str(world / "cases.json"), str(world / "codes.json")]
    (world / "temporary").mkdir()
    subprocess.run(command, check=True, env=child_environment({"TMPDIR": str(world / "temporary")}), timeout=900)
    return {
        name: Outcome(code, read_failure(world / name / "work" / FAILURE_FILE), world / name / "examples")
        for name, code in json.loads((world / "codes.json").read_text()).items()
    }


def transform(outcome, text):
    """Ids and words of `text` by the saved graph, which this process loads without TensorFlow Transform."""
    model = tf.saved_model.load(str(outcome.output / "transform"))
    result = model.transform_fn({"text": tf.constant([text])})
    return result["tokens"][0].numpy().tolist(), [word.decode() for word in result["words"][0].numpy()]


def test_reserved_words_are_the_first_and_take_no_place_of_max_words(outcomes):
    vocabulary = outcomes["tricky"].vocabulary
    assert vocabulary[:3] == list(RESERVED_WORDS)
    assert vocabulary[3:5] == ["the", "on"]
    assert len(vocabulary) == len(set(vocabulary)) == 3 + 6
    assert outcomes["tricky"].manifest.facts["vocabulary_size"] == 9


def test_every_word_has_the_id_of_its_line_and_reserved_words_have_theirs(outcomes):
    outcome = outcomes["tricky, all words"]
    special = {"<pad>": UNKNOWN, "<unk>": UNKNOWN, "<eos>": EOS}
    expected = [special[word] if word in special else outcome.vocabulary.index(word) for word in TRICKY_WORDS]
    assert outcome.tokens("train") == {"text": expected}
    assert transform(outcome, TRICKY) == (expected, TRICKY_WORDS)


def test_whitespace_is_what_pythons_split_takes_for_it(outcomes):
    characters = [chr(point) for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000 and point not in LINE_ENDS]
    text = "a".join(characters)
    assert transform(outcomes["tricky"], text)[1] == text.split()


@pytest.mark.parametrize("tokeniser", ["words", "characters"])
def test_text_is_cut_as_the_configuration_says_also_when_serving(outcomes, tokeniser):
    outcome = outcomes[tokeniser]
    words = tokenise(TRICKY, tokeniser)
    special = {"<pad>": UNKNOWN, "<unk>": UNKNOWN, "<eos>": EOS}
    expected = [special[word] if word in special else outcome.vocabulary.index(word) for word in words]
    assert outcome.tokens("train") == {"text": expected}
    assert transform(outcome, TRICKY) == (expected, words)
    assert outcome.manifest.facts["tokeniser"] == tokeniser


def test_the_champions_words_keep_their_ids_whatever_the_text_holds(outcomes):
    outcome = outcomes["champion's words"]
    assert outcome.vocabulary == [*RESERVED_WORDS, *PROMOTED]
    expected = [outcome.vocabulary.index(word) if word in (*PROMOTED, "<eos>") else UNKNOWN for word in TRICKY_WORDS]
    assert outcome.tokens("train") == {"text": expected}
    assert transform(outcome, TRICKY) == (expected, TRICKY_WORDS)
    promoted = outcome.output.with_name("registry") / "versions" / "1"
    assert (outcome.output / "vocabulary.txt").read_bytes() == (promoted / "vocabulary.txt").read_bytes()
    assert outcome.manifest.parents == {"vocabulary": artifacts.read_manifest(promoted, "model").id}


def test_whitespace_is_the_same_with_the_champions_words(outcomes):
    characters = [chr(point) for point in range(1, 0x3100) if point not in LINE_ENDS]
    text = "a".join(characters)
    assert transform(outcomes["champion's words"], text)[1] == text.split()


@pytest.mark.parametrize("name", ["champion not asked for", "no champion yet"])
def test_else_the_words_are_the_corpuss_own_and_the_examples_the_very_same(outcomes, name):
    plain, outcome = outcomes["tricky, all words"], outcomes[name]
    assert outcome.vocabulary == plain.vocabulary
    assert (outcome.manifest.parents, outcome.manifest.config["preprocess"]) == (
        plain.manifest.parents, plain.manifest.config["preprocess"],
    )  # fmt: skip


def test_lowercase_folds_words_before_they_are_counted(outcomes):
    vocabulary = outcomes["lowercase"].vocabulary
    assert "cat" in vocabulary
    assert "Cat" not in vocabulary
    assert transform(outcomes["lowercase"], "\u00c0 <PAD> <UNK>")[0] == [vocabulary.index("\u00e0"), UNKNOWN, UNKNOWN]


def test_words_rarer_than_min_count_are_unknown(outcomes):
    assert sorted(outcomes["min_count"].vocabulary[3:]) == ["on", "sat", "the"]


def test_the_shards_are_what_the_saved_graph_gives_for_the_raw_text(outcomes):
    outcome = outcomes["many shards"]
    texts = CASES["many shards"].files
    assert outcome.tokens("train") == {name: transform(outcome, text)[0] for name, text in texts.items()}


def test_the_size_of_shards_changes_neither_tokens_nor_statistics(outcomes):
    one, many = outcomes["one shard"], outcomes["many shards"]
    assert (len(one.shards("train")), len(many.shards("train")) > 10) == (1, True)
    assert many.shards("train")[1].name == f"train-00001-of-{len(many.shards('train')):05}.tfrecord"
    assert one.tokens("train") == many.tokens("train")
    assert one.statistics == many.statistics
    assert one.vocabulary == many.vocabulary


@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_every_file_has_the_same_bytes_for_any_number_of_workers(outcomes, workers):
    one, two = outcomes["many shards"].manifest, outcomes[f"many shards, two {workers}"].manifest
    assert two.files == one.files
    assert any(name.endswith("saved_model.pb") for name in one.files)
    assert (two.facts, two.id) == (one.facts, one.id)


def test_splits_by_pattern_learn_words_from_the_training_text_alone(outcomes):
    outcome = outcomes["patterns"]
    vocabulary = outcome.vocabulary
    assert "new" not in vocabulary
    assert outcome.tokens("valid") == {"valid": [vocabulary.index("the"), UNKNOWN, vocabulary.index("line"), EOS]}
    assert outcome.manifest.counts["valid"] == {"documents": 1, "tokens": 4, "targets": 4}
    assert (outcome.output / "text" / "valid-00000-of-00001.jsonl").exists()
    assert not list((outcome.output / "text").glob("train-*"))


def test_documents_cut_by_hash_fall_in_exactly_one_split(outcomes):
    outcome = outcomes["hash"]
    counts = outcome.manifest.counts
    assert {split: numbers["documents"] for split, numbers in counts.items()} == {
        split: len(outcome.tokens(split)) for split in SPLITS
    }
    assert sum(numbers["documents"] for numbers in counts.values()) == 400
    for split in SPLITS:
        number = len(outcome.shards(split))
        assert [shard.stem for shard in outcome.shards(split)] == [
            f"{split}-{index:05}-of-{number:05}" for index in range(number)
        ]


def test_invalid_utf8_is_replaced_on_request(outcomes):
    assert "b\ufffdd" in outcomes["invalid UTF-8 replaced"].vocabulary


REFUSED = {
    "invalid UTF-8": "b is not UTF-8 at byte 6",
    "damaged only in valid": "valid holds a NUL",
    "not JSON": "line 1 (byte 0) is no document",
    "one document to cut": "split is empty",
    "no document in a split": "split is empty",
    "unknown rate": "none of the 2 words of the valid split is in the vocabulary of the training text",
    "no unknown word to learn from": "the training text has no unknown word, but valid has 1",
    "one word": "the training text has a single word, 27 times",
    "next to nothing": "the training text has a single word, 1 times",
    "too few words": "the valid split has 2 words, but preprocess.min_tokens asks for 3",
    "words without blanks": "none of the 1 words of the valid split is in the vocabulary",
    "hardly a word twice": "90 different words among 91 (98.9%), but preprocess.max_type_ratio allows 80.0%",
    "a copy held out": "1 whole documents, stand in the training text too: valid (in b)",
    "no word": "the training text holds no word, only blanks and line ends",
    "too many bad lines": "3 lines are no documents and were left out, the first because ",
    "no word often enough": "the vocabulary is empty",
    "only reserved words": "the vocabulary is empty",
    "another corpus, too far": "drifted from that of champion 1: word frequencies",
    "stale": "the corpus has changed",
    "no such runner": "NoSuchRunner",
    "champion's words, lowercase here": "preprocess.lowercase is true",
    "champion's words, hardly any known": "words of the train split is in the vocabulary of the champion",
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_the_users_error_in_its_own_words_and_leaves_no_output(outcomes, name):
    outcome = outcomes[name]
    assert outcome.code == ExitCode.USER
    assert REFUSED[name] in outcome.failure.message
    assert outcome.failure.remedy
    assert not outcome.output.exists()


def test_all_other_cases_end_well(outcomes):
    failed = {name: outcome.failure for name, outcome in outcomes.items() if outcome.code != ExitCode.DONE}
    assert {name: failure for name, failure in failed.items() if name not in REFUSED} == {}


def test_what_a_held_out_split_shares_with_the_training_text_is_recorded(outcomes):
    outcome = outcomes["a copy held out, allowed"]
    found = outcome.statistics["valid"]["in_training"]
    assert (found["documents"], found["13_grams"], found["5_grams"]) == (1, 1.0, 1.0)
    assert found["files"] == [{"file": "valid", "in": "b", "share": 1.0, "documents": 1}]
    assert outcome.manifest.facts["statistics"]["valid"]["in_training"] == found
    assert "in_training" not in outcome.statistics["train"]


def test_bad_lines_are_counted_over_all_ranges(outcomes):
    assert len(outcomes["bad lines"].shards("train")) > 5
    assert outcomes["bad lines"].manifest.facts["skipped_lines"] == 3
    assert outcomes["one shard"].manifest.facts["skipped_lines"] == 0


def test_drift_is_on_the_page_and_in_nothing_that_a_model_is_made_of(outcomes):
    plain, near, far = (outcomes[name] for name in ("one shard", "another part of the corpus", "another corpus"))
    assert "Drift from the corpus of champion 1" in far.page
    assert '<td data-name="word">other0</td>' in far.page
    assert "The corpus is not like that of champion 1" in far.page
    assert "The corpus is not like that of" not in near.page
    assert "no champion of another corpus" in plain.page
    files = [dict(outcome.manifest.files) for outcome in (plain, near, far)]
    assert len({one.pop(REPORT_FILE) for one in files}) == 3
    # One process numbers the functions of its graphs, so the graph's file differs from case to case.
    near_files, far_files = (
        {name: one[name] for name in one if not name.startswith("transform/")} for one in files[1:]
    )
    assert near_files == far_files
    assert "profile.json" in near_files


def test_the_page_says_what_the_text_is(outcomes):
    page = outcomes["a copy held out, allowed"].page
    assert "1 whole document of the valid split stand in the training text too: valid (in b)" in page
    assert page.index("whole document") < page.index("Its rules") < page.index("Splits") < page.index("Vocabulary")
    assert "<svg" in page
    assert "word16" in page
    assert "<p>valid: valid</p>" in page


def test_the_page_is_the_same_bytes_each_time_and_names_no_place_of_this_machine(world, outcomes):
    one, again = outcomes["tricky, all words"], outcomes["no champion yet"]
    assert one.page == again.page
    assert str(world) not in one.page
    assert [word for word in ("<script", "http:", "https:", "src=") if word in one.page] == []
    assert "<pad> " not in one.page


def test_the_first_tokens_of_a_split_do_not_depend_on_its_shards(outcomes):
    found = outcomes["one shard"].statistics["train"]["beginnings"]
    assert found == outcomes["many shards"].statistics["train"]["beginnings"]
    tokens = outcomes["one shard"].tokens("train")
    assert found == [{"document": name, "ids": tokens[name][:48]} for name in ("a", "b", "c")]


def test_a_line_ends_at_a_lone_carriage_return_too(outcomes):
    outcome = outcomes["lone CR"]
    names = [outcome.vocabulary[token] for token in outcome.tokens("train")["text"]]
    assert names == ["a", "b", "<eos>", "c", "a", "<eos>", "b", "c", "<eos>", "<eos>", "a", "b"]


def test_the_graph_loads_and_runs_where_tensorflow_transform_is_not_installed(outcomes):
    program = """
import sys
sys.modules["tensorflow_transform"] = sys.modules["tfx_bsl"] = sys.modules["apache_beam"] = None
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
print(model.transform_fn({"text": tf.constant([sys.argv[2]])})["tokens"].to_list())
"""
    outcome = outcomes["tricky"]
    command = [sys.executable, "-c", program, str(outcome.output / "transform"), TRICKY]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [outcome.tokens("train")["text"]]


def test_a_run_that_is_stopped_and_killed_continues_and_ends_with_the_same_bytes(world):
    options = {"shard_bytes": 60, "context": 5}
    folder, undisturbed = world / "disturbed", world / "undisturbed"
    arguments = prepare(folder, case(LINES, **options))
    command = [sys.executable, "-m", "components.preprocess", *arguments]
    for number, ranges, code in ((signal.SIGTERM, 5, ExitCode.PREEMPTED), (signal.SIGKILL, 60, -signal.SIGKILL)):
        program = subprocess.Popen(command, env=child_environment())
        while len(list(folder.glob("work/preprocess/*/scratch/ranges/0*"))) < ranges:
            assert program.poll() is None
            time.sleep(0.005)
        program.send_signal(number)
        assert program.wait(60) == code
        assert not (folder / "examples").exists()
    assert subprocess.run(command, env=child_environment(), check=False).returncode == ExitCode.DONE
    command = [sys.executable, "-m", "components.preprocess", *prepare(undisturbed, case(LINES, **options))]
    assert subprocess.run(command, env=child_environment(), check=False).returncode == ExitCode.DONE
    disturbed_manifest, manifest = (artifacts.verify(at / "examples", EXAMPLES) for at in (folder, undisturbed))
    assert disturbed_manifest.files == manifest.files
    assert disturbed_manifest.id == manifest.id
    assert len(manifest.files) > 150


def test_nothing_is_left_among_temporary_files(world, outcomes):
    assert [path.name for path in (world / "temporary").iterdir()] == []


def test_no_file_names_a_place_of_this_machine(world, outcomes):
    files = [
        path for path in (world / "hash" / "examples").rglob("*") if path.is_file() and path.name != "manifest.json"
    ]
    assert len(files) > 5
    assert [path for path in files if str(world).encode() in path.read_bytes()] == []


def test_the_program_leaves_with_its_code_and_finds_its_result_again(world, outcomes):
    folder = world / "patterns"
    arguments = prepare(folder, CASES["patterns"])
    before = outcomes["patterns"].manifest
    (folder / "examples").rename(folder / "moved")
    command = [sys.executable, "-m", "components.preprocess", *arguments]
    try:
        assert subprocess.run(command, env=child_environment(), check=False).returncode == 0
        assert outcomes["patterns"].manifest == before
    finally:
        folders.remove_tree(folder / "examples")
        (folder / "moved").rename(folder / "examples")
