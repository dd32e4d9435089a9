"""The champion's profile, as the registry has it."""

import pytest

from components.preprocess.profile import promoted_profile
from hopline.runtime.errors import UserError
from tests.components.preprocess.cases import profile_of_text, promote_vocabulary


def test_it_is_found_by_the_models_id_also_when_another_has_become_champion(tmp_path):
    profile = profile_of_text("a b a\n" * 500)
    first = promote_vocabulary(tmp_path, ["a", "b"], profile=profile.to_json())
    promote_vocabulary(tmp_path, ["other"])
    assert promoted_profile(str(tmp_path / "registry"), first) == (1, profile)


def test_a_champion_of_an_older_hopline_has_none(tmp_path):
    model_id = promote_vocabulary(tmp_path, ["a"])
    assert promoted_profile(str(tmp_path / "registry"), model_id) == (1, None)


@pytest.mark.parametrize("damage", ["[]", None])
def test_a_damaged_one_is_the_users_error_and_named(tmp_path, damage):
    model_id = promote_vocabulary(tmp_path, ["a"], profile=damage or profile_of_text("a b\n").to_json())
    path = tmp_path / "registry" / "versions" / "1" / "profile.json"
    if damage is None:
        path.unlink()
        path.write_text("{}")
    with pytest.raises(UserError, match=r"profile\.json"):
        promoted_profile(str(tmp_path / "registry"), model_id)
