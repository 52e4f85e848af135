"""A fresh process of the benchmark: how long from opening a home until the first search has answered."""

from __future__ import annotations

import sys
import time

from pymemos import MemOS


def main(home: str, user: str, question: str) -> None:
    """Print the milliseconds."""
    started = time.perf_counter()
    mem = MemOS(home)
    hits = mem.search(question, user_id=user)
    took = time.perf_counter() - started
    assert len(hits) > 0
    mem.close()
    print(took * 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
