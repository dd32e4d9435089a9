"""The vocabulary of a promoted model, as another model takes it over."""

import pytest

from components.preprocess.vocabulary import promoted_vocabulary
from hopline.config.preprocess import PreprocessConfig
from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.schema import RESERVED_WORDS
from tests.components.preprocess.cases import promote_vocabulary
from tests.registries import make_model, promote


def _config(**options):
    return PreprocessConfig(**{"tokeniser": "whitespace", **options})


def test_it_is_found_by_the_models_id_also_when_another_has_become_champion(tmp_path):
    first = promote_vocabulary(tmp_path, ["b", "\u00e0", "a"])
    promote_vocabulary(tmp_path, ["other"])
    found = promoted_vocabulary(str(tmp_path / "registry"), first, _config())
    assert found.words == [*RESERVED_WORDS, "b", "\u00e0", "a"]
    assert found.model_id == first


@pytest.mark.parametrize("lowercase", [True, False])
def test_text_must_be_lowercased_as_it_was_for_the_champion(tmp_path, lowercase):
    model_id = promote_vocabulary(tmp_path, ["a"], lowercase=lowercase)
    promoted_vocabulary(str(tmp_path / "registry"), model_id, _config(lowercase=lowercase))
    with pytest.raises(UserError, match=r"preprocess\.lowercase is") as caught:
        promoted_vocabulary(str(tmp_path / "registry"), model_id, _config(lowercase=not lowercase))
    assert f"preprocess.lowercase = {str(lowercase).lower()}" in caught.value.remedy


def test_text_must_be_cut_as_it_was_for_the_champion(tmp_path):
    model_id = promote_vocabulary(tmp_path, ["a"], tokeniser="characters")
    promoted_vocabulary(str(tmp_path / "registry"), model_id, _config(tokeniser="characters"))
    with pytest.raises(UserError, match=r'preprocess\.tokeniser is "words", .* with "characters"') as caught:
        promoted_vocabulary(str(tmp_path / "registry"), model_id, _config(tokeniser="words"))
    assert 'preprocess.tokeniser = "characters"' in caught.value.remedy


def test_a_champion_of_an_older_hopline_has_none(tmp_path):
    registry = Registry(tmp_path / "registry")
    make_model(tmp_path / "model", "a")
    champion = promote(registry, tmp_path / "model")
    with pytest.raises(UserError, match=r"has no vocabulary\.txt") as caught:
        promoted_vocabulary(str(tmp_path / "registry"), champion.model_id, _config())
    assert caught.value.remedy


def test_a_damaged_one_is_refused(tmp_path):
    model_id = promote_vocabulary(tmp_path, ["a", "b"])
    (tmp_path / "registry" / "versions" / "1" / "vocabulary.txt").write_text("a\n")
    with pytest.raises(UserError, match="differs from its recorded SHA-256"):
        promoted_vocabulary(str(tmp_path / "registry"), model_id, _config())
