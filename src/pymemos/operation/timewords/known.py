"""Known days are those that people told of, such as a birthday, and how a question refers to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

YEARLY = ("birthday", "anniversary")  # what comes again; a wedding does not

_WHOSE = frozenset("my your his her its our their the".split())
_WHICH = frozenset(("last", "next", "this"))


class Known(NamedTuple):
    """A known day in the words that it is asked for with: ``owner`` ("clara's") and ``head`` ("birthday")."""

    key: str
    owner: tuple[str, ...]
    head: tuple[str, ...]
    day: date


class Named(NamedTuple):
    """A known day that was found among words."""

    known: Known
    which: str  # last, next, this or nothing
    sure: bool  # its owner is named
    stop: int  # the place behind it


def listed(known_days: Mapping[str, date]) -> list[Known]:
    """The known days by their keys: "clara's birthday", "birthday of clara" or, without an owner, "the wedding"."""
    return [_known(key, day) for key, day in known_days.items()]


def _known(key: str, day: date) -> Known:
    low = key.lower().replace("\u2019", "'").removeprefix("the ")
    head, of, owner = low.partition(" of ")
    if not of:
        owner, has, head = low.rpartition("'s ")
        if not has:
            owner, head = "", low
    possessive = f"{owner}'s".split() if owner else []
    return Known(key, tuple(possessive), tuple(head.split()), day)


def among(known: Iterable[Known], lows: Sequence[str]) -> list[Known]:
    """The known days that the words can refer to, for they hold the last word of its name."""
    said = set(lows)
    return [one for one in known if one.head and one.head[-1] in said]


def named_at(known: Sequence[Known], lows: Sequence[str], place: int) -> Named | None:
    """The known day that is named from that place on.

    "Clara's birthday" and "the birthday of Clara" name one. "Her birthday" does where exactly one birthday is known, or
    exactly one of somebody who is named in the sentence.
    """
    if lows[place] in _WHOSE:
        mentioned = [one for one in known if _is_mentioned(one, lows)]
        found = _headed(mentioned or known, lows, place + 1, sure=bool(mentioned))
        return None if found and lows[found.stop : found.stop + 1] == ["of"] else found
    for one in known:
        for owner in _owners(one):
            if tuple(lows[place : place + len(owner)]) == owner:
                return _headed([one], lows, place + len(owner), sure=True)
    return _of_owner(known, lows, place)


def _headed(known: Sequence[Known], lows: Sequence[str], place: int, *, sure: bool) -> Named | None:
    """The only known day whose head stands at that place, perhaps behind "last" or "next"."""
    which = lows[place] if place < len(lows) and lows[place] in _WHICH else ""
    place += 1 if which else 0
    fits = [(one, head) for one in known for head in _heads(one) if tuple(lows[place : place + len(head)]) == head]
    if len({one.key for one, _ in fits}) != 1:
        return None
    one, head = fits[0]
    return Named(one, which, sure or not one.owner, place + len(head))


def _heads(one: Known) -> tuple[tuple[str, ...], ...]:
    """The whole head, and its last word: who asks for an anniversary may mean the wedding anniversary."""
    return (one.head, one.head[-1:]) if len(one.head) > 1 else (one.head,)


def _owners(one: Known) -> tuple[tuple[str, ...], ...]:
    """How the owner may be called: in full, or by the first name."""
    if len(one.owner) > 1 and not one.owner[0].endswith("'s"):
        return (one.owner, (f"{one.owner[0]}'s",))
    return (one.owner,) if one.owner else ()


def _of_owner(known: Sequence[Known], lows: Sequence[str], place: int) -> Named | None:
    for one in known:
        stop = place + len(one.head)
        if tuple(lows[place:stop]) == one.head and lows[stop : stop + 1] == ["of"]:
            for owner in _owners(one):
                name = (*owner[:-1], owner[-1].removesuffix("'s"))
                if tuple(lows[stop + 1 : stop + 1 + len(name)]) == name:
                    return Named(one, "", sure=True, stop=stop + 1 + len(name))
    return None


def _is_mentioned(one: Known, lows: Sequence[str]) -> bool:
    return bool(one.owner) and any(low.removesuffix("'s") == one.owner[0].removesuffix("'s") for low in lows)
