"""Every place of the tree that makes a `UserError`: an input that raises it, and what following its remedy comes to."""

import ast
import functools
import os
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from hopline.runtime.errors import UserError
from tests.errors import places, registries, texts
from tests.errors.case import Case
from tests.errors.elsewhere import ELSEWHERE, MOST_WITHOUT_INPUT, WITHOUT_INPUT
from tests.errors.sections import SECTIONS


def section_cases() -> list[Case]:
    return [
        Case(
            f"{kind.name}: {wrong}",
            lambda folder, kind=kind, values=wrong: kind.from_mapping(values),
            lambda folder, kind=kind, values=right: kind.from_mapping(values),
        )
        for kind, wrong, right in SECTIONS
    ]


CASES = {case.name: case for case in [*section_cases(), *texts.CASES, *registries.CASES]}


@functools.cache
def outcome(name: str) -> tuple[UserError | None, frozenset[str], Exception | None]:
    """The error of the case, the places that made one, and what still fails after the remedy."""
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {}):
        found, left = None, None
        with places.recorded() as reached:
            try:
                case.wrong(Path(folder))
            except UserError as error:
                found = error
        made = frozenset(reached)
        if case.right:
            try:
                case.right(Path(folder))
            except Exception as error:
                left = error
    return found, made, left


@pytest.mark.parametrize("name", CASES)
def test_an_error_names_value_and_remedy_and_following_the_remedy_helps(name):
    error, made, left = outcome(name)
    assert error is not None, "nothing was refused"
    assert made, "another kind of error"
    assert error.message
    assert error.remedy
    assert left is None, f"after the remedy: {left}"


def test_every_place_that_makes_an_error_has_an_input_here_or_a_test_elsewhere():
    reached = {place for name in CASES for place in outcome(name)[1]}
    known = {*reached, *ELSEWHERE, *(place for _, places_ in WITHOUT_INPUT for place in places_)}
    missing = [f"{place.name}: {place.text}" for place in places.places().values() if place.name not in known]
    assert not missing, "give each an input in tests/errors, or name the test that has one: " + "\n".join(missing)


def test_no_table_names_a_place_that_is_gone():
    listed = {*ELSEWHERE, *(place for _, places_ in WITHOUT_INPUT for place in places_)}
    assert not listed - places.places().keys()


def test_the_list_of_errors_without_an_input_only_shrinks():
    assert sum(len(places_) for _, places_ in WITHOUT_INPUT) <= MOST_WITHOUT_INPUT


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_a_test_elsewhere_exists(test):
    path, _, name = test.partition("::")
    functions = ast.walk(ast.parse((places.ROOT / path).read_text(encoding="utf-8")))
    assert name in {node.name for node in functions if isinstance(node, ast.FunctionDef)}
