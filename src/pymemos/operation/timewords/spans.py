"""Spans are runs of whole days, and the calendar arithmetic that makes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import NamedTuple

EARLIEST, LATEST = date.min, date.max  # the open ends

_DAY = timedelta(days=1)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


class Unit(StrEnum):
    """What time is counted in."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEKEND = "weekend"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    SEASON = "season"
    YEAR = "year"
    DECADE = "decade"


UNITS = tuple(Unit)
CLOCK = (Unit.MINUTE, Unit.HOUR)  # shorter than a span can be


class Days(NamedTuple):
    """The days from ``first`` up to, but without, ``after``."""

    first: date
    after: date


Yearly = Callable[[int], Days]  # what comes every year, by the year that it begins in; ValueError in one without it


# One unit of time.


def one_day(day: date) -> Days:
    """A single day."""
    return Days(day, day + _DAY)


def containing(unit: Unit, day: date) -> Days:
    """The unit of the calendar that the day is in; weeks begin on Monday, and a weekend is the one of the week."""
    match unit:
        case Unit.WEEK | Unit.WEEKEND:
            monday = day - timedelta(days=day.weekday())
            return Days(monday + timedelta(days=5 if unit is Unit.WEEKEND else 0), monday + timedelta(days=7))
        case Unit.MONTH:
            return months(day.year, day.month, 1)
        case Unit.QUARTER:
            return months(day.year, day.month - (day.month - 1) % 3, 3)
        case Unit.SEASON:
            return months(day.year, day.month - day.month % 3, 3)
        case Unit.YEAR:
            return years(day.year, 1)
        case Unit.DECADE:
            return years(day.year - day.year % 10, 10)
        case _:
            return one_day(day)


def months(year: int, month: int, count: int) -> Days:
    """So many months from the first day of that one; month 13 is January of the year after."""
    return Days(_first_of(year, month), _first_of(year, month + count))


def years(year: int, count: int) -> Days:
    """So many years from the first day of that one."""
    return months(year, 1, 12 * count)


def shifted(day: date, count: int, unit: Unit) -> date:
    """The day that many units later; the last of the month where the month has no such day."""
    match unit:
        case Unit.DAY:
            return day + timedelta(days=count)
        case Unit.WEEK | Unit.WEEKEND:
            return day + timedelta(weeks=count)
        case Unit.MONTH | Unit.QUARTER | Unit.SEASON:
            first, after = months(day.year, day.month + count * (1 if unit is Unit.MONTH else 3), 1)
            return min(first + timedelta(days=day.day - 1), after - _DAY)
        case Unit.YEAR | Unit.DECADE:
            return shifted(day, count * (12 if unit is Unit.YEAR else 120), Unit.MONTH)
        case _:
            return day


def counted(day: date, count: int, unit: Unit) -> Days:
    """What lies that many units from the day, as people mean it.

    Days are exact. A week is the one around the day, for two weeks ago is fourteen days give or take a few. Longer
    units are those of the calendar.
    """
    there = shifted(day, count, unit)
    if unit is Unit.WEEK:
        return around(one_day(there), 3)
    return containing(unit, there)


def around(days: Days, more: int) -> Days:
    """The span and so many days more on either side."""
    return Days(days.first - timedelta(days=more), days.after + timedelta(days=more))


def within(day: date, days: Days) -> bool:
    """Whether the day is in the span."""
    return days.first <= day < days.after


# What comes every year.


def month_of_year(month: int) -> Yearly:
    """A month, in every year."""
    return lambda year: months(year, month, 1)


def day_of_year(month: int, day: int) -> Yearly:
    """A day of a month, in every year that has it."""
    return lambda year: one_day(date(year, month, day))


def season(number: int) -> Yearly:
    """A season of the north, of whole months: spring is 0; the winter of a year begins in its December."""
    return lambda year: months(year, 3 + 3 * number, 3)


def quarter(number: int) -> Yearly:
    """A quarter, of which the first is 1, in every year."""
    return lambda year: months(year, 3 * number - 2, 3)


def in_year(yearly: Yearly, day: date) -> Days:
    """The one of the day's year, or the one that the day is in where that began the year before."""
    before = yearly(day.year - 1)
    return before if within(day, before) else yearly(day.year)


def latest(yearly: Yearly, today: date, *, over: bool = False) -> Days:
    """The last one that has begun, or that is over."""
    found = [days for days in _occurrences(yearly, today) if (days.after if over else days.first) <= today]
    return max(found)  # a ValueError, where there is none in any year


def soonest(yearly: Yearly, today: date, *, begun: bool = True) -> Days:
    """The first one that is not over yet, or that has not begun."""
    return min(days for days in _occurrences(yearly, today) if (days.after if begun else days.first) > today)


def _occurrences(yearly: Yearly, today: date) -> list[Days]:
    found = []
    for year in range(today.year - 9, today.year + 10):  # eight years can pass between two 29ths of February
        try:
            found.append(yearly(year))
        except (ValueError, OverflowError):
            continue
    return found


# Weekdays.


def weekday_before(day: date, weekday: int) -> date:
    """The last such weekday before the day."""
    return day - timedelta(days=(day.weekday() - weekday - 1) % 7 + 1)


def weekday_after(day: date, weekday: int) -> date:
    """The first such weekday after the day."""
    return day + timedelta(days=(weekday - day.weekday() - 1) % 7 + 1)


def nth_weekday(days: Days, number: int, weekday: int) -> date:
    """The first (1), second or last (-1) such weekday of a span; it may lie outside of a short one."""
    if number < 0:
        return weekday_before(days.after, weekday) - timedelta(weeks=-number - 1)
    return weekday_after(days.first - _DAY, weekday) + timedelta(weeks=number - 1)


# Holidays.


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher."""
    golden, (century, rest) = year % 19, divmod(year, 100)
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _floating(month: int, number: int, weekday: int, more: int = 0) -> Yearly:
    def day(year: int) -> Days:
        return one_day(nth_weekday(months(year, month, 1), number, weekday) + timedelta(days=more))

    return day


def _by_easter(more: int) -> Yearly:
    return lambda year: one_day(easter(year) + timedelta(days=more))


# Where countries differ, as in the United States, whose days most English texts mean.
HOLIDAYS: tuple[Yearly, ...] = (
    day_of_year(12, 25),  # 0 Christmas
    day_of_year(12, 24),  # 1 Christmas Eve
    day_of_year(12, 26),  # 2 Boxing Day
    day_of_year(12, 31),  # 3 New Year's Eve
    day_of_year(1, 1),  # 4 New Year's Day
    day_of_year(10, 31),  # 5 Halloween
    day_of_year(2, 14),  # 6 Valentine's Day
    day_of_year(7, 4),  # 7 Fourth of July
    _floating(11, 4, 3),  # 8 Thanksgiving
    _by_easter(0),  # 9 Easter
    _by_easter(-2),  # 10 Good Friday
    _by_easter(1),  # 11 Easter Monday
    _floating(5, 2, 6),  # 12 Mother's Day
    _floating(6, 3, 6),  # 13 Father's Day
    _floating(9, 1, 0),  # 14 Labor Day
    _floating(5, -1, 0),  # 15 Memorial Day
    _floating(11, 4, 3, 1),  # 16 Black Friday
    _floating(11, 4, 3, 4),  # 17 Cyber Monday
    day_of_year(3, 17),  # 18 St Patrick's Day
    day_of_year(4, 1),  # 19 April Fools' Day
    day_of_year(6, 19),  # 20 Juneteenth
    day_of_year(11, 11),  # 21 Veterans Day
    _floating(1, 3, 0),  # 22 Martin Luther King Day
    _by_easter(49),  # 23 Pentecost
    day_of_year(1, 6),  # 24 Epiphany
    day_of_year(11, 1),  # 25 All Saints
    day_of_year(12, 6),  # 26 Saint Nicholas
    _by_easter(-47),  # 27 Shrove Tuesday
    _floating(2, 3, 0),  # 28 Presidents' Day
    day_of_year(4, 22),  # 29 Earth Day
    day_of_year(5, 5),  # 30 Cinco de Mayo
    _by_easter(-46),  # 31 Ash Wednesday
)


# Parts of a span.


class Part(StrEnum):
    """A part of a span: a third, or nearer to its ends."""

    EARLY = "early"
    MIDDLE = "middle"
    LATE = "late"
    BEGINNING = "beginning"
    END = "end"


def part_of(days: Days, part: Part) -> Days:
    """The part that people mean: ten days of a month, four months of a year, two of them at its ends.

    No calendar says so (the shares are ours), hence whoever uses this marks it as an estimate.
    """
    (first, after), near = days, part in (Part.BEGINNING, Part.END)
    count = 12 * (after.year - first.year) + after.month - first.month
    if count > 1 and first.day == after.day == 1:
        share = max(1, count // (6 if near else 3))
        skipped = {Part.MIDDLE: count // 3, Part.LATE: count - share, Part.END: count - share}.get(part, 0)
        return months(first.year, first.month + skipped, share)
    third = timedelta(days=min(10, (after - first).days // 3))
    if not third:
        return days
    match part:
        case Part.EARLY | Part.BEGINNING:
            return Days(first, first + third)
        case Part.MIDDLE:
            return Days(first + third, first + 2 * third)
        case _:
            return Days(first + 2 * third, after)


# Names.


def day_name(day: date) -> str:
    """A day as people write it."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def span_name(days: Days) -> str:
    """A span as people write it, by the largest units that it consists of."""
    first, last = days.first, days.after - _DAY
    if days.first == EARLIEST:
        return f"any time before {day_name(days.after)}"
    if days.after == LATEST:
        return f"any time from {day_name(first)} on"
    if first.day == 1 and days.after.day == 1:
        if first.month == 1 and days.after.month == 1:
            return _joined(str(first.year), str(last.year))
        return _joined(f"{_MONTHS[first.month - 1]} {first.year}", f"{_MONTHS[last.month - 1]} {last.year}")
    return _joined(day_name(first), day_name(last))


def _joined(first: str, last: str) -> str:
    """'3 to 9 May 2025' rather than '3 May 2025 to 9 May 2025'."""
    if first == last:
        return first
    ours, theirs = first.split(), last.split()
    while ours and theirs and len(ours) > 1 and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    return f"{' '.join(ours)} to {last}"


@cache
def _first_of(year: int, month: int) -> date:
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
