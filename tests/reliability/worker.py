"""A worker that stops at a named point of its work and waits there to be killed."""

from __future__ import annotations

import sys

from tests.reliability.notes import note
from tests.reliability.support import say

from pymemos import MemOS
from pymemos.cube.call import MemoryCall
from pymemos.ports import Job


class Stopping:
    """Reports each point as it is reached, and stays at the one that was asked for."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._handled = False

    def reach(self, point: str) -> None:
        if point == self._point:
            say(at=point)
            sys.stdin.read()

    def handle(self, job: Job) -> MemoryCall:
        self.reach("during the handler")
        self._handled = True
        return note(job)

    def span(self, step: str, seconds: float) -> None:
        if self._handled:  # the transaction of the effect
            self.reach({"decide": "before the effect", "audit": "before the commit"}[step])


def main(home: str, point: str) -> None:
    stopping = Stopping(point)
    with MemOS(home, jobs={"note": stopping.handle}, on_span=stopping.span) as mem:
        stopping.reach("before the claim")
        mem.tick()
        stopping.reach("after the effect")


if __name__ == "__main__":
    main(*sys.argv[1:])
