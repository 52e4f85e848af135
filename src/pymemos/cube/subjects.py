"""Subjects in a text, for whom an adapter's gate opens: found as they are written, at the boundaries of words."""

from __future__ import annotations

import re
from collections.abc import Sequence


def opening(text: str, subjects: Sequence[str]) -> int | None:
    """Where the first name of a subject in ``text`` ends, in characters; None where it names none."""
    ends = [match.end() for subject in subjects if (match := _pattern(subject).search(text)) is not None]
    return min(ends, default=None)


def names(text: str, subjects: Sequence[str]) -> bool:
    """Whether a text names one of the subjects; upper and lower case are one."""
    return opening(text, subjects) is not None


def named(text: str, subjects: Sequence[str]) -> tuple[str, ...]:
    """The subjects that a text names."""
    return tuple(subject for subject in subjects if _pattern(subject).search(text) is not None)


def _pattern(subject: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in subject.split())
    return re.compile(rf"(?<![\w-]){words}(?![\w-])", re.IGNORECASE)
