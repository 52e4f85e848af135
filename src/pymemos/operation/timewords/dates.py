"""Dates are times that the calendar names: days, months, years, seasons and holidays."""

from __future__ import annotations

from datetime import date, timedelta

from pymemos.operation.timewords.grammar import Grain, Item, Match, Phrase, Recurring, Rule, rule
from pymemos.operation.timewords.spans import (
    HOLIDAYS,
    UNITS,
    Days,
    Unit,
    Yearly,
    containing,
    day_of_year,
    month_of_year,
    months,
    one_day,
    quarter,
    season,
    years,
)

RULES: list[Rule] = []

_VERBS = (3, 5)  # march and may, by which a verb is meant more often than not where they are in small letters
_SURELY_TIME = ("in", "since", "until", "last", "next", "past", "part")  # before a name it is a month
_PERHAPS_TIME = ("before", "after", "around", "this")  # there it is one only where no verb follows
_CLOSING = ("", "comma", "and", "to", "until", "dash", "year", "on", "in", "since")


@rule(
    RULES,
    "a|number|our|whose weekday",
    "every the? number|ordinal? unit|month|name|low|weekday|season|holiday|daypart|day",
)
def _habit(match: Match) -> Item | None:
    """'Every Friday', 'our Sunday walks', 'on a Monday' are no day that could be told."""
    if match.items[0].word.isdecimal():  # "May 8, Monday"
        return None
    return match.other()


# Days.


@rule(
    RULES,
    "from|between? the? number|ordinal dash|to|and|until the? number|ordinal of? month|name|low comma? year",
    "from|between? the? number|ordinal dash|to|and|until the? number|ordinal of? month|name|low",
    "month|name|low number|ordinal dash|to|until number|ordinal comma? year",
    "month|name|low number|ordinal dash|to|until number|ordinal",
    "month|name|low ordinal and ordinal",
)
def _days_of_a_month(match: Match) -> Item | None:
    """'3-8 May 2023', 'from 3 to 8 May', 'May 3 to 8'."""
    first, last = match.all("number", "ordinal")
    month, year = match.the("month", "name", "low"), match.one("year")
    sure = month.role != "low" or year is not None or match.one("from", "between") is not None
    if not (sure and _is_day(first) and _is_day(last)):
        return None

    def of_year(year: int) -> Days:
        begin, end = date(year, month.number, first.number), date(year, month.number, last.number)
        if end < begin:
            raise ValueError(f"{first.number} to {last.number} is no span")
        return Days(begin, one_day(end).after)

    return _dated(match, Recurring(of_year, Grain.DAY), year)


@rule(
    RULES,
    "number|ordinal of? month|name|low comma? of? year",
    "month|name|low the? number|ordinal comma? year",
    "number|ordinal of? month|name|low",
    "month|name|low the? number|ordinal",
)
def _day(match: Match) -> Item | None:
    """'8 May 2023', 'May 8th'."""
    day, month, year = match.the("number", "ordinal"), match.the("month", "name", "low"), match.one("year")
    if not _is_day(day) or (year is None and not _is_month_beside_a_day(match, month, day)):
        return None
    return _dated(match, Recurring(day_of_year(month.number, day.number), Grain.DAY), year)


def _is_day(item: Item) -> bool:
    return 1 <= item.number <= 31 and (item.role == "ordinal" or item.word.isdecimal())


def _is_month_beside_a_day(match: Match, month: Item, day: Item) -> bool:
    """Whether 'May 8' is a day, which 'May 8 people come' and 'you may 8 times' are not."""
    if month.role == "low":
        return match.before() == "on" or match.one("of") is not None or match.before() in ("comma", "the", "every")
    opening = match.items[0] is month and match.before() == ""
    return month.role == "month" or day.role == "ordinal" or not (opening and match.after() in ("other", "unit", "a"))


def _dated(match: Match, recurring: Recurring, year: Item | None) -> Item:
    """A recurring time in its year, where one is given."""
    if year is None:
        return match.comes(recurring)
    days = recurring.of(year.number)
    return match.made(Phrase(days, recurring.grain, recurring.precise, note=recurring.note))


# Months, seasons and holidays.


@rule(RULES, "month|name|low of|comma? year")
def _month_of_year(match: Match) -> Item | None:
    """'May 2023', 'May of 2023'."""
    month, year = match.the("month", "name", "low"), match.the("year")
    return match.made(Phrase(months(year.number, month.number, 1), Grain.MONTH))


@rule(RULES, "unit of month|name|low")
def _month_of(match: Match) -> Item | None:
    """'The month of June'."""
    month = match.the("month", "name", "low")
    if UNITS[match.the("unit").number] is not Unit.MONTH:
        return None
    return match.comes(Recurring(month_of_year(month.number), Grain.MONTH))


@rule(RULES, "month|name|low")
def _month(match: Match) -> Item | None:
    month = match.items[0]
    if month.role != "month" and not _is_month(match, month):
        return None
    return match.comes(Recurring(month_of_year(month.number), Grain.MONTH))


def _is_month(match: Match, month: Item) -> bool:
    """Whether a word that can also be a name or a verb is a month here."""
    before, after = match.before(), match.after()
    verb = month.role == "low" or (month.number in _VERBS and match.reading.caseless)
    if month.role == "low" and month.number in _VERBS and not match.reading.caseless:
        return False
    if before == "dash" and match.before(2) == "part":
        return True
    if before in _SURELY_TIME or (before in ("and", "to", "until") and match.before(2) in ("month", "yearly")):
        return True
    ranged = after in ("and", "to", "until", "dash") and (
        before in ("from", "between") or (after != "and" and match.after(2) in ("month", "name", "yearly", "phrase"))
    )
    whole = before == "of" and match.before(2) in ("unit", "weekday", "half")
    return ranged or whole or (before in _PERHAPS_TIME and not (verb and before == "this") and after in _CLOSING)


@rule(RULES, "season|quarter of|comma? year", "season|quarter")
def _season(match: Match) -> Item | None:
    """'Summer 2022', 'in the summer', 'Q2 2023'; 'spring rolls' and 'a winter coat' are something else."""
    year, item = match.one("year"), match.items[0]
    if year is None and not _is_time(match, "on"):
        return None
    if item.role == "quarter":
        return _dated(match, Recurring(quarter(item.number), Grain.SEASON), year)
    return _dated(match, Recurring(season(item.number), Grain.SEASON, precise=False), year)


@rule(RULES, "holiday unit|daypart of|comma? year", "holiday of|comma? year", "holiday unit|daypart", "holiday")
def _holiday(match: Match) -> Item | None:
    """'Christmas 2022', 'at Christmas', 'Easter weekend'; 'a Christmas tree' is something else."""
    year, unit, holiday = match.one("year"), match.one("unit"), HOLIDAYS[match.items[0].number]
    if unit is not None:
        return _holiday_unit(match, holiday, UNITS[unit.number], year)
    if year is None and match.one("daypart") is None and not _is_time(match, "on", "by", "and", "to"):
        return None
    return _dated(match, Recurring(holiday, Grain.DAY), year)


def _holiday_unit(match: Match, holiday: Yearly, unit: Unit, year: Item | None) -> Item | None:
    """The week of a holiday, or the weekend beside it, which is before one on a Monday."""
    if unit not in (Unit.WEEK, Unit.WEEKEND):
        return None

    def beside(year: int) -> Days:
        day = holiday(year).first
        return containing(unit, day - timedelta(days=1 if unit is Unit.WEEKEND and not day.weekday() else 0))

    return _dated(match, Recurring(beside, Grain.WEEK if unit is Unit.WEEK else Grain.DAY), year)


def _is_time(match: Match, *more: str) -> bool:
    """Whether a season or a holiday is when something was, and not what it was about."""
    fitting = (*_SURELY_TIME, *_PERHAPS_TIME, "over", "from", "between", "ago of", *more)
    before = match.before()
    if match.after() == "passed" or (match.after(), match.after(2)) == ("before", "last"):
        return True
    if before == "of":
        return match.before(2) in ("part", "unit", "weekday", "half", "ordinal")
    if before == "the":
        return match.before(2) in ("in", "on", "over", "since", "until", "before", "after", "by", "part", "around")
    return before in fitting and before != "the"


@rule(RULES, "yearly of|in|comma? year")
def _of_year(match: Match) -> Item | None:
    """'Her birthday in 2023', 'early June 2023'."""
    recurring = match.items[0].recurring
    return _dated(match, recurring, match.the("year")) if recurring else None


# Years.


@rule(RULES, "unit? year")
def _year(match: Match) -> Item | None:
    """'In 2022', 'the year 2022', 'her 2022 marathon'; '2000 people' and 'room 2021' are something else."""
    unit, year = match.one("unit"), match.the("year")
    named = unit is not None and UNITS[unit.number] is Unit.YEAR
    if not named and (unit is not None or not _is_year(match)):
        return None
    return match.made(Phrase(years(year.number, 1), Grain.YEAR))


def _is_year(match: Match) -> bool:
    before, after, year = match.before(), match.after(), match.items[0]
    if "dash" in (before, after) and {"year", "phrase"} & {match.before(2), match.after(2)}:
        return True
    if "dash" in (before, after) or before in ("from", "to", "until", "between", "and"):
        return after != "other" or before == "until"
    if before in ("in", "since", "before", "after", "by", "around", "part", "over"):
        return after != "other" or bool(year.number % 1000)
    return (before == "of" and after != "other") or (before in ("of", "whose", "the") and bool(year.number % 100))


@rule(RULES, "year")
def _no_year(match: Match) -> Item | None:
    return match.other()
