"""The grammar reads a line of words, each with its role, by rules that put one item where they found several."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple

import msgspec

from pymemos.operation.timewords.spans import Days, Unit, Yearly


class Grain(StrEnum):
    """How finely a time was named."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    SEASON = "season"
    YEAR = "year"
    SESSION = "session"


class SessionSpan(msgspec.Struct, frozen=True):
    """When one conversation began and ended; the one that the query is part of says so."""

    start: datetime
    end: datetime
    current: bool = False


class Phrase(NamedTuple):
    """A time that is understood."""

    days: Days
    grain: Grain
    precise: bool = True
    relative: bool = False  # to the day that the words were said
    note: str = ""
    session: SessionSpan | None = None


class Recurring(NamedTuple):
    """A time that comes every year, of which the words do not say which year is meant."""

    of: Yearly
    grain: Grain
    precise: bool = True
    note: str = ""


class Item(NamedTuple):
    """Words with a role: what was found in a text, or what a rule made of such items."""

    role: str
    begin: int  # where the words are in the text
    end: int
    number: int = 0
    word: str = ""
    phrase: Phrase | None = None
    recurring: Recurring | None = None


class Reading(NamedTuple):
    """What the words are read with."""

    now: datetime
    sessions: tuple[SessionSpan, ...] = ()
    caseless: bool = False  # nothing can be told from capitals
    foretelling: bool = False  # the present tense speaks of what is to come, as in "the exam is on Friday"


class Match:
    """The items that a rule applies to, what stands around them, and what they are read with."""

    def __init__(self, reading: Reading, line: Sequence[Item], start: int, stop: int) -> None:
        self.reading, self.today = reading, reading.now.date()
        self.items = line[start:stop]
        self._line, self._start, self._stop = line, start, stop

    def one(self, *roles: str) -> Item | None:
        """The first of the items with such a role."""
        return next((item for item in self.items if item.role in roles), None)

    def the(self, *roles: str) -> Item:
        """The first of the items with such a role, which the form demands."""
        return next(item for item in self.items if item.role in roles)

    def all(self, *roles: str) -> list[Item]:
        """The items with such a role."""
        return [item for item in self.items if item.role in roles]

    def before(self, distance: int = 1) -> str:
        """The role of what stands before the items, or nothing where the line begins."""
        place = self._start - distance
        return self._line[place].role if place >= 0 else ""

    def after(self, distance: int = 1) -> str:
        """The role of what stands behind the items, or nothing where the line ends."""
        place = self._stop + distance - 1
        return self._line[place].role if place < len(self._line) else ""

    @property
    def tense(self) -> str:
        """Whether the words speak of what is "ahead" or "behind": the nearest verb before them decides, else after."""
        signs = {"ahead": "ahead", "behind": "behind", "present": "ahead" if self.reading.foretelling else ""}
        around = [*reversed(self._line[: self._start]), *self._line[self._stop :]]
        return next((signs[item.role] for item in around if signs.get(item.role)), "")

    @property
    def ahead(self) -> bool:
        """Whether the words speak of what is to come; where nothing says so, memories are of what was."""
        return self.tense == "ahead"

    def made(self, phrase: Phrase) -> Item:
        """The phrase in place of the items, without the words that only introduce it."""
        if phrase.days.after <= phrase.days.first:
            raise ValueError("no time is in an empty span")
        return Item("phrase", self._begin(), self.items[-1].end, phrase=phrase)

    def comes(self, recurring: Recurring) -> Item:
        """The recurring time in place of the items, without the words that only introduce it."""
        return Item("yearly", self._begin(), self.items[-1].end, recurring=recurring)

    def _begin(self) -> int:
        return next(item.begin for item in self.items if item.role not in _INTRODUCING)

    def other(self) -> Item:
        """What means nothing here, in place of the items."""
        return Item("other", self.items[0].begin, self.items[-1].end)


Make = Callable[[Match], Item | None]


class Rule(NamedTuple):
    """A form of a time expression, and what it means; None where it means nothing after all.

    A form names roles: ``a|b`` is either, ``a?`` is optional; an underscore stands for the space in a name.
    """

    form: str
    make: Make


# Every role, and the character that stands for it, so that a line of items is a text which patterns can search.
ROLES = (
    # found in the text
    "other", "comma", "dash", "number", "ordinal", "year", "month", "name", "low", "weekday", "weekdays", "season",
    "quarter", "seasons", "holiday", "holidays", "day", "daypart", "unit", "vague", "half", "and a half", "a", "the",
    "last", "past", "passed", "previous", "next", "coming", "this", "ago", "ago of", "back", "hence",
    "before", "after", "near", "since", "until", "by", "from", "to", "between", "and", "of", "in", "on", "over",
    "around", "about", "part", "recent", "recently", "same time", "every", "our", "whose", "somebody", "session",
    "talked", "last talked", "with", "ahead", "present", "behind",
    # made by rules
    "phrase", "yearly",
)  # fmt: skip
SIGNS = {role: chr(0x100 + place) for place, role in enumerate(ROLES)}

_GRAINS = {unit: Grain(unit.value) for unit in (Unit.WEEK, Unit.MONTH, Unit.SEASON, Unit.YEAR)} | {
    Unit.QUARTER: Grain.SEASON,
    Unit.DECADE: Grain.YEAR,
}
_INTRODUCING = frozenset(("the", "on", "in", "of", "comma"))
_LONGEST = 256  # items that are read together; a longer line is hardly a sentence


def rule(into: list[Rule], *forms: str) -> Callable[[Make], Make]:
    """Add what is decorated to the rules, for each of the forms in turn."""

    def added(make: Make) -> Make:
        into.extend(Rule(form, make) for form in forms)
        return make

    return added


def applied(rules: Sequence[Rule], line: Sequence[Item], reading: Reading) -> list[Item]:
    """The line after every rule, in their order, was applied wherever it could be."""
    whole: list[Item] = []
    for start in range(0, len(line), _LONGEST):
        whole += _applied(rules, list(line[start : start + _LONGEST]), reading)
    return whole


def _applied(rules: Sequence[Rule], items: list[Item], reading: Reading) -> list[Item]:
    roles = "".join([SIGNS[item.role] for item in items])
    for form, make in rules:
        search = _search(form)
        found = search(roles)
        while found:
            start, stop = found.span()
            made = _made(make, Match(reading, items, start, stop))
            if made is not None:
                items[start:stop] = [made]
                roles = roles[:start] + SIGNS[made.role] + roles[stop:]
            found = search(roles, start + 1)
    return items


def _made(make: Make, match: Match) -> Item | None:
    try:
        return make(match)
    except (ValueError, OverflowError):  # the calendar has no such day
        return None


@cache
def _search(form: str) -> Callable[..., re.Match[str] | None]:
    """What looks for a form; compiled at first use, for compiling all of them takes longer than all other imports."""
    return re.compile("".join(map(_part, form.split()))).search


def _part(part: str) -> str:
    signs = "".join(SIGNS[role.replace("_", " ")] for role in part.rstrip("?").split("|"))
    return f"[{signs}]{'?' if part.endswith('?') else ''}"


def grain_of(unit: Unit) -> Grain:
    """The grain of what is counted in a unit."""
    return _GRAINS.get(unit, Grain.DAY)
