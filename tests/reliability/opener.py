"""A program that opens a store when it is told to, adds one text and closes it."""

from __future__ import annotations

import sys

from tests.reliability.support import say

from pymemos import MemOS


def main(home: str, name: str) -> None:
    say(ready=True)
    sys.stdin.readline()
    with MemOS(home) as mem:
        added = mem.add(f"written by {name}")
    say(ids=added.ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
