"""Subjects in a text, for whom an adapter's gate opens: found as they are written, at the boundaries of words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ENDS: Final = r"(?=\s*(?:[?.!,;:…_]|$))"


def end_of(text: str, subject: str, *, ending: bool = False) -> int | None:
    """Where a subject's first name in ``text`` ends, in characters; ``ending`` wants a clause to end there too."""
    match = _pattern(subject, _ENDS if ending else "").search(text)
    return None if match is None else match.end()


def names(text: str, subjects: Sequence[str]) -> bool:
    """Whether a text names one of the subjects; upper and lower case are one."""
    return bool(named(text, subjects))


def named(text: str, subjects: Sequence[str]) -> tuple[str, ...]:
    """The subjects that a text names."""
    return tuple(subject for subject in subjects if end_of(text, subject) is not None)


def without(text: str, subject: str) -> str:
    """A text with a blank for every time that it names the subject."""
    return _pattern(subject).sub(" ", text)


def clause(form: str, subject: str) -> re.Pattern[str]:
    """What finds a form, in which ``{s}`` stands for the subject, as words in a text."""
    return _pattern(form.replace("{s}", subject))


def _pattern(subject: str, behind: str = "") -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in subject.split())
    return re.compile(rf"(?<![\w-]){words}(?![\w-]){behind}", re.IGNORECASE)
