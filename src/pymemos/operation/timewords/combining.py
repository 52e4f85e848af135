"""Combinations are times made of other times: parts of them, times before and after them, and what lies between two."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from pymemos.operation.timewords.grammar import Grain, Item, Match, Phrase, Recurring, Rule, grain_of, rule
from pymemos.operation.timewords.spans import (
    CLOCK,
    EARLIEST,
    LATEST,
    UNITS,
    Days,
    Part,
    Unit,
    around,
    containing,
    counted,
    latest,
    nth_weekday,
    one_day,
    part_of,
    shifted,
    soonest,
    weekday_after,
    weekday_before,
    within,
)

PARTS: list[Rule] = []
RULES: list[Rule] = []

_PARTS = tuple(Part)
_AROUND = {Grain.DAY: 3, Grain.WEEK: 7, Grain.MONTH: 15, Grain.SEASON: 30, Grain.YEAR: 180}  # ours, in days
_MANY = {"days": 7, "weeks": 28, "months": 180}  # ours: "the days before" it, in days

Change = Callable[[Days], Days]


def settled(match: Match, item: Item, *, past: bool = False) -> Phrase | None:
    """What an item means if nothing else says more: the latest such time, or the next one where it is to come."""
    today, ahead = match.today, not past and match.ahead
    if item.role == "weekday":
        day = weekday_after(today, item.number) if ahead else weekday_before(today, item.number)
        return Phrase(one_day(day), Grain.DAY, relative=True)
    if item.recurring is None:
        return item.phrase
    again = item.recurring
    if item.word == "next" or ahead:
        days = soonest(again.of, today, begun=item.word != "next")
    else:
        days = latest(again.of, today, over=item.word == "last")
    return Phrase(days, again.grain, again.precise, relative=True, note=again.note)


def _changed(match: Match, whole: Item, change: Change, grain: Grain, *, precise: bool = True) -> Item | None:
    """A part of a time, which comes every year where the time does; None where there is no such part."""
    if whole.recurring is not None:
        of, again = whole.recurring.of, whole.recurring
        made = Recurring(lambda year: change(of(year)), grain, precise and again.precise, again.note)
        return match.comes(made)._replace(word=whole.word)
    phrase = whole.phrase
    if phrase is None or phrase.session is not None:
        return None
    return match.made(phrase._replace(days=change(phrase.days), grain=grain, precise=precise and phrase.precise))


# A year that is named beside.


@rule(PARTS, "yearly of|in|on|comma? phrase", "phrase of|in|on|over|comma? the? yearly")
def _of_that_year(match: Match) -> Item | None:
    """'Christmas last year', 'May two years ago', 'last year in May'."""
    year, again = match.the("phrase").phrase, match.the("yearly").recurring
    if year is None or again is None or year.grain is not Grain.YEAR or not _is_one_year(year.days):
        return None
    days = again.of(year.days.first.year)
    return match.made(Phrase(days, again.grain, again.precise, year.relative, again.note))


def _is_one_year(days: Days) -> bool:
    return days == containing(Unit.YEAR, days.first)


# Parts.


@rule(PARTS, "ordinal|last unit|weekday of|in|on the? phrase|yearly")
def _nth(match: Match) -> Item | None:
    """'The first week of May', 'the last Friday in May 2023', 'the second quarter of 2023'."""
    count = match.one("ordinal")
    number, part = count.number if count else -1, match.items[1]
    whole = match.the("phrase", "yearly")
    if part.role == "weekday":
        return _changed(match, whole, lambda days: _weekday_of(days, number, part.number), Grain.DAY)
    unit = UNITS[part.number]
    if unit in CLOCK:
        return None
    return _changed(match, whole, lambda days: _unit_of(days, number, unit), grain_of(unit))


def _weekday_of(days: Days, number: int, weekday: int) -> Days:
    return _inside(one_day(nth_weekday(days, number, weekday)), days)


def _unit_of(days: Days, number: int, unit: Unit) -> Days:
    """The first, second or last such unit; weeks are counted from the first day, as people do."""
    if unit is Unit.WEEKEND:
        saturday = nth_weekday(days, number, 5)
        return _inside(one_day(saturday), days)._replace(after=saturday + timedelta(days=2))
    if number > 0:
        return _inside(Days(shifted(days.first, number - 1, unit), shifted(days.first, number, unit)), days)
    return _inside(Days(shifted(days.after, -1, unit), days.after), days)


def _inside(days: Days, whole: Days) -> Days:
    if not (whole.first <= days.first and within(days.first, whole)) or days == whole:
        raise ValueError("the whole has no such part")
    return Days(days.first, min(days.after, whole.after))


@rule(PARTS, "ordinal of the? phrase")
def _day_of_that_month(match: Match) -> Item | None:
    """'The 5th of last month'."""
    number, whole = match.the("ordinal").number, match.the("phrase")
    if whole.phrase is None or whole.phrase.grain is not Grain.MONTH:
        return None
    return _changed(match, whole, lambda days: _unit_of(days, number, Unit.DAY), Grain.DAY)


@rule(PARTS, "ordinal half of the? phrase|yearly")
def _half(match: Match) -> Item | None:
    """'The first half of 2023'."""
    whole, number = match.the("phrase", "yearly"), match.the("ordinal").number
    again = whole.recurring or whole.phrase
    return _changed(match, whole, lambda days: _halves(days)[number - 1], again.grain) if again and number < 3 else None


def _halves(days: Days) -> tuple[Days, Days]:
    count = 12 * (days.after.year - days.first.year) + days.after.month - days.first.month
    middle = shifted(days.first, count // 2, Unit.MONTH) if count > 1 else days.first + (days.after - days.first) // 2
    return Days(days.first, middle), Days(middle, days.after)


@rule(PARTS, "part dash? the? phrase|yearly")
def _part(match: Match) -> Item | None:
    """'Early June', 'mid-June', 'at the end of 2022', 'earlier this month'."""
    part, whole = match.the("part"), match.the("phrase", "yearly")
    again = whole.recurring or whole.phrase
    if again is None or again.grain is Grain.DAY:
        return None
    if whole.phrase is not None and part.word in ("earlier", "later") and within(match.today, whole.phrase.days):
        return _beside_today(match, whole.phrase, later=part.word == "later")
    return _changed(match, whole, lambda days: part_of(days, _PARTS[part.number]), again.grain, precise=False)


@rule(PARTS, "part the unit")
def _part_of_this(match: Match) -> Item | None:
    """'The end of the year' is of this one, or of the last where the words speak of what was, and this has not come."""
    unit, part = UNITS[match.the("unit").number], _PARTS[match.the("part").number]
    if unit not in (Unit.WEEK, Unit.MONTH, Unit.YEAR):
        return None
    days = part_of(containing(unit, match.today), part)
    if days.first > match.today and match.tense == "behind":
        days = part_of(containing(unit, shifted(match.today, -1, unit)), part)
    return match.made(Phrase(days, grain_of(unit), precise=False, relative=True))


def _beside_today(match: Match, phrase: Phrase, *, later: bool) -> Item:
    tomorrow = one_day(match.today).after
    days = Days(match.today, phrase.days.after) if later else Days(phrase.days.first, tomorrow)
    return match.made(phrase._replace(days=days))


# A weekday of a time.


@rule(PARTS, "weekday comma? the? phrase|yearly", "weekday of|in|on? the? phrase", "phrase comma? on? weekday")
def _weekday_and_date(match: Match) -> Item | None:
    """'Monday, 8 May' is 8 May; 'Friday last week' is the Friday of it."""
    weekday, whole = match.the("weekday"), match.the("phrase", "yearly")
    again = whole.recurring or whole.phrase
    if again is None or again.grain not in (Grain.DAY, Grain.WEEK):
        return None
    if again.grain is Grain.DAY:
        joined = match.items[0] is weekday or match.one("comma") is not None
        same = joined and (whole.phrase is None or not whole.phrase.relative)
        return _changed(match, whole, lambda days: days, Grain.DAY) if same else None
    if whole.phrase is None or (whole.phrase.days.after - whole.phrase.days.first).days > 7:
        return None
    return _changed(match, whole, lambda days: _weekday_of(days, 1, weekday.number), Grain.DAY)


# Times before and after a time.


@rule(RULES, "unit of the? phrase|yearly|weekday")
def _unit_around(match: Match) -> Item | None:
    """'The week of 8 May' is the one that it is in."""
    unit = UNITS[match.the("unit").number]
    anchor = settled(match, match.items[-1])
    if anchor is None or anchor.grain is not Grain.DAY or unit not in (Unit.WEEK, Unit.WEEKEND, Unit.MONTH):
        return None
    return match.made(anchor._replace(days=containing(unit, anchor.days.first), grain=grain_of(unit)))


@rule(
    RULES,
    "about? number|a|vague unit before|after|from the? phrase|yearly|weekday",
    "unit|weekday|daypart before|after the? phrase|yearly|weekday",
    "near before|after the? phrase|yearly|weekday",
)
def _beside(match: Match) -> Item | None:
    """'The week before Christmas', 'two days after 8 May', 'the Friday before Halloween', 'shortly after Easter'."""
    anchor = settled(match, match.items[-1])
    unit = match.one("unit")
    if anchor is None or anchor.session is not None or match.one("vague") or (unit and UNITS[unit.number] in CLOCK):
        return None
    sign = -1 if match.one("before") else 1
    days, grain = _days_beside(match, anchor, sign)
    sure = match.one("about", "near") is None and match.items[0].word not in _MANY
    return match.made(anchor._replace(days=days, grain=grain, precise=sure and anchor.precise))


def _days_beside(match: Match, anchor: Phrase, sign: int) -> tuple[Days, Grain]:
    edge = anchor.days.first if sign < 0 else anchor.days.after
    first = match.items[0]
    if match.one("near") or first.word in _MANY:
        return _run(edge, sign * _MANY.get(first.word, 7), Unit.DAY), Grain.DAY
    if first.role == "weekday":
        before, after = weekday_before(edge, first.number), weekday_after(edge - timedelta(days=1), first.number)
        return one_day(before if sign < 0 else after), Grain.DAY
    unit, count = Unit.DAY if first.role == "daypart" else UNITS[match.the("unit").number], match.one("number", "a")
    if count is not None:
        last = anchor.days.first if sign < 0 else anchor.days.after - timedelta(days=1)
        return counted(last, sign * (count.number or 1), unit), grain_of(unit)
    if unit is Unit.WEEKEND:
        return _weekend_beside(edge, sign), Grain.DAY
    return _run(edge, sign, unit), grain_of(unit)


def _weekend_beside(edge: date, sign: int) -> Days:
    """The last weekend that is over by then, or the first that begins then or later."""
    this = containing(Unit.WEEKEND, edge)
    if sign > 0:
        return this if this.first >= edge else containing(Unit.WEEKEND, edge + timedelta(weeks=1))
    return this if this.after <= edge else containing(Unit.WEEKEND, edge - timedelta(weeks=1))


def _run(edge: date, count: int, unit: Unit) -> Days:
    """So many units that end, or begin, at the edge of a time."""
    other = shifted(edge, count, unit)
    return Days(min(edge, other), max(edge, other))


@rule(RULES, "around the? phrase|yearly|weekday", "over yearly")
def _around(match: Match) -> Item | None:
    """'Around 8 May', 'over Christmas'."""
    anchor = settled(match, match.items[-1])
    if anchor is None or anchor.session is not None or (match.one("over") and anchor.grain is not Grain.DAY):
        return None
    days = around(anchor.days, _AROUND[anchor.grain]) if anchor.precise else anchor.days  # "around mid-May" is mid-May
    return match.made(anchor._replace(days=days, precise=False))


# Ranges.

_ENDS = "phrase|yearly|weekday"


@rule(
    RULES,
    f"between the? {_ENDS} and the? {_ENDS}",
    f"from|of|since the? {_ENDS} to|until|dash the? {_ENDS}",
    "phrase|yearly to|until|dash phrase|yearly",
)
def _range(match: Match) -> Item | None:
    """'Between May and July 2023', 'from Monday to Wednesday', '2020-2022'."""
    first, last = match.all("phrase", "yearly", "weekday")
    left, right = settled(match, first), settled(match, last)
    if left is None or right is None or left.session or right.session:
        return None
    left, right = _together(first, last, left, right)
    if right.days.after <= left.days.first:
        return None
    days, precise = Days(left.days.first, right.days.after), left.precise and right.precise
    return match.made(Phrase(days, right.grain, precise, left.relative or right.relative, left.note or right.note))


def _together(first: Item, last: Item, left: Phrase, right: Phrase) -> tuple[Phrase, Phrase]:
    """Both ends of a range, of which one that says no year takes it from the other."""
    if first.recurring is not None and (last.recurring is None or right.days.first < left.days.first):
        begin = latest(first.recurring.of, right.days.first)
        return left._replace(days=begin, relative=right.relative), right
    if last.recurring is not None and first.recurring is None:
        end = soonest(last.recurring.of, left.days.first)
        return left, right._replace(days=end, relative=left.relative)
    if first.role == last.role == "weekday" and right.days.first < left.days.first:
        earlier = left.days.first - timedelta(weeks=1)
        return left._replace(days=one_day(earlier)), right
    return left, right


@rule(RULES, f"since|until|by|before|after|ago_of the? {_ENDS}")
def _open(match: Match) -> Item | None:
    """'Since March' is up to today; 'before June' and 'after 2022' are open."""
    word = match.items[0].role
    anchor = settled(match, match.items[-1], past=word == "since")
    if anchor is None or (word == "ago of" and match.items[0].word != "vor"):  # in German also "before"
        return None
    (first, after), tomorrow = anchor.days, one_day(match.today).after
    days = {
        "since": Days(first, max(after, tomorrow)),
        "before": Days(EARLIEST, first),
        "ago of": Days(EARLIEST, first),
        "after": Days(after, LATEST),
    }.get(word, Days(EARLIEST, after))
    return match.made(anchor._replace(days=days, session=None))


@rule(RULES, "on the? ordinal")
def _day_of_the_month(match: Match) -> Item | None:
    """'On the 8th' is the latest that was, or the next one; 'on the 8th floor' is something else."""
    number, today = match.the("ordinal"), match.today
    if match.after() not in ("", "comma") or not number.word[:1].isdecimal() or not 1 <= number.number <= 31:
        return None
    ahead = match.ahead
    starts = [shifted(today.replace(day=1), step, Unit.MONTH) for step in (range(3) if ahead else range(0, -3, -1))]
    days = [start + timedelta(days=number.number - 1) for start in starts]
    fits = [day for day, start in zip(days, starts, strict=True) if day.month == start.month]
    there = next((day for day in fits if (day > today if ahead else day <= today)), None)
    return match.made(Phrase(one_day(there), Grain.DAY, relative=True)) if there else None


@rule(RULES, "yearly|weekday")
def _alone(match: Match) -> Item | None:
    """What is left is the latest such time, or the next one."""
    phrase = settled(match, match.items[0])
    return match.made(phrase) if phrase else None
