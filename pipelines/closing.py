"""What `hopline run` says at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from hopline.registry.registry import Registry
from hopline.runtime.errors import ExitCode, HoplineError
from pipelines.output import Output
from pipelines.run import Run

_TAIL_LINES = 30
_KNESER_NEY = "kneser_ney_"  # and the order: a key of the evaluation's baselines
_MODELS = (("challenger", "challenger_perplexity"), ("champion", "champion_perplexity"))


def print_result(run: Run, output: Output, console: Console) -> None:
    """Prints perplexities, the decision with its reasons, and where things lie."""
    rows: list[tuple[str, str]] = []
    if facts := run.evaluation:
        rows += decision_rows(facts)
        model = _shown(f"{run.place}/model")
        rows += [("model", model), ("curve", f"{model}/curve.png"), ("attention", f"{model}/attention.png")]
        rows += [("data", _shown(f"{run.place}/examples/report.html"))]
        rows += [("report", _shown(f"{run.place}/evaluation/report.html"))]
    else:
        rows += [skipped_row(run.resolution)]
    registry = Registry(output.registry)
    champion = registry.champion()
    rows += [("registry", _shown(registry.location(champion.version)) if champion else "no champion yet")]
    rows += sample_rows((run.evaluation or {}).get("samples", {}))
    print_rows(rows, console)


def decision_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Perplexities and the decision with its reasons, from the facts of an evaluation."""
    beside = _baselines(facts.get("baselines", {}))
    rows = [
        (name, f"perplexity {_number(facts[key])} on {facts['split']}{beside if name == 'challenger' else ''}")
        for name, key in _MODELS
        if key in facts
    ]
    verb = "promoted" if facts["decision"] == "promote" else "rejected: the champion stays as it was"
    return [*rows, ("decision", verb), *(("", reason) for reason in facts["reasons"])]


def sample_rows(samples: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Continuations of held-out beginnings, and a sentence with the likeliest words at each place."""
    rows = [
        ("writes" if number == 0 else "", " ".join(f"{beginning} >> {drawn}".split()))
        for number, (beginning, drawn) in enumerate(samples.get("continuations", []))
    ]
    for number, (word, likeliest) in enumerate(samples.get("likeliest", [])):
        text = ", ".join(f"{likely} {share:.0%}" for likely, share in likeliest)
        rows.append(("expects" if number == 0 else "", f"{word:<16} {text}"))
    return rows


def _baselines(perplexities: Mapping[str, Any]) -> str:
    """What the training text alone predicts: its word frequencies, and the best of its n-grams."""
    parts = []
    if "unigram" in perplexities:
        parts.append(f"word frequencies alone {_number(perplexities['unigram'], 0)}")
    grams = {key: value for key, value in perplexities.items() if key.startswith(_KNESER_NEY)}
    finite = {key: value for key, value in grams.items() if not isinstance(value, str)}
    if finite:
        best = min(finite, key=lambda key: finite[key])
        parts.append(f"Kneser-Ney {best.removeprefix(_KNESER_NEY)}-gram {_number(finite[best], 0)}")
    return "; " + ", ".join(parts) if parts else ""


def _number(value: float | str, digits: int = 1) -> str:
    """A perplexity; a string stands for one that is not finite."""
    return value if isinstance(value, str) else f"{value:.{digits}f}"


def skipped_row(resolution: Mapping[str, str]) -> tuple[str, str]:
    """Why nothing was trained, from the content of resolution.json."""
    return "skipped", f"nothing was trained: {resolution.get('reason', '')}"


def print_failure(error: HoplineError, log: Path, console: Console) -> None:
    """Prints the error, its remedy and where the log is; of an internal one the log's last lines as well."""
    if error.code == ExitCode.INTERNAL:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        console.print(Text.from_ansi("\n".join(["the log ends:", *tail]), style="dim"), soft_wrap=True)
    print_rows([("error", error.message), ("remedy", error.remedy), ("log", _shown(str(log)))], console)


def print_rows(rows: list[tuple[str, str]], console: Console) -> None:
    """Prints name and text, aligned; a line is never cut or folded, so that a path can be copied."""
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        line = Text.assemble((f"{name}:".ljust(width + 1) if name else " " * (width + 1), "bold"), "  ", text)
        console.print(line, soft_wrap=True)


def _shown(place: str) -> str:
    """A path from the current folder if it is below; any other, and a URI, whole."""
    return place.removeprefix(f"{Path.cwd()}/")
