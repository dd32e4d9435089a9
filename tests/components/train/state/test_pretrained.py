"""Training that starts from word vectors."""

import keras
import numpy as np
import pytest

from components.train.state import checkpoint
from components.train.state.pretrained import matching_vectors, save_vectors
from components.train.state.weights import build_model
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.vectors import KEY
from hopline.runtime.errors import UserError
from hopline.schema import PAD, RESERVED_WORDS
from hopline.store.sources import locate
from tests.components.train.conftest import MODEL, run_training

WORDS = ["the", "café", "of", "rare"]
V = len(RESERVED_WORDS) + len(WORDS)
CONFIG = TrainConfig(seed=3, optimizer="adamw", average="ema", update_every=("tables=2",))


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join([*RESERVED_WORDS, *WORDS]) + "\n")
    return path


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.vec"
    path.write_text("5 2\n</s> 9 8\nof 1 2\nThe 5 5\ncafé -3 4\nunheard 7 7\n")
    return path


def test_words_are_found_by_their_spelling_and_the_share_is_told(vocabulary, vectors):
    given = matching_vectors(locate(KEY, str(vectors)), vocabulary, 2)
    ids = {word: number for number, word in enumerate([*RESERVED_WORDS, *WORDS])}
    assert given.ids.tolist() == sorted([ids["<eos>"], ids["of"], ids["café"]])
    assert given.rows.tolist() == [[9, 8], [-3, 4], [1, 2]]
    assert given.share == 3 / (V - 1)
    assert "3 of 6 words (50.0%)" in given.summary("a file")


def test_vectors_of_no_word_of_the_vocabulary_are_refused(vocabulary, tmp_path):
    path = tmp_path / "other.vec"
    path.write_text("THE 1.0 2.0\n")
    with pytest.raises(UserError, match="none of the 6 words") as caught:
        matching_vectors(locate(KEY, str(path)), vocabulary, 2)
    assert "lowercase" in caught.value.remedy


def test_vectors_that_are_all_alike_are_refused(vocabulary, vectors, tmp_path):
    given = matching_vectors(locate(KEY, str(vectors)), vocabulary, 2)
    given.rows[:] = 1.0
    with pytest.raises(UserError, match="are the same"):
        save_vectors(given, ModelConfig(width=2, hops=2, memory=5), V, CONFIG, tmp_path)


@pytest.mark.parametrize("options", [{"tie": "none"}, {"tie": "all"}, {"tie": "output", "factor": 2, "width": 6}])
def test_the_first_checkpoint_has_the_vectors_in_the_tables_and_all_else_at_its_random_start(
    vocabulary, vectors, options, tmp_path
):
    config = ModelConfig(**{"width": 2, "hops": 2, "memory": 5, "init_stddev": 0.3, **options})
    given = matching_vectors(locate(KEY, str(vectors)), vocabulary, 2)
    save_vectors(given, config, V, CONFIG, tmp_path)
    saved = checkpoint.load_newest(tmp_path / checkpoint.FOLDER)
    assert saved.state.step == 0
    plain = build_model(config, V, CONFIG)
    embedding = {id(plain.key_table_VF), id(plain.value_table_VF)}
    others = [number for number in range(V) if number not in given.ids]
    assert PAD in others
    for index, variable in enumerate(plain.variables):
        found, start = saved.current[f"model.{index:03}"], keras.ops.convert_to_numpy(variable)
        if id(variable) not in embedding:
            np.testing.assert_array_equal(found, start)
            continue
        np.testing.assert_array_equal(found[others], start[others])
        assert found[given.ids].std() == pytest.approx(0.3, rel=1e-5)
        np.testing.assert_allclose(found[given.ids] / found[given.ids][0, 0], given.rows / 9, rtol=1e-5)
    table, slots = [key for key in saved.current if key.startswith("slot.")], len(plain.trainable_variables)
    assert len(table) == 3 * slots + len({id(v) for v in (*embedding_tables(plain),)}), (
        "Adam, average, one waiting each"
    )


def embedding_tables(model):
    return model.key_table_VF, model.value_table_VF, model.logit_table_VF


@pytest.mark.slow
def test_a_run_starts_from_vectors_holds_them_and_says_so(examples, tmp_path):
    words = (examples / "vocabulary.txt").read_text().split("\n")[len(RESERVED_WORDS) : -1]
    random = np.random.Generator(np.random.Philox(1))
    lines = [f"{word} {' '.join(f'{number:.3f}' for number in random.normal(size=16))}" for word in words[:-5]]
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(lines) + "\n")
    model = {**MODEL, "tie": "all", "pretrained": str(path)}
    run = run_training(examples, tmp_path, model=model, freeze_epochs=1, epochs=1)
    assert run.code == 0, run.said
    assert f"{len(words) - 5} of {len(words) + 2} words" in run.said
    trained = keras.saving.load_model(run.output / "model.keras")
    rows = np.array(trained.key_table_VF)[len(RESERVED_WORDS) : len(RESERVED_WORDS) + len(lines)]
    given = np.array([[float(number) for number in line.split()[1:]] for line in lines])
    np.testing.assert_allclose(rows / rows.std(), given / given.std(), rtol=1e-4, atol=1e-5)
    assert run.losses[0] != run.losses[-1], "all else is trained"
    path.write_text("\n".join(lines[:-1]) + "\nbroken 1.0\n")
    broken = run_training(examples, tmp_path / "broken", model=model, epochs=1)
    assert broken.code == broken.failure["code"] == 2
    assert f"{path}:{len(lines)}" in broken.failure["message"]
