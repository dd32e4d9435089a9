"""The section [promote]: what a model's card says besides what was measured."""

from dataclasses import dataclass

from hopline.config.section import Section


@dataclass(frozen=True, kw_only=True)
class PromoteConfig(Section):
    """What a model's card says besides what was measured.

    Neither changes what is trained, so neither is in a section that a trained model depends on.
    """

    name = "promote"

    license: str = ""  # under which the model may be used, such as "Apache-2.0"; "" for none named
    limits: tuple[str, ...] = ()  # sentences on what the model is not for
