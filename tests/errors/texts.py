"""Configuration files, corpora and other text that is refused."""

import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from components.preprocess import reading
from components.preprocess.contract import require_contract, require_splits
from components.preprocess.plan import cut as cut_ranges
from components.preprocess.statistics import Tally
from components.train.launch.cluster.task import TaskConfig
from components.train.worker import set_cluster_config, worker_index
from components.use import completions, rescore, tfserving
from hopline.config.corpus import CorpusConfig
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.corpus import objects
from hopline.corpus.files import SourceFile, source_files
from hopline.corpus.stamps import Stamps
from hopline.runtime.places import parse_place
from hopline.store.bucket import Entry
from hopline.store.folders import writable_folder
from hopline.store.objects import Store
from hopline.store.sources import open_source
from hopline.use.cache import CacheConfig
from hopline.use.model import Choice
from hopline.use.pieces import LONGEST_WORD, cut, lines, read_text
from pipelines.config.config import Config
from pipelines.config.cron import Cron
from pipelines.config.describe import find
from pipelines.config.workers import require_runnable
from tests.errors.case import Case, Try
from tests.errors.registries import command


def load(text: str | bytes, *overrides: str) -> Try:
    """Reads a configuration file."""

    def run(folder: Path) -> Config:
        path = folder / "config.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return Config.load(path, overrides)

    return run


def settings(*overrides: str) -> Try:
    return lambda folder: Config.load(None, overrides)


def corpus(files: dict[str, str], make: Try = lambda folder: None, **patterns: str) -> Try:
    """Lists the files of a corpus."""

    def run(folder: Path) -> object:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        make(folder)
        return source_files(CorpusConfig(**patterns).absolute(folder), folder)

    return run


def read(data: bytes, name: str = "text", **config: object) -> Try:
    """Reads a file of a corpus as preprocess does."""

    def run(folder: Path) -> list[reading.Piece]:
        path = folder / name
        path.write_bytes(data)
        section = CorpusConfig.from_mapping(config)
        ranges = cut_ranges([SourceFile("train", name, path, len(data))], section.documents, 1 << 20)
        return [piece for work in ranges for piece in reading.pieces(work, section)]

    return run


def unknown(**options: float) -> Try:
    """Holds a split to the contract of which half the words are unknown."""
    train, valid = Tally(np.array([0, 2, 0, 2, 2, 2])), Tally(np.array([0, 1, 0, 1, 0, 0]))
    return lambda folder: require_contract({"train": train, "valid": valid}, PreprocessConfig(**options))


def without(package: str, use: Try) -> Try:
    """Does something where a package is not installed."""

    def run(folder: Path) -> object:
        with mock.patch.dict(sys.modules, {package: None}):
            return use(folder)

    return run


def changed(folder: Path) -> None:
    path = folder / "text"
    path.write_text("one")
    stamps = Stamps([path])
    path.write_text("one two")
    stamps.require_unchanged()


def entries(*names: str) -> Try:
    return lambda folder: objects._require_paths("gs://bucket", [Entry(name, 1, "1") for name in names])


def in_pod(index: str, cluster: str = "one:1,two:2") -> Try:
    def run(folder: Path) -> object:
        os.environ.update(HOPLINE_CLUSTER=cluster, JOB_COMPLETION_INDEX=index)
        return set_cluster_config()

    return run


def as_worker(text: str) -> Try:
    def run(folder: Path) -> int:
        os.environ["TF_CONFIG"] = text
        return worker_index()

    return run


def written(name: str, data: bytes) -> Path:
    Path(name).write_bytes(data)
    return Path(name)


def asked(**body: object) -> Try:
    return lambda folder: completions.parse(body, 9)


def hypotheses(*found: str) -> Try:
    return lambda folder: list(rescore.parse(found, "list"))


def cron(expression: str) -> Try:
    return lambda folder: Cron.parse(expression)


def task(text: str, **container: object) -> Try:
    def run(folder: Path) -> None:
        pod = {"containers": [{"env": [{"name": "HOPLINE_CLUSTER"}], "volumeMounts": [], **container}], "volumes": []}
        TaskConfig.from_json(text).fill(pod)

    return run


GOOD = "0 30 3 * * 1-5"
KUBERNETES = "cluster.launcher=kubernetes"
LONG = "x" * (LONGEST_WORD + 2)
CASES = [
    # Configuration files and --set.
    Case("no configuration", lambda folder: Config.load(folder / "none.toml"), load("")),
    Case("a configuration that is no TOML", load("[model\n"), load("[model]\n")),
    Case("a configuration in Latin-1", load(b"# \xe9\n"), load("# é\n")),
    Case("an unknown section", load("[modle]\n"), load("[model]\n")),
    Case("a section that is a value", load("model = 3\n"), load("[model]\nhops = 3\n")),
    Case("a set value without its section", settings("hops=3"), settings("model.hops=3")),
    Case("a set value below a value", load("model = 3\n", "model.hops=3"), load("[model]\n", "model.hops=3")),
    Case(
        "a memory beyond the context",
        settings("model.memory=600"),
        settings("model.memory=600", "preprocess.context=600"),
    ),
    Case("no valid split", settings("corpus.valid_fraction=0"), settings("corpus.valid_fraction=0.2")),
    Case(
        "no test split",
        settings("corpus.test_fraction=0", "evaluate.split=test"),
        settings("corpus.test_fraction=0", "evaluate.split=auto"),
    ),
    Case("a section as no JSON", lambda folder: ModelConfig.from_json("{"), lambda folder: ModelConfig.from_json("{}")),
    Case("a section as a list", lambda folder: ModelConfig.from_json("[]"), lambda folder: ModelConfig.from_json("{}")),
    Case("an unknown section to explain", lambda folder: find("trian"), lambda folder: find("train")),
    Case("an unknown key to explain", lambda folder: find("train.epoch"), lambda folder: find("train.epochs")),
    Case("a cron of 5 fields", cron("30 3 * * 1-5"), cron(GOOD)),
    Case("a cron of 3 fields", cron("30 3 *"), cron(GOOD)),
    Case("a cron from when it is made", cron("@every 6h"), cron("0 0 */6 * * *")),
    Case("a cron of a day that never comes", cron("0 0 0 31 2 *"), cron(GOOD)),
    Case("a cron with half a range", cron("0 3- 3 * * *"), cron("0 3-5 3 * * *")),
    Case("a cron with a step of 0", cron("0 */0 3 * * *"), cron(GOOD)),
    Case("a cron with an empty range", cron("0 30-10 3 * * *"), cron(GOOD)),
    Case("a cron with an unknown word", cron("0 30 3 * * never"), cron(GOOD)),
    Case(
        "a claim where Kubeflow keeps the examples",
        lambda folder: require_runnable(Config.load(None, [KUBERNETES, "job.claim=a"])),
        lambda folder: require_runnable(Config.load(None, [KUBERNETES, "job.store=gs://b/p"])),
    ),
    Case(
        "no place for workers to meet",
        lambda folder: require_runnable(Config.load(None, [KUBERNETES])),
        lambda folder: require_runnable(Config.load(None, ["cluster.launcher=local"])),
    ),
    Case(
        "workers without a place",
        lambda folder: JobConfig().require_place(),
        lambda folder: JobConfig(claim="a").require_place(),
    ),
    Case(
        "a folder that no claim holds",
        lambda folder: JobConfig().require_mounted("--examples", Path("/data/a")),
        lambda folder: JobConfig(claim="a").require_mounted("--examples", Path("/data/a")),
    ),
    Case(
        "a folder that is not mounted",
        lambda folder: JobConfig(claim="a").require_mounted("--examples", Path("/home/a")),
        lambda folder: JobConfig(claim="a", mount="/home").require_mounted("--examples", Path("/home/a")),
    ),
    # A corpus's files.
    Case("a file of two splits", corpus({"a": "x"}, train="a", valid="a"), corpus({"b": "y"}, train="a", valid="b")),
    Case("a corpus of empty files", corpus({"a": ""}, train="a"), corpus({"a": "x"}, train="a")),
    Case("a scheme that is none", corpus({}, train="ftp://host/a"), corpus({"a": "x"}, train="a")),
    Case(
        "a name that is not UTF-8",
        corpus({}, lambda folder: written(os.fsdecode(os.fsencode(folder) + b"/t\xff"), b"x"), train="."),
        None,
    ),
    Case(
        "a folder without files",
        corpus({}, lambda folder: (folder / "texts").mkdir(), train="texts"),
        corpus({"texts/a": "x"}, train="texts"),
    ),
    Case("a file that is not there", corpus({}, train="a"), corpus({"a": "x"}, train="a")),
    Case("a pattern that matches nothing", corpus({}, train="*.txt"), corpus({"a.txt": "x"}, train="*.txt")),
    Case(
        "a link to nothing",
        corpus({"t/a": "x"}, lambda folder: (folder / "t" / "link").symlink_to("gone"), train="t"),
        corpus({"t/gone": "x"}, train="t"),
    ),
    Case("a folder opened as a file", open_source, None),
    Case("text that is written to", changed, None),
    Case("an object that is no path", entries("a//b"), entries("a/b")),
    Case("an object that is a folder of another", entries("a", "a/b"), entries("c", "a/b")),
    # What corpora hold.
    Case(
        "a split of a pattern without a word",
        lambda folder: require_splits({"train"}, CorpusConfig(train="a", valid="b")),
        lambda folder: require_splits({"train", "valid"}, CorpusConfig(train="a", valid="b")),
    ),
    Case("too many unknown words", unknown(max_unknown_rate=0.1), unknown(max_unknown_rate=0.9)),
    Case("a NUL", read(b"one\0two\n"), read(b"one two\n")),
    Case(
        "a JSON line that is none",
        read(b"{\n", documents="json-line"),
        read(b"{\n", documents="json-line", skip_lines=1),
    ),
    Case(
        "a JSON line that spells a NUL",
        *(read(b'{"text": "a\\u0000b"}\n', documents="json-line", invalid_utf8=rule) for rule in ("strict", "replace")),
    ),
    Case("text in Latin-1", read(b"caf\xe9\n"), read(b"caf\xe9\n", invalid_utf8="replace")),
    Case(
        "a place of no scheme of ours", lambda folder: parse_place("ftp://a/b"), lambda folder: parse_place("gs://a/b")
    ),
    Case("a store whose library is missing", without("hopline.store.gcs", lambda folder: Store("gs://bucket"))),
    Case(
        "completion without its library", without("shtab", command("completion", "bash")), command("completion", "bash")
    ),
    Case("a server without its library", without("uvicorn", command("serve"))),
    Case("a store without a bucket", lambda folder: Store("gs://"), None),
    Case(
        "a folder below a file",
        lambda folder: writable_folder(written(str(folder / "file"), b"") / "below", "--output"),
        lambda folder: writable_folder(folder / "other", "--output"),
    ),
    Case("a cache without places", lambda folder: CacheConfig(window=0), lambda folder: CacheConfig(window=1)),
    Case(
        "text for a model in Latin-1",
        lambda folder: "".join(read_text(written(str(folder / "a"), b"caf\xe9").open("rb"), "a")),
        lambda folder: "".join(read_text(written(str(folder / "a"), "café".encode()).open("rb"), "a")),
    ),
    Case("a word without end", lambda folder: list(cut([LONG], "a")), lambda folder: list(cut(["a b"], "a"))),
    Case("a line without end", lambda folder: list(lines([LONG], "a")), lambda folder: list(lines(["a\n"], "a"))),
    Case("a choice without heat", lambda folder: Choice(temperature=-1.0), lambda folder: Choice(temperature=0.0)),
    Case("a request that is no object", lambda folder: completions.parse([], 9), asked(prompt="a")),
    Case("a prompt that is no text", asked(prompt=3), asked(prompt="3")),
    Case("too many prompts", asked(prompt=["a"] * 10_000), asked(prompt=["a"])),
    Case("a temperature that is no number", asked(temperature="hot"), asked(temperature=1)),
    Case("no tokens of a kind", asked(max_tokens=10), asked(max_tokens=9)),
    Case("a flag that is none", asked(echo="yes"), asked(echo=True)),
    Case("an n-best list of one field", hypotheses("a"), hypotheses("a ||| b ||| 1")),
    Case("no instances", lambda folder: tfserving._columns([], ["a"]), lambda folder: tfserving._columns([1], ["a"])),
    Case(
        "rows of different inputs",
        lambda folder: tfserving._columns([{"a": 1}, {"b": 1}], ["a", "b"]),
        lambda folder: tfserving._columns([{"a": 1}, {"a": 1}], ["a", "b"]),
    ),
    Case(
        "an object that is no bytes",
        lambda folder: tfserving._decoded({"b65": "YQ=="}),
        lambda folder: tfserving._decoded({"b64": "YQ=="}),
    ),
    Case("outputs that are not by row", lambda folder: tfserving._rows({"a": np.zeros(3)}, 2), None),
    # A worker's place.
    Case("a worker of no index", as_worker("[]"), as_worker('{"task": {"index": 1}}')),
    Case("a task of another Kubeflow", task('{"affinity": 3}'), task("{}")),
    Case(
        "a task that sets what the launcher sets",
        task('{"env": [{"name": "HOPLINE_CLUSTER", "value": "a"}]}'),
        task('{"env": [{"name": "OTHER", "value": "a"}]}'),
    ),
    Case("a pod of no index", in_pod("2"), in_pod("1")),
]
