import numpy as np
import pytest

from hopline.runtime.errors import UserError
from hopline.use.cache import Cache, CacheConfig
from hopline.use.cache_grid import mean_nll


def one_by_one(states, ids, nll, config):
    """The definition, word by word."""
    states = states / np.linalg.norm(states, axis=1, keepdims=True)
    mixed = []
    for t in range(len(ids)):
        seen = range(max(0, t - config.window), t)
        weights = {i: np.exp(config.flatness * states[t] @ states[i]) for i in seen}
        share = sum(weight for i, weight in weights.items() if ids[i] == ids[t]) / sum(weights.values()) if seen else 0
        weight = config.weight if seen else 0.0
        mixed.append(-np.log((1 - weight) * np.exp(-nll[t]) + weight * share))
    return np.array(mixed)


@pytest.mark.parametrize("window", [1, 7, 300, 1000])
def test_the_cache_is_the_papers_in_pieces_of_any_size(window):
    random = np.random.default_rng(1)
    states = random.normal(size=(500, 6)).astype(np.float32)
    ids = random.integers(3, 9, 500)
    nll = random.uniform(0.5, 5, 500).astype(np.float32)
    config = CacheConfig(window, 0.2, 3.0)
    expected = one_by_one(states.astype(float), ids, nll.astype(float), config)
    for cuts in ([500], [1, 2, 130, 500], [499, 500]):
        cache = Cache(config)
        starts = [0, *cuts[:-1]]
        parts = [cache.mixed(states[a:b], ids[a:b], nll[a:b]) for a, b in zip(starts, cuts, strict=True)]
        np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-4, atol=1e-5)


def test_probabilities_of_all_words_still_add_up_to_one():
    random = np.random.default_rng(2)
    states = random.normal(size=(30, 4)).astype(np.float32)
    ids = random.integers(0, 5, 30)
    logits = random.normal(size=(30, 5))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    total = 0.0
    for last in range(5):
        asked = np.append(ids[:-1], last)
        nll = -np.log(probs[np.arange(30), asked]).astype(np.float32)
        total += float(np.exp(-Cache(CacheConfig(10, 0.3, 2.0)).mixed(states, asked, nll)[-1]))
    assert total == pytest.approx(1.0, abs=1e-5)


def test_a_cache_out_of_bounds_is_refused():
    for wrong in ({"window": 0}, {"weight": 1.0}, {"weight": -0.1}, {"flatness": float("inf")}):
        with pytest.raises(UserError):
            CacheConfig(**wrong)


@pytest.mark.parametrize("count", [1, 2, 600])
def test_many_caches_together_are_each_the_one_alone(count):
    random = np.random.default_rng(3)
    states = random.normal(size=(count, 6)).astype(np.float32)
    ids = random.integers(3, 9, count)
    nll = random.uniform(0.5, 5, count).astype(np.float32)
    settings = {"windows": [7, 300, 3, 2000], "flatnesses": [0.0, 3.0, 30.0], "weights": [0.0, 0.2, 0.7]}
    found = mean_nll(states, ids, nll, **settings)
    assert len(found) == 36
    assert [mean for _, mean in found] == sorted(mean for _, mean in found)
    for config, mean in found:
        assert mean == pytest.approx(Cache(config).mixed(states, ids, nll).mean(), rel=1e-5)
