"""A program that adds one message a call when it is told to begin, and says how long the longest call took."""

from __future__ import annotations

import sys
import time

from tests.reliability.support import say

from pymemos import MemOS


def main(home: str, name: str, count: str) -> None:
    with MemOS(home) as mem:
        say(ready=True)
        sys.stdin.readline()
        waits = [timed_add(mem, name, n) for n in range(int(count))]
    say(longest=max(waits), total=sum(waits))


def timed_add(mem: MemOS, name: str, n: int) -> float:
    started = time.perf_counter()
    mem.add(
        [{"role": "user", "content": f"message {n} of {name}", "id": f"{name}-{n}"}], user_id="ana", session_id=name
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
