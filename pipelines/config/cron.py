"""When a schedule fires: the expressions of github.com/robfig/cron v1.2.0, by which Kubeflow Pipelines 2 reads them.

Six fields: second, minute, hour, day of the month, month, day of the week (0 is Sunday).  A field is a list of values,
ranges and steps, as in `0,15-30/5`; `N/step` goes up to the field's end, `?` is `*`, months and days have names.
If neither field of the day has a `*`, a day that satisfies one of them will do; otherwise it must satisfy both, and
`*/2` has a `*`.  What is accepted here the server accepts, and takes to mean the same; it accepts more.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from hopline.runtime.errors import UserError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *", "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *", "@midnight": "0 0 0 * * *", "@hourly": "0 0 * * * *",
}  # fmt: skip
_YEARS = 5  # that the server looks ahead
_CYCLE = range(2001, 2001 + 28 + _YEARS)
_EXAMPLE = 'write, for example, "0 30 3 * * 1-5": at 03:30:00, Monday to Friday'
_PART = re.compile(r"(?:(?P<star>[*?])|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]+))?", re.ASCII)


@dataclass(frozen=True)
class _Field:
    """One of the six fields: what it is called, its bounds, and the names of its values from the lowest on."""

    title: str
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _DAYS),
)


@dataclass(frozen=True)
class Cron:
    """A parsed expression: the values of each field, in order, and whether a `*` was among those of a day."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    any_day: bool

    @classmethod
    def parse(cls, expression: str) -> "Cron":
        """Reads `expression`.

        Raises:
            UserError: it is none, has five fields, or names no time that ever comes.
        """
        if expression.startswith("@every"):
            raise UserError(
                f'the cron expression "{expression}" counts from when a schedule is made, and a change makes it anew',
                remedy='name fixed times, such as "0 0 */6 * * *" for every six hours',
            )
        words = _DESCRIPTORS.get(expression, expression).split()
        if len(words) == len(_FIELDS) - 1:
            raise UserError(
                f'the cron expression "{expression}" has 5 fields, but Kubeflow\'s has 6: it would take minutes '
                "for seconds, hours for minutes, and so on",
                remedy=f'begin with the seconds: "0 {" ".join(words)}"',
            )
        if len(words) != len(_FIELDS):
            raise UserError(f'the cron expression "{expression}" does not have 6 fields', remedy=_EXAMPLE)
        seconds, minutes, hours, days, months, weekdays = map(_values, words, _FIELDS)
        cron = cls(seconds, minutes, hours, days, months, weekdays, any_day=bool(set("*?") & {*words[3], *words[5]}))
        # For a day that is too far away Kubeflow's controller looks for ever, and starts no other schedule's runs.
        if not cron._comes_again():
            raise UserError(
                f'the cron expression "{expression}" names a day that does not come every {_YEARS} years',
                remedy=_EXAMPLE,
            )
        return cron

    def next(self, after: datetime) -> datetime | None:
        """The first time later than `after`; None if there is none up to the end of the fifth year from then."""
        start = after.replace(microsecond=0) + timedelta(seconds=1)
        earliest = (start.hour, start.minute, start.second)
        for day in _days(start.date(), start.year + _YEARS):
            if self._includes(day):
                for at in itertools.product(self.hours, self.minutes, self.seconds):
                    if at >= earliest:
                        return datetime.combine(day, time(*at), start.tzinfo)
            earliest = (0, 0, 0)
        return None

    def upcoming(self, after: datetime, count: int) -> list[datetime]:
        """The next `count` times later than `after`, fewer if the server would find no more."""
        times: list[datetime] = []
        while len(times) < count and (found := self.next(times[-1] if times else after)):
            times.append(found)
        return times

    def _comes_again(self) -> bool:
        """Whether there is a next time at any time: in 28 years every date has been every day of the week."""
        last = _CYCLE[0]
        for year in _CYCLE:
            if any(self._includes(day) for day in _days(date(year, 1, 1), year)):
                last = year
            if year - last >= _YEARS:
                return False
        return True

    def _includes(self, day: date) -> bool:
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (in_month and in_week if self.any_day else in_month or in_week)


def _days(first: date, year: int) -> Iterator[date]:
    """Every day from `first` to the end of `year`."""
    return (date.fromordinal(n) for n in range(first.toordinal(), date(year + 1, 1, 1).toordinal()))


def _values(text: str, field: _Field) -> tuple[int, ...]:
    """The values that `text` names, in order."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise UserError(f'"{part}" is no value of the {field.title} in a cron expression', remedy=_EXAMPLE)
        first, last = field.least, field.most
        if not match["star"]:
            first = _number(match["first"], field)
            last = _number(match["last"], field) if match["last"] else first
            if match["step"] and not match["last"]:
                last = field.most
        step = int(match["step"] or 1)
        if first > last or step == 0:
            raise UserError(f'"{part}" names no {field.title} in a cron expression', remedy=_EXAMPLE)
        found.update(range(first, last + 1, step))
    return tuple(sorted(found))


def _number(word: str, field: _Field) -> int:
    """The number that `word`, digits or a name, stands for."""
    if word.lower() in field.names:
        return field.least + field.names.index(word.lower())
    number = int(word) if re.fullmatch("[0-9]+", word) else -1
    if not field.least <= number <= field.most:
        named = f", or one of {', '.join(field.names)}" if field.names else ""
        raise UserError(
            f'"{word}" is no {field.title} in a cron expression',
            remedy=f"the {field.title} is a number from {field.least} to {field.most}{named}",
        )
    return number
