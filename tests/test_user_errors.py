"""Every place of the tree that makes a `UserError`: an input that raises it, and what following its remedy comes to."""

import functools
import os
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from hopline.runtime.errors import UserError
from tests.errors import places, registries, texts
from tests.errors.case import Case
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
