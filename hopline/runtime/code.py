"""What a program's code is: the modules that it reaches by imports, without comments and docstrings.

Read from the sources and never imported, so that the answer is the same in any image and costs no start of TensorFlow.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def digest(modules: Iterable[str]) -> str:
    """SHA-256 over what `modules`, and all modules of the same packages that they reach, do.

    Two sources that differ in comments, docstrings or layout alone have the same.  It depends on the version of Python,
    whose syntax trees differ.

    Raises:
        ValueError: there is no such module.
    """
    result = hashlib.sha256()
    for name, tree in sorted(closure(modules).items()):
        result.update(f"{name}\0{ast.dump(_without_docstrings(tree))}\0".encode())
    return result.hexdigest()


def closure(modules: Iterable[str]) -> dict[str, ast.Module]:
    """The syntax trees of `modules` and of all that they import, at their heads or later, by module name.

    Looked at are the top-level packages of `modules` and this library.  What other distributions hold (TensorFlow,
    NumPy, ...) and the standard library are left out.

    Raises:
        ValueError: there is no such module.
    """
    waiting = list(modules)
    roots = {name: _root(name) for name in {__name__.partition(".")[0], *(name.partition(".")[0] for name in waiting)}}
    for name in waiting:
        if _source(name, roots) is None:
            raise ValueError(f"{name} is not an importable module")
    found: dict[str, ast.Module] = {}
    while waiting:
        name = waiting.pop()
        path = _source(name, roots)
        if name not in found and path is not None:
            found[name] = ast.parse(path.read_bytes(), filename=str(path))
            waiting += _imported(name, found[name], is_package=path.name == "__init__.py")
    return found


def _root(package: str) -> Path | None:
    """The folder of a top-level package, which is looked for and not imported."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or []) if spec else []
    return Path(locations[0]) if locations else None


def _source(module: str, roots: Mapping[str, Path | None]) -> Path | None:
    """The file of a module or package; None where none of `roots` has it."""
    top, *inner = module.split(".")
    root = roots.get(top)
    if root is None:
        return None
    place = root.joinpath(*inner)
    candidates = [place / "__init__.py", *([place.with_suffix(".py")] if inner else [])]
    return next((path for path in candidates if path.is_file()), None)


def _imported(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[str]:
    """The names that may be modules which `module` imports: also names of functions, which no file has."""
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts)))  # importing it runs the packages around it
    package = parts if is_package else parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*outer, *(node.module.split(".") if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree, from which the docstrings are removed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree
