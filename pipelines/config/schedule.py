"""The section [schedule]: when a cluster runs the pipeline by itself."""

from dataclasses import dataclass

from hopline.config.section import Section, require
from pipelines.config.cron import Cron


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Section):
    """A schedule on a server.  No step reads this section."""

    name = "schedule"

    display_name: str = ""  # by which `hopline schedule` finds it on the server
    cron: str = ""  # six fields, the first are seconds: see pipelines/config/cron.py; "" for no schedule
    paused: bool = False

    def __post_init__(self) -> None:
        require(
            bool(self.display_name) == bool(self.cron),
            "schedule.display_name and schedule.cron go together, but only one is set",
            'set both, for example display_name = "retraining" and cron = "0 30 3 * * 1-5"',
        )
        if self.cron:
            Cron.parse(self.cron)
