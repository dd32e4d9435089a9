"""Measurements of made-up scores."""

import math

import numpy as np

from components.evaluate import compare
from components.evaluate.baselines import Baseline
from components.evaluate.calibration import Bin
from components.evaluate.measure import Measurement, compare_sides
from components.evaluate.scores import Scores
from components.evaluate.side import Artifact, Side
from components.evaluate.text import Document
from hopline import artifacts
from hopline.config.evaluate import EvaluateConfig

RULE = EvaluateConfig(beat="none")
BASELINES = {"unigram": Baseline(5.0), "kneser_ney_2": Baseline(None, "too short")}
WORDS = tuple(f"w{number}" for number in range(12))


def make_artifact(folder, fingerprint):
    folder.mkdir()
    facts = {"vocabulary_size": 12, "parameters": 5, "fingerprint": fingerprint}
    return Artifact(folder, artifacts.seal(folder, "model", parents={}, config={}, facts=facts))


def side(artifact, nll, ids=None, unknown_types=1, documents=1, words=WORDS):
    nll = np.asarray(nll, np.float32)
    ids = np.full(len(nll), 3) if ids is None else np.asarray(ids)
    lengths = np.full(documents, len(nll) // documents)
    lengths[-1] += len(nll) - lengths.sum()
    scores = Scores(nll, ids, (ids - 1).astype(np.int32), words, lengths)
    costs = np.full(12, math.log(unknown_types))
    return Side(artifact, scores, compare.comparable_nll(scores, costs), unknown_types, 10 * documents)


def measurement(challenger, champion=None, rule=RULE, by=compare.TOKENS, name="d{}"):
    texts = [Document(name.format(number), "x" * 10) for number in range(len(challenger.scores.lengths))]
    difference = compare_sides(challenger, champion, by, texts, rule) if champion else None
    bins = [Bin(0.01, 0.0, 40), Bin(0.5, 0.6, 3)]
    return Measurement("test", texts, challenger, champion, by, difference, BASELINES, bins, {})
