"""Personal data and secrets as values: kinds, places, and what is to happen to them (5.5.1, ADR 0030)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a detector can find in a text."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"  # a payment card
    IBAN = "iban"
    NATIONAL_ID = "national_id"
    IP = "ip"
    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105 (the name of a kind)
    PRIVATE_KEY = "private_key"
    PASSWORD = "password"  # noqa: S105 (the name of a kind)

    @property
    def is_secret(self) -> bool:
        """Whether it opens something, instead of being about somebody."""
        return self in SECRETS

    @property
    def label(self) -> str:
        """What ``sensitivity`` says of a memory that holds one: ``pii:email``, ``secret:token``."""
        return f"{'secret' if self.is_secret else 'pii'}:{self.value}"

    @property
    def stand_in(self) -> str:
        """What is written in its place."""
        return f"[{_SHOWN.get(self, self.value.replace('_', ' '))}]"


SECRETS = frozenset({Kind.API_KEY, Kind.TOKEN, Kind.PRIVATE_KEY, Kind.PASSWORD})
LABELS = {kind.label: kind for kind in Kind}
_SHOWN = {Kind.EMAIL: "e-mail", Kind.IP: "IP address", Kind.IBAN: "IBAN", Kind.API_KEY: "API key"}


class Handling(StrEnum):
    """What happens to a text in which a kind is found, when it is written."""

    IGNORE = "ignore"
    TAG = "tag"  # its label is added to the memory's sensitivity
    REDACT = "redact"  # a stand-in is written; the original never is
    REFUSE = "refuse"  # nothing is written


class Found(msgspec.Struct, frozen=True, order=True):
    """One place in a text; what stands there is not kept."""

    start: int
    end: int
    kind: Kind


def redact(text: str, found: Iterable[Found]) -> str:
    """The text with a stand-in for each of the places; these do not overlap."""
    parts, behind = [], 0
    for one in sorted(found):
        parts += [text[behind : one.start], one.kind.stand_in]
        behind = one.end
    return "".join([*parts, text[behind:]]) if parts else text


def labels(found: Iterable[Found]) -> tuple[str, ...]:
    """The labels of what was found, each once, in order of the kinds."""
    kinds = {one.kind for one in found}
    return tuple(kind.label for kind in Kind if kind in kinds)
