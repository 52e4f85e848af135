"""Relative times are counted from the day that the words were said: yesterday, last May, two weeks ago."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from pymemos.operation.timewords.grammar import Grain, Item, Match, Phrase, Recurring, Rule, grain_of, rule
from pymemos.operation.timewords.spans import (
    CLOCK,
    HOLIDAYS,
    UNITS,
    Days,
    Unit,
    around,
    containing,
    counted,
    in_year,
    latest,
    one_day,
    season,
    shifted,
    soonest,
    weekday_after,
    weekday_before,
    within,
)

RULES: list[Rule] = []
LATER: list[Rule] = []  # these go behind those that put a part and its whole together, as "the last week of May"

_VAGUE = {1: (1, 3), 2: (2, 5), 3: (3, 8)}  # ours: a couple, a few and several are so many at least and at most
_CALENDAR = (Unit.WEEKEND, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.SEASON, Unit.YEAR, Unit.DECADE)
_RECENTLY = {Unit.DAY: 7, Unit.WEEK: 30, Unit.MONTH: 90, Unit.YEAR: 1095}  # ours, in days


def _relative(match: Match, days: Days, grain: Grain, *, precise: bool = True, note: str = "") -> Item:
    return match.made(Phrase(days, grain, precise, relative=True, note=note))


def _unit(match: Match) -> Unit:
    return UNITS[match.the("unit").number]


# Counted from today.


@rule(RULES, "weekday daypart")
def _part_of_weekday(match: Match) -> Item | None:
    """'Friday night' is Friday."""
    return match.items[0]._replace(end=match.items[-1].end)


@rule(
    RULES,
    "about|over? number|a unit ago day",
    "number|a unit ago on? weekday",
    "about|over? number|a unit and_a_half ago|back",
    "about|over? half unit ago|back",
    "about|over? number|a|vague unit ago|back",
    "ago_of about? number|a|vague unit",
)
def _ago(match: Match) -> Item | None:
    """'Two weeks ago', 'about half a year ago', 'a year ago today', 'a week ago on Friday'."""
    unit, vague = _unit(match), match.one("vague")
    sure = match.one("about", "over") is None
    if match.one("half", "and a half"):
        return _half_ago(match, sure=sure)
    if vague is not None:
        return _relative(match, _vague(match, -1, vague.number, unit), grain_of(unit), precise=False)
    count = match.one("number")
    return _counted(match, -(count.number if count else 1), unit, sure=sure)


def _counted(match: Match, count: int, unit: Unit, *, sure: bool) -> Item | None:
    """So many units from now; with a weekday, the one of that time."""
    if unit in CLOCK:
        return _relative(match, one_day(_clock(match, count, unit)), Grain.DAY, precise=sure)
    weekday, days = match.one("weekday"), counted(match.today, count, unit)
    if weekday is not None:
        there = days.first + timedelta(days=(weekday.number - days.first.weekday()) % 7)
        return _relative(match, one_day(there), Grain.DAY) if unit is Unit.WEEK else None
    if (today := match.one("day")) is not None:
        there = shifted(match.today, count, unit)
        return None if today.number else _relative(match, one_day(there), Grain.DAY)
    if unit is Unit.WEEKEND:
        days = containing(unit, shifted(match.today, count, unit))
    return _relative(match, days, grain_of(unit), precise=sure)


def _clock(match: Match, count: int, unit: Unit) -> date:
    """The day that it was, or will be, so many hours or minutes from now."""
    return (match.reading.now + count * (timedelta(hours=1) if unit is Unit.HOUR else timedelta(minutes=1))).date()


def _half_ago(match: Match, *, sure: bool) -> Item | None:
    months = {Unit.YEAR: 12, Unit.DECADE: 120}.get(_unit(match))
    if months is None:
        return None
    count = match.one("number", "a")
    whole = 0 if count is None or match.one("half") else (count.number or 1)
    return _relative(
        match, counted(match.today, -(whole * months + months // 2), Unit.MONTH), Grain.MONTH, precise=sure
    )


def _vague(match: Match, sign: int, vague: int, unit: Unit) -> Days:
    """From the least to the most that a vague number of units can be."""
    ends = sorted(sign * count for count in _VAGUE[vague])
    if unit in (Unit.MONTH, Unit.YEAR, Unit.DECADE, Unit.WEEKEND):
        first, last = (containing(unit, shifted(match.today, count, unit)) for count in ends)
        return Days(first.first, last.after)
    first_day, last_day = (shifted(match.today, count, unit) for count in ends)
    return Days(first_day, one_day(last_day).after)


@rule(RULES, "day daypart?")
def _day(match: Match) -> Item | None:
    """'Yesterday', 'tomorrow morning'."""
    day = match.today + timedelta(days=match.items[0].number)
    return _relative(match, one_day(day), Grain.DAY)


@rule(RULES, "number weekdays ago", "number seasons|holidays ago")
def _ago_by_name(match: Match) -> Item | None:
    """'Two Fridays ago', 'two summers ago'."""
    count, named = match.the("number").number, match.the("weekdays", "seasons", "holidays")
    if named.role == "weekdays":
        before = weekday_before(match.today, named.number)
        return _relative(match, one_day(before - timedelta(weeks=count - 1)), Grain.DAY)
    is_season = named.role == "seasons"
    yearly = season(named.number) if is_season else HOLIDAYS[named.number]
    last = latest(yearly, match.today, over=True)
    days = yearly(last.first.year - count + 1)
    return _relative(match, days, Grain.SEASON if is_season else Grain.DAY, precise=not is_season)


@rule(RULES, "number|a|vague unit hence", "in number|a|vague unit")
def _hence(match: Match) -> Item | None:
    """'Two weeks from now'; 'in two weeks' only where something is to come, else it is how long something took."""
    unit, vague = _unit(match), match.one("vague")
    lasting = not match.ahead or match.after() in ("of", "ago", "before", "after") or match.items[0].word == "within"
    if lasting and match.one("hence") is None:
        return None
    if vague is not None:
        return _relative(match, _vague(match, 1, vague.number, unit), grain_of(unit), precise=False)
    count = match.one("number")
    found = _counted(match, count.number if count else 1, unit, sure=True)
    return found._replace(begin=match.items[0].begin) if found else None


# Up to today.


@rule(
    RULES,
    "the|this? last|past number|vague unit",
    "the last|past|next number|vague unit",
    "next number|vague unit",
    "in|over|on the last|past unit",
    "the|this past unit",
    "in|over past unit",
)
def _rolling(match: Match) -> Item | None:
    """'The last two weeks', 'in the past month', 'the next few days': counted back or on from today."""
    unit, count, vague = _unit(match), match.one("number"), match.one("vague")
    if match.one("last") and match.after() == "of":
        return None
    if unit is Unit.WEEKEND and not count and not vague:
        return _relative(match, containing(unit, shifted(match.today, -1, unit)), Grain.DAY)
    number = count.number if count else _VAGUE[vague.number][1] if vague else 1
    if unit in CLOCK:
        if match.one("next"):
            return None
        days = Days(_clock(match, -number, unit), one_day(match.today).after)
    elif match.one("next"):
        days = Days(one_day(match.today).after, one_day(shifted(match.today, number, unit)).after)
    else:
        days = Days(one_day(shifted(match.today, -number, unit)).after, one_day(match.today).after)
    return _relative(match, days, grain_of(unit), precise=vague is None)


@rule(RULES, "recent")
def _recent(match: Match) -> Item | None:
    """'Recently' is the last thirty days; 'the other day' one of the last ten, but not today."""
    back = match.items[0].number
    first = match.today - timedelta(days=back)
    after = match.today if back <= 10 else one_day(match.today).after
    return _relative(match, Days(first, after), Grain.DAY, precise=False)


@rule(RULES, "recently unit")
def _recent_units(match: Match) -> Item | None:
    """'In recent weeks'."""
    unit = _unit(match)
    if unit not in _RECENTLY:
        return None
    first = match.today - timedelta(days=_RECENTLY[unit])
    return _relative(match, Days(first, one_day(match.today).after), grain_of(unit), precise=False)


# The unit before, this one and the next.


@rule(RULES, "the? unit before last", "the? last|passed|this|next|coming unit", "the? unit passed|coming")
def _unit_of_the_calendar(match: Match) -> Item | None:
    """'Last week', 'this month', 'the year before last'; not 'the last week of May' or, in a story, 'the next week'."""
    unit, step = _unit(match), _step(match)
    if unit not in _CALENDAR or (match.one("last", "next") and match.after() == "of") or _goes_on(match):
        return None
    if match.one("last") and unit is not Unit.YEAR and match.after() == "in" and match.after(2) in ("yearly", "phrase"):
        return None
    if match.one("next") and match.one("the") and unit is not Unit.WEEKEND:
        return None
    if unit is Unit.WEEKEND and step == 0:
        return _relative(match, _this_weekend(match), Grain.DAY)
    day = shifted(containing(unit, match.today).first, step, unit)
    return _relative(match, containing(unit, day), grain_of(unit))


def _goes_on(match: Match) -> bool:
    """Whether it is 'a week before last Christmas', and not 'the week before last'."""
    return match.one("before") is not None and match.after() in ("yearly", "weekday", "unit", "number", "vague")


def _this_weekend(match: Match) -> Days:
    """That of this week; the one before where the words speak of what was, and this one has not come yet."""
    this = containing(Unit.WEEKEND, match.today)
    if this.first > match.today and match.tense == "behind":
        return containing(Unit.WEEKEND, match.today - timedelta(weeks=1))
    return this


@rule(RULES, "in|on|over the? unit")
def _the_weekend(match: Match) -> Item | None:
    """'Over the weekend' is the latest that has begun, or the one to come."""
    if _unit(match) is not Unit.WEEKEND or match.after() in ("before", "after", "of"):
        return None
    this = containing(Unit.WEEKEND, match.today)
    back = this.first > match.today and not match.ahead
    days = containing(Unit.WEEKEND, match.today - timedelta(weeks=1)) if back else this
    return _relative(match, days, Grain.DAY)._replace(begin=match.the("unit").begin)


def _step(match: Match) -> int:
    """How many to go, forth or back, for the words that say so."""
    if match.one("before"):
        return -2
    return -1 if match.one("last", "past", "passed") else 1 if match.one("next", "coming") else 0


# Names that come again.


@rule(
    LATER,
    "the? weekday before last",
    "this? past weekday",
    "last|passed|this|next|coming weekday",
    "weekday passed|coming",
)
def _weekday(match: Match) -> Item | None:
    """'Last Friday' is the one before today, 'this Friday' that of this week, 'next Friday' that of the next week."""
    number, today, step = match.the("weekday").number, match.today, _step(match)
    if _goes_on(match):
        return None
    if step < 0:
        return _relative(match, one_day(weekday_before(today, number) + timedelta(weeks=step + 1)), Grain.DAY)
    if match.one("coming"):
        return _relative(match, one_day(weekday_after(today, number)), Grain.DAY)
    monday = containing(Unit.WEEK, today).first
    if step == 0 and match.tense == "behind" and number > today.weekday():
        step = -1
    return _relative(match, one_day(monday + timedelta(days=number, weeks=step)), Grain.DAY)


@rule(
    LATER,
    "the? yearly before last",
    "this? past yearly",
    "the? last|passed|this|next|coming yearly",
    "the? yearly passed|coming",
)
def _recurring(match: Match) -> Item | None:
    """'Last May' is the latest that is over, 'this May' that of the year, 'next May' the first to begin."""
    recurring, step = match.the("yearly").recurring, _step(match)
    if recurring is None or _goes_on(match):
        return None
    pick: dict[int, Callable[[], Days]] = {
        -2: lambda: _before_last(recurring, match),
        -1: lambda: latest(recurring.of, match.today, over=True),
        0: lambda: _this_one(recurring, match),
        1: lambda: soonest(recurring.of, match.today, begun=False),
    }
    days = pick[step]()
    return _relative(match, days, recurring.grain, precise=recurring.precise, note=recurring.note)


def _this_one(recurring: Recurring, match: Match) -> Days:
    days = in_year(recurring.of, match.today)
    return latest(recurring.of, match.today) if match.tense == "behind" and days.first > match.today else days


def _before_last(recurring: Recurring, match: Match) -> Days:
    last = latest(recurring.of, match.today, over=True)
    return latest(recurring.of, last.first - timedelta(days=1))


@rule(RULES, "same_time phrase")
def _same_time(match: Match) -> Item | None:
    """'This time last year': two weeks before and after."""
    phrase = match.the("phrase").phrase
    if phrase is None or not phrase.relative or phrase.grain not in (Grain.YEAR, Grain.MONTH, Grain.WEEK):
        return None
    unit = Unit(phrase.grain.value)
    steps = next((n for n in range(-9, 10) if within(shifted(match.today, n, unit), phrase.days)), None)
    if steps is None:
        return None
    more = {Unit.YEAR: 14, Unit.MONTH: 3}.get(unit, 1)
    day = shifted(match.today, steps, unit)
    return _relative(match, around(one_day(day), more), Grain.WEEK, precise=False)
