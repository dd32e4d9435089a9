"""What tests of the registry do with one, wherever it is kept."""

from pathlib import Path

from hopline import artifacts
from hopline.store.objects import Store


def make_model(folder: Path, weights: str) -> artifacts.Manifest:
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "weights").write_text(weights)
    return artifacts.seal(folder, "model", parents={}, config={}, facts={"fingerprint": f"corpus of {weights}"})


def model_id(folder: Path) -> str:
    return artifacts.read_manifest(folder, "model").id


def overwrite(registry, name: str, content: bytes | None) -> None:
    """Replaces, or with None removes, what the registry holds under `name`, behind its back."""
    if isinstance(registry.path, Path):
        (registry.path / name).unlink()
        if content is not None:
            (registry.path / name).write_bytes(content)
    elif content is None:
        Store(registry.path).delete(name)
    else:
        Store(registry.path).write(name, content)


def litter(registry, name: str) -> None:
    """Leaves under `name` what is none of the registry's; with a slash at its end it is a console's placeholder."""
    if isinstance(registry.path, Path):
        (registry.path / name).parent.mkdir(parents=True, exist_ok=True)
        (registry.path / name).write_text("{}")
    else:
        Store(registry.path).write(name, b"" if name.endswith("/") or not name else b"{}")


def versions(registry) -> set[str]:
    if isinstance(registry.path, Path):
        return {path.name for path in (registry.path / "versions").iterdir()}
    return {entry.name.split("/")[1] for entry in Store(registry.path).entries("versions/")}


def promote(registry, folder, evaluation=""):
    champion = registry.champion()
    return registry.promote(
        folder,
        evaluation=evaluation or f"evaluation of {folder.name}",
        perplexity=100.0,
        split="valid",
        compared_with=champion.model_id if champion else "",
    )
