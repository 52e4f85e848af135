"""A program that does what is due so many minutes from now, and is killed meanwhile."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from tests.reliability.support import say

from pymemos import MemOS
from pymemos.testing.doubles import HashingEmbedder


def main(home: str, minutes: str) -> None:
    with MemOS(home, embedder=HashingEmbedder()) as mem:
        say(begins=True)
        mem.tick(datetime.now(UTC) + timedelta(minutes=int(minutes)))
        say(did=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
