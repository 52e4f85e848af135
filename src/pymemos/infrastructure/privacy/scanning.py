"""Scanning: everything personal or secret in a text, each place once."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec

from pymemos.cube.privacy import SECRETS, Found, Kind
from pymemos.errors import MissingExtra
from pymemos.infrastructure.privacy.addresses import addresses, emails
from pymemos.infrastructure.privacy.identities import identities
from pymemos.infrastructure.privacy.numbers import cards, chains, ibans, phones
from pymemos.infrastructure.privacy.secrets import may_hold_secrets, secrets
from pymemos.infrastructure.privacy.sieve import suspects

CHECKED = frozenset({Kind.IBAN, Kind.NATIONAL_ID})  # kinds that need the library of the extra
_OPAQUE = SECRETS - {Kind.PASSWORD}
_MANY = 4  # texts, from which on sieving them together costs less than asking each (measured)
_DIGIT = re.compile(r"\d")
_CHAINED = frozenset({Kind.CARD, Kind.NATIONAL_ID, Kind.PHONE})
# Where two claim a place, the surer one has it: a form with a checksum, or one that nothing else has.
_RANKS = {kind: rank for rank, kind in enumerate(
    (Kind.PRIVATE_KEY, Kind.PASSWORD, Kind.API_KEY, Kind.TOKEN, Kind.IBAN, Kind.EMAIL, Kind.CARD, Kind.IP,
     Kind.NATIONAL_ID, Kind.PHONE)
)}  # fmt: skip


@cache
def available() -> frozenset[Kind]:
    """The kinds that can be found with what is installed."""
    return frozenset(Kind) - (CHECKED if find_spec("stdnum") is None else frozenset())


def check_available(kinds: Collection[Kind]) -> None:
    """Refuse to look for what cannot be found here."""
    missing = [kind.value for kind in Kind if kind in kinds and kind not in available()]
    if missing:
        raise MissingExtra(
            f"{', '.join(missing)} cannot be found without python-stdnum: pip install 'pymemos[privacy]'"
        )


def scan_all(texts: Sequence[str]) -> list[tuple[Found, ...]]:
    """What each of the texts holds, as by ``scan``; the many that hold nothing are told from the rest together."""
    if len(texts) < _MANY:
        return [scan(text) for text in texts]
    found: list[tuple[Found, ...]] = [()] * len(texts)
    for place in suspects(texts):
        found[place] = scan(texts[place])
    return found


def scan(text: str, kinds: Collection[Kind] | None = None) -> tuple[Found, ...]:
    """What a text holds of some kinds, or of all that can be found here, in order of place; no two overlap."""
    wanted = available() if kinds is None else kinds
    claims = [*emails(text)] if "@" in text and Kind.EMAIL in wanted else []
    if may_hold_secrets(text) and not SECRETS.isdisjoint(wanted):
        claims += secrets(text)
        text = _without(claims, text)
    if _DIGIT.search(text):
        claims += _numbers(text, wanted)
    return _apart(one for one in claims if one.kind in wanted) if claims else ()


def _without(claims: list[Found], text: str) -> str:
    """The text with blanks for its keys: their digits are no numbers of anything, and there may be many."""
    for one in claims:
        if one.kind in _OPAQUE:
            text = text[: one.start] + " " * (one.end - one.start) + text[one.end :]
    return text


def _numbers(text: str, wanted: Collection[Kind]) -> Iterator[Found]:
    """What has digits in it."""
    if Kind.IP in wanted:
        yield from addresses(text)
    if Kind.IBAN in wanted:
        yield from ibans(text)
    if not _CHAINED.isdisjoint(wanted):
        for start, end in chains(text):
            yield from cards(text, start, end) if Kind.CARD in wanted else ()
            yield from identities(text, start, end) if Kind.NATIONAL_ID in wanted else ()
            yield from phones(text, start, end) if Kind.PHONE in wanted else ()


def _apart(claims: Iterable[Found]) -> tuple[Found, ...]:
    """The claims without those that a surer, or else a longer, one overlaps."""
    kept: list[Found] = []
    for one in sorted(claims, key=lambda claim: (_RANKS[claim.kind], claim.start - claim.end, claim.start)):
        at = bisect(kept, one)
        is_free = at == 0 or kept[at - 1].end <= one.start
        if is_free and (at == len(kept) or one.end <= kept[at].start):
            kept.insert(at, one)
    return tuple(kept)
