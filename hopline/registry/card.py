"""The card of a promoted model: what it was made of and how, what it reached, where it ends, and how to load it.

`describe` gathers it at the promotion, as JSON in the registry's record; `render` writes it for people, as `card.md` in
the version's folder.  What an older hopline did not record is left out of both.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline import schema
from hopline.artifacts import Manifest
from hopline.registry.records import Champion

CARD = "card.md"  # in the version's folder; the model's manifest does not name it, for it is written later

UNIGRAM = "unigram"  # the baseline that knows how frequent words are, and no more

_DATA_COUNTS = ("documents", "tokens", "types", "characters", "unknown_rate")  # of a split, in its statistics
_NUMBERS = (  # of the challenger in evaluation.json
    "perplexity", "comparable_perplexity", "bits_per_character", "unknown_tokens", "vocabulary_size", "parameters",
    "bytes",
)  # fmt: skip
_MODEL_FACTS = ("best_valid_perplexity", "steps", "vocabulary_size", "parameters")


def data_facts(folder: Path, examples: Manifest) -> dict[str, Any]:
    """What a model's manifest says of its training text, from the folder of the examples and their manifest."""
    found = folder / schema.STATISTICS_FILE
    statistics = json.loads(found.read_text(encoding="utf-8")) if found.is_file() else {}
    splits = {}
    for split, counts in examples.counts.items():
        known = counts | _mapping(statistics.get(split))
        splits[split] = {key: known[key] for key in _DATA_COUNTS if key in known}
    return {"config": examples.config, "splits": splits}


def describe(
    model: Manifest,
    evaluation: Manifest | None = None,
    content: Mapping[str, Any] | None = None,
    *,
    license_name: str = "",
    limits: Sequence[str] = (),
) -> dict[str, Any]:
    """The card's content, which JSON can hold.

    Args:
        model: manifest of the model.
        evaluation: manifest of the evaluation that blessed it.
        content: of that evaluation's `evaluation.json`.
        license_name: of the model, as the configuration gives it.
        limits: further limits, as the configuration gives them.
    """
    content = content or {}
    facts = evaluation.facts if evaluation else {}
    data = _mapping(model.facts.get("data"))
    numbers = {key: model.facts[key] for key in _MODEL_FACTS if key in model.facts}
    numbers |= {key: content[key] for key in ("split", "tokens", "documents") if key in content}
    numbers |= {key: value for key, value in _mapping(content.get("challenger")).items() if key in _NUMBERS}
    champion = _mapping(content.get("champion"))
    return {
        "license": license_name,
        "data": {
            "fingerprint": model.facts.get("fingerprint", ""),
            "config": _mapping(data.get("config")),
            "splits": _mapping(data.get("splits")),
        },
        "recipe": dict(model.config),
        "numbers": numbers,
        "baselines": baselines(_mapping(content.get("metrics")), content, facts),
        "compared": str(_mapping(content.get("compared")).get("by", "tokens")),
        "predecessor": {key: champion[key] for key in ("model_id", *_NUMBERS) if key in champion},
        "decision": [str(reason) for reason in facts.get("reasons", ())],
        "limits": [*_derived_limits(model, content), *limits],
        "parents": {**model.parents, **({"evaluation": evaluation.id} if evaluation else {})},
        "code": {"git": model.git, "versions": dict(model.versions), "created": model.created},
    }


def baselines(*sources: Mapping[str, Any]) -> dict[str, float]:
    """Perplexity by baseline, from the first of `sources` that has any: under "baselines", or flat, "baselines.<name>".

    A baseline is a perplexity, or an object that has one.
    """
    for source in sources:
        named = dict(_mapping(source.get("baselines")))
        for key, value in source.items():
            if key.startswith("baselines."):
                name = key.removeprefix("baselines.").removesuffix(".perplexity")
                named.setdefault(name, value)
        read = {name: _mapping(value).get("perplexity", value) for name, value in named.items()}
        found = {name: float(value) for name, value in read.items() if type(value) in (int, float)}
        if found:
            return found
    return {}


def baseline_label(name: str) -> str:
    """What people call a baseline: "Kneser-Ney 5-gram" for kneser_ney_5."""
    order = re.fullmatch("kneser_ney_([0-9]+)", name)
    return f"Kneser-Ney {order[1]}-gram" if order else "word frequencies" if name == UNIGRAM else name


def render(entry: Champion, card: Mapping[str, Any]) -> str:
    """The card of the version that `entry` promoted, as Markdown.

    Args:
        entry: the registry's record.
        card: its content: of the entry, or, where that has none, of the model's manifest (`describe`).
    """
    numbers = {"split": entry.split, **card["numbers"], "perplexity": entry.perplexity}
    parts = [
        f"# Version {entry.version}: a memory-network language model",
        f"Promoted {entry.promoted}. Licence: {card['license'] or 'none was named (`promote.license`)'}.",
        _section("Why it was promoted", [f"- {reason}" for reason in card["decision"]]),
        _section("Numbers", _table(["", ""], _number_rows(numbers, card))),
        _section("Data", _data(card["data"])),
        _section("Recipe", _table(["key", "value"], _flat(card["recipe"]))),
        _section("Limits", [f"- {limit}" for limit in card["limits"]]),
        _section("Where it comes from", _table(["", ""], _parents(entry, card))),
        _section("How to load it", _loading(entry.version)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _derived_limits(model: Manifest, content: Mapping[str, Any]) -> list[str]:
    """What holds for every model of this kind, with this one's numbers."""
    result = []
    memory = _mapping(model.config.get("model")).get("memory")
    if memory:
        result.append(f"It predicts a word from at most {memory} words before it; nothing earlier in a text counts.")
    if size := model.facts.get("vocabulary_size"):
        unknown, tokens = _mapping(content.get("challenger")).get("unknown_tokens"), content.get("tokens")
        share = f" ({unknown / tokens:.1%} of the {content['split']} split)" if unknown is not None and tokens else ""
        result.append(f"It knows {size:,} words, and takes every other for `<unk>`{share}.")
    result.append("Its numbers are of held-out text of its own corpus: other text may be much harder for it.")
    result.append("It repeats what its corpus says: nothing filters what it generates.")
    return result


def _number_rows(numbers: Mapping[str, Any], card: Mapping[str, Any]) -> list[tuple[str, str]]:
    split = numbers["split"]
    rows = [(f"Perplexity on {split}", _number(numbers["perplexity"], ",.2f"))]
    predecessor = card["predecessor"]
    labels = (
        ("comparable_perplexity", f"Comparable perplexity on {split}", ",.2f"),
        ("bits_per_character", "Bits per character", ".4f"),
        ("best_valid_perplexity", "Best perplexity on valid while it was trained", ",.2f"),
        ("tokens", f"Tokens of {split}", ",d"),
        ("vocabulary_size", "Vocabulary", ",d"),
        ("parameters", "Parameters", ",d"),
        ("bytes", "Bytes on disk", ",d"),
        ("steps", "Training steps", ",d"),
    )
    rows += [(label, _number(numbers[key], form)) for key, label, form in labels if key in numbers]
    by_character = card.get("compared") == "characters"
    key, form = ("bits_per_character", ".4f") if by_character else ("comparable_perplexity", ",.2f")
    if key in predecessor:
        name = key.replace("_", " ").capitalize()
        rows.append((f"{name} of the champion before it", _number(predecessor[key], form)))
    found = sorted(card["baselines"].items())
    rows += [(f"Baseline: {baseline_label(name)}", _number(value, ",.2f")) for name, value in found]
    return rows


def _data(data: Mapping[str, Any]) -> list[str]:
    lines = [f"Corpus fingerprint `{data['fingerprint']}`.", ""] if data["fingerprint"] else []
    if data["splits"]:
        rows = [
            (split, *(_number(found.get(key), form) for key, form in _SPLIT_COLUMNS))
            for split, found in data["splits"].items()
        ]
        lines += [*_table(["split", *(key.replace("_", " ") for key, _ in _SPLIT_COLUMNS)], rows), ""]
    return lines + (_table(["key", "value"], _flat(data["config"])) if data["config"] else [])


_SPLIT_COLUMNS = (("documents", ",d"), ("tokens", ",d"), ("types", ",d"), ("unknown_rate", ".2%"))


def _parents(entry: Champion, card: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("model", f"`{entry.model_id}`")]
    rows += [(name, f"`{identity}`") for name, identity in sorted(card["parents"].items())]
    if entry.previous is not None:
        rows.append(("champion before it", f"version {entry.previous}"))
    code = card["code"]
    rows += [("commit", f"`{code['git']}`")] if code["git"] else []
    rows.append(("made", code["created"]))
    return [*rows, ("software", ", ".join(f"{name} {version}" for name, version in sorted(code["versions"].items())))]


def _loading(version: int) -> list[str]:
    return [
        "TensorFlow alone loads it, from this folder; text goes in as it is:",
        "",
        "```python",
        "import tensorflow as tf",
        'score = tf.saved_model.load("saved_model").signatures["score"]',
        'score(text=tf.constant(["the stock market"]))["nll"]  # nats, of each word',
        "```",
        "",
        f"With hopline, `hopline score --version {version}` and `hopline generate --version {version}` use it from its",
        'registry, and in Python `hopline.load(".")` from this folder. `hopline models verify` checks the files.',
    ]


def _section(title: str, lines: Iterable[str]) -> str:
    text = "\n".join(lines).rstrip()
    return f"## {title}\n\n{text}" if text else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[_cell(cell) for cell in row] for row in rows]
    return [_row(heads), _row(["---"] * len(heads)), *map(_row, cells)] if cells else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _flat(sections: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`section.key` and value of each section's keys."""
    return [
        (f"{section}.{key}", f"`{value}`" if value != "" else "")
        for section, values in sections.items()
        for key, value in _mapping(values).items()
    ]


def _number(value: Any, form: str) -> str:
    """A number in `form`; text stands for what is not finite, and None for what was not recorded."""
    if value is None:
        return ""
    if type(value) not in (int, float):
        return str(value)
    return format(round(value) if form.endswith("d") else value, form)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
