"""Cron expressions mean what Kubeflow's server takes them to mean."""

from datetime import UTC, datetime

import pytest

from hopline.runtime.errors import UserError
from pipelines.config.cron import Cron

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)  # a Saturday


# What github.com/robfig/cron v1.2.0 itself said.
@pytest.mark.parametrize(
    ("expression", "first", "second", "third"),
    [
        ("0 0 3 * * *", "2026-11-22 03:00:00", "2026-11-23 03:00:00", "2026-11-24 03:00:00"),
        ("30 15 10 * * *", "2026-11-22 10:15:30", "2026-11-23 10:15:30", "2026-11-24 10:15:30"),
        ("0 30 14 * * *", "2026-11-22 14:30:00", "2026-11-23 14:30:00", "2026-11-24 14:30:00"),
        ("* * * * * *", "2026-11-21 14:30:01", "2026-11-21 14:30:02", "2026-11-21 14:30:03"),
        ("*/7 * * * * *", "2026-11-21 14:30:07", "2026-11-21 14:30:14", "2026-11-21 14:30:21"),
        ("50/3 * * * * *", "2026-11-21 14:30:50", "2026-11-21 14:30:53", "2026-11-21 14:30:56"),
        ("0 */20 9-17 * * 1-5", "2026-11-23 09:00:00", "2026-11-23 09:20:00", "2026-11-23 09:40:00"),
        ("0 5-50/15,59 * * * *", "2026-11-21 14:35:00", "2026-11-21 14:50:00", "2026-11-21 14:59:00"),
        ("0 0 0 1 * *", "2026-12-01 00:00:00", "2027-01-01 00:00:00", "2027-02-01 00:00:00"),
        ("0 0 0 31 * *", "2026-12-31 00:00:00", "2027-01-31 00:00:00", "2027-03-31 00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"),
        ("0 0 0 29 feb ?", "2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"),
        ("0 0 12 ? * MON-fri", "2026-11-23 12:00:00", "2026-11-24 12:00:00", "2026-11-25 12:00:00"),
        ("0 0 12 * * 0", "2026-11-22 12:00:00", "2026-11-29 12:00:00", "2026-12-06 12:00:00"),
        ("0 0 12 * jan,Jul Sun", "2027-01-03 12:00:00", "2027-01-10 12:00:00", "2027-01-17 12:00:00"),
        ("0 0 0 13 * 5", "2026-11-27 00:00:00", "2026-12-04 00:00:00", "2026-12-11 00:00:00"),
        ("0 0 0 13 * */5", "2026-12-13 00:00:00", "2027-06-13 00:00:00", "2027-08-13 00:00:00"),
        ("0 0 0 */10 * 1", "2026-12-21 00:00:00", "2027-01-11 00:00:00", "2027-02-01 00:00:00"),
        ("0 0 0 1-7 * 1", "2026-11-23 00:00:00", "2026-11-30 00:00:00", "2026-12-01 00:00:00"),
        ("0 0 0 1,* * 1", "2026-11-23 00:00:00", "2026-11-30 00:00:00", "2026-12-07 00:00:00"),
        ("0 0 0 30/1 * *", "2026-11-30 00:00:00", "2026-12-30 00:00:00", "2026-12-31 00:00:00"),
        ("59 59 23 31 12 *", "2026-12-31 23:59:59", "2027-12-31 23:59:59", "2028-12-31 23:59:59"),
        ("0 0 03 * * 06", "2026-11-28 03:00:00", "2026-12-05 03:00:00", "2026-12-12 03:00:00"),
        ("0 0 0 10 */5 *", "2027-01-10 00:00:00", "2027-06-10 00:00:00", "2027-11-10 00:00:00"),
        ("  0 0  3 * * * ", "2026-11-22 03:00:00", "2026-11-23 03:00:00", "2026-11-24 03:00:00"),
        ("@daily", "2026-11-22 00:00:00", "2026-11-23 00:00:00", "2026-11-24 00:00:00"),
        ("@midnight", "2026-11-22 00:00:00", "2026-11-23 00:00:00", "2026-11-24 00:00:00"),
        ("@hourly", "2026-11-21 15:00:00", "2026-11-21 16:00:00", "2026-11-21 17:00:00"),
        ("@weekly", "2026-11-22 00:00:00", "2026-11-29 00:00:00", "2026-12-06 00:00:00"),
        ("@monthly", "2026-12-01 00:00:00", "2027-01-01 00:00:00", "2027-02-01 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"),
        ("@annually", "2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"),
    ],
)
def test_an_expression_fires_when_the_servers_library_says(expression, first, second, third):
    assert [f"{time:%Y-%m-%d %H:%M:%S}" for time in Cron.parse(expression).upcoming(NOW, 3)] == [first, second, third]


def test_the_next_time_is_later_than_a_time_between_two_seconds():
    after = NOW.replace(microsecond=999_999)
    assert Cron.parse("* * * * * *").next(after) == NOW.replace(second=1)


@pytest.mark.parametrize(
    "expression",
    [
        "", "* *", "* * * * * * *", "60 * * * * *", "* 60 * * * *", "* * 24 * * *", "* * * 0 * *", "* * * 32 * *",
        "* * * * 0 *", "* * * * 13 *", "* * * * * 7", "* * * * * -1", "*/0 * * * * *", "5-2 * * * * *",
        "1-2-3 * * * * *", "1/2/3 * * * * *", "a * * * * *", "* * * mon * *", "* * * * foo *", "1.5 * * * * *",
        "² * * * * *", "0 0 0 L * *", "0 0 0 * * 1#2", "0 0 0 15W * *", "@never", "@Daily", "@every",
    ],
)  # fmt: skip
def test_what_the_server_refuses_is_refused(expression):
    with pytest.raises(UserError):
        Cron.parse(expression)


@pytest.mark.parametrize("expression", ["1,,2 * * * * *", ", * * * * *", "*-5 * * * * *", "+5 * * * * *", "@every 6h"])
def test_what_the_server_accepts_by_accident_is_refused(expression):
    with pytest.raises(UserError):
        Cron.parse(expression)


@pytest.mark.parametrize(("crontab", "remedy"), [("0 3 * * *", "0 0 3 * * *"), ("*/5  * * * 1", "0 */5 * * * 1")])
def test_five_fields_are_refused_and_the_sixth_is_suggested(crontab, remedy):
    with pytest.raises(UserError, match="5 fields") as caught:
        Cron.parse(crontab)
    assert f'"{remedy}"' in caught.value.remedy
    Cron.parse(remedy)


@pytest.mark.parametrize("expression", ["0 0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "0 0 0 29 2 */7", "0 0 0 7 3 */7"])
def test_a_day_for_which_the_server_would_look_for_ever_is_refused(expression):
    with pytest.raises(UserError, match="does not come"):
        Cron.parse(expression)


@pytest.mark.parametrize("expression", ["0 0 0 29 2 *", "0 0 0 29 2 0", "0 0 0 13 * */5"])
def test_a_rare_day_that_keeps_coming_is_accepted(expression):
    assert len(Cron.parse(expression).upcoming(NOW, 5)) == 5
