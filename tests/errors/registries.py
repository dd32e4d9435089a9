"""Registries, artifacts and runs that are damaged, empty, or not what is asked for."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from hopline import artifacts
from hopline.registry import upkeep
from hopline.registry.records import HISTORY, POINTER, parse_record
from hopline.registry.registry import Registry
from hopline.schema import MANIFEST, MODEL
from hopline.use.locate import locate
from pipelines import cli
from pipelines.output import open_output
from pipelines.run import exclusive
from pipelines.run_records import read_run
from tests.errors.case import Case, Try
from tests.registries import make_model, promote


def registry(folder: Path, *models: str) -> Registry:
    """The registry in the folder; made with so many promoted models if it is not there yet."""
    found = Registry(folder / "registry")
    if not found.path.exists():
        for name in models:
            make_model(folder / name, name)
            promote(found, folder / name)
    return found


def promoted(
    use: Callable[[Registry], object], *models: str, before: Callable[[Registry], object] | None = None
) -> Try:
    """Uses a registry of so many models, the second time the same one."""

    def run(folder: Path) -> object:
        found = registry(folder, *(models or ("one",)))
        if before:
            before(found)
        return use(found)

    return run


def overwrite(name: str, text: str | None) -> Callable[[Registry], object]:
    def run(found: Registry) -> None:
        path = Path(found.path, name)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    return run


def record(change: Callable[[dict], dict]) -> Try:
    """Reads a champion's record that is changed."""

    def run(folder: Path) -> object:
        champion = registry(folder, "one").champion()
        content = json.dumps(change(dataclasses.asdict(champion)))
        return parse_record(content.encode(), "champion.json", "restore it")

    return run


def model(use: Callable[[Path], object], change: Callable[[Path], object] = lambda folder: None) -> Try:
    """Uses the folder of a model after a change of it."""

    def run(folder: Path) -> object:
        path = folder / "model"
        if not path.exists():
            make_model(path, "weights")
        change(path)
        return use(path)

    return run


def manifest(**values: object) -> Callable[[Path], object]:
    def run(path: Path) -> None:
        content = json.loads((path / MANIFEST).read_text()) | values
        (path / MANIFEST).write_text(json.dumps(content))

    return run


def command(*arguments: str) -> Try:
    """Runs a command as `hopline` does, in the folder's registry and output, but lets its error pass."""

    def run(folder: Path) -> int:
        options = cli.arguments().parse_args([argument.replace("FOLDER", str(folder)) for argument in arguments])
        return options.command(options)

    return run


def with_registry(*arguments: str, models: tuple[str, ...] = ("one",), before=None) -> Try:
    def run(folder: Path) -> object:
        found = registry(folder, *models)
        if before:
            before(found)
        return command(*arguments, "--registry", "FOLDER/registry")(folder)

    return run


def run_folder(name: str, config: str = "[model]\n") -> Try:
    def make(folder: Path) -> None:
        path = folder / "output" / "runs" / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.toml").write_text(config)

    return make


def then(make: Try, use: Try) -> Try:
    def run(folder: Path) -> object:
        make(folder)
        return use(folder)

    return run


def twice(folder: Path) -> None:
    output = open_output(str(folder / "output"))
    output.folder.mkdir()
    with exclusive(output), exclusive(output):
        pass


VERSION_1 = "versions/1"
WEIGHTS = "saved_model/weights"
COMPARE = ("compare", "--output", "FOLDER/output")
CASES = [
    # Records and pointers.
    Case("a record that is no JSON", lambda folder: parse_record(b"{", "a", "restore it"), record(lambda r: r)),
    Case("a record of a newer hopline", record(lambda r: r | {"schema_version": 99}), record(lambda r: r)),
    Case("a record of version 0", record(lambda r: r | {"version": 0}), record(lambda r: r | {"version": 1})),
    Case("a record without a model", record(lambda r: {"version": 1}), record(lambda r: r)),
    Case(
        "a model that never was champion",
        promoted(lambda r: r.version("another")),
        promoted(lambda r: r.version(r.champion().model_id)),
    ),
    Case("a version that is missing", promoted(lambda r: r.manifest(7)), promoted(lambda r: r.manifest(1))),
    Case(
        "a file that no version has",
        promoted(lambda r: r.read(1, "vocabulary.txt")),
        promoted(lambda r: r.read(1, WEIGHTS)),
    ),
    Case(
        "a file of a version that is damaged",
        promoted(lambda r: r.read(1, WEIGHTS), before=overwrite(f"{VERSION_1}/{WEIGHTS}", "x")),
        promoted(lambda r: r.read(1, WEIGHTS), before=overwrite(f"{VERSION_1}/{WEIGHTS}", "one")),
    ),
    Case("nothing to roll back to", promoted(lambda r: r.rollback()), promoted(lambda r: promote(r, make(r, "two")))),
    Case(
        "a rollback without a champion",
        lambda folder: Registry(folder).rollback(),
        promoted(lambda r: r.rollback(), "one", "two"),
    ),
    Case(
        "a rollback to what the history has not",
        promoted(lambda r: r.rollback(), "one", "two", before=overwrite(f"{HISTORY}/1.json", None)),
        promoted(lambda r: promote(r, make(r, "three"))),
    ),
    Case(
        "a champion that is damaged",
        promoted(lambda r: r.verify(), "one", "two", before=overwrite(f"versions/2/{WEIGHTS}", "x")),
        promoted(lambda r: r.rollback()),
    ),
    Case(
        "a pointer of another model",
        promoted(
            lambda r: r.verify(),
            before=lambda r: overwrite(POINTER, json.dumps(pointer(r) | {"model_id": "0" * 64}))(r),
        ),
        promoted(
            lambda r: r.verify(),
            before=lambda r: Path(r.path, POINTER).write_bytes(Path(r.path, HISTORY, "1.json").read_bytes()),
        ),
    ),
    Case(
        "a pointer that is old",
        promoted(
            lambda r: promote(r, make(r, "three")),
            "one",
            "two",
            before=lambda r: Path(r.path, POINTER).write_bytes(Path(r.path, HISTORY, "1.json").read_bytes()),
        ),
        promoted(
            lambda r: promote(r, make(r, "three")),
            before=lambda r: Path(r.path, POINTER).write_bytes(Path(r.path, HISTORY, "2.json").read_bytes()),
        ),
    ),
    Case(
        "a blessing that was spent",
        promoted(lambda r: promote(r, make(r, "one"), "evaluation of one"), "one", "two"),
        promoted(lambda r: promote(r, make(r, "three"))),
    ),
    Case("none to keep", promoted(lambda r: upkeep.doomed(r, 0)), promoted(lambda r: upkeep.doomed(r, 1))),
    Case(
        "a registry that is empty",
        lambda folder: upkeep.doomed(Registry(folder), 1),
        promoted(lambda r: upkeep.doomed(r, 1)),
    ),
    # Artifacts.
    Case(
        "examples where a model is needed",
        model(lambda path: artifacts.read_manifest(path, "examples")),
        model(lambda path: artifacts.read_manifest(path, MODEL)),
    ),
    Case(
        "a model of a newer hopline",
        model(lambda path: artifacts.read_manifest(path, MODEL), manifest(schema_version=99)),
        None,
    ),
    Case("a folder without a manifest", lambda folder: artifacts.read_manifest(folder, MODEL), None),
    Case(
        "a model with a damaged file",
        model(lambda path: artifacts.verify(path, MODEL), lambda path: (path / WEIGHTS).write_text("x")),
        model(lambda path: artifacts.verify(path, MODEL), lambda path: (path / WEIGHTS).write_text("weights")),
    ),
    # Models to use.
    Case("a version of one model", model(lambda path: locate(path, 3)), model(locate)),
    Case("no output", lambda folder: locate(folder / "output"), promoted(lambda r: locate(r.path))),
    Case("no champion to use", locate, promoted(lambda r: locate(r.path))),
    Case("no such version to use", promoted(lambda r: locate(r.path, 7)), promoted(lambda r: locate(r.path, 1))),
    # Commands.
    Case("a comparison in a store", command(*COMPARE[:2], "gs://bucket/p", "a", "b"), None),
    Case(
        "a comparison of one run",
        then(run_folder("a"), command(*COMPARE, "a", "a")),
        then(run_folder("b"), command(*COMPARE, "a", "b")),
    ),
    Case(
        "a comparison of no run",
        command(*COMPARE, "a", "b"),
        then(then(run_folder("a"), run_folder("b")), command(*COMPARE, "a", "b")),
    ),
    Case(
        "a comparison for a file that cannot be",
        then(then(run_folder("a"), run_folder("b")), command(*COMPARE, "a", "b", "--html", "FOLDER/none/page.html")),
        command(*COMPARE, "a", "b", "--html", "FOLDER/page.html"),
    ),
    Case("a damaged run", then(run_folder("a", "["), lambda folder: read_run(folder / "output/runs/a")), None),
    Case(
        "a configuration that is there",
        then(lambda folder: (folder / "a").touch(), command("config", "init", "--output", "FOLDER/a")),
        command("config", "init", "--output", "FOLDER/b"),
    ),
    Case(
        "a configuration in no folder",
        command("config", "init", "--output", "FOLDER/none/a"),
        command("config", "init", "--output", "FOLDER/a"),
    ),
    Case("models of nothing", command("models", "list", "--registry", "FOLDER"), with_registry("models", "list")),
    Case(
        "models without a pointer",
        with_registry("models", "list", before=overwrite(POINTER, None)),
        then(with_registry("models", "verify", "--repair"), with_registry("models", "list")),
    ),
    Case("a model that is none", with_registry("models", "show", "7"), with_registry("models", "show", "1")),
    Case(
        "a rollback without a terminal",
        with_registry("models", "rollback", models=("one", "two")),
        with_registry("models", "rollback", "--yes"),
    ),
    Case("a step that is none", command("runs", "logs", "a", "--step", "training"), None),
    Case("a configuration without a schedule", command("schedule", "apply", "--config", "/dev/null"), None),
    Case("a picture in another form", command("score", "--attention", "--per", "word"), None),
    Case("a port below 0", command("serve", "--port", "-1"), None),
    Case("a folder that is no output", command("clean", "--output", "FOLDER"), None),
    Case("a pipeline in no folder", command("compile", "--output", "FOLDER/none/a.yaml"), None),
    Case("an output in use", twice, None),
]


def pointer(found: Registry) -> dict:
    return json.loads(Path(found.path, POINTER).read_text())


def make(found: Registry, name: str) -> Path:
    """The folder of a model beside the registry."""
    path = Path(found.path).parent / name
    if not path.exists():
        make_model(path, name)
    return path
