"""Tongues are the languages that time expressions are read in."""

from __future__ import annotations

from pymemos.operation.timewords.words import ENGLISH

TONGUES = {"en": ENGLISH}
ELIDING = frozenset(("fr", "it"))
ORDINAL_DOT = frozenset(("de",))
PREFERS_MONTH_FIRST = frozenset(("en",))
FALSE_PAST = frozenset("indeed hundred speed excited tired interested worried married scheduled planned".split())
