"""The section [resolve]: what `resolve` may decide."""

from dataclasses import dataclass

from hopline.config.section import Section


@dataclass(frozen=True, kw_only=True)
class ResolveConfig(Section):
    """What `resolve` may decide."""

    name = "resolve"

    skip_unchanged: bool = False  # skip training when the champion was trained on this very corpus
