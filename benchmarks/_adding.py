"""A writing process of the benchmark: opens a home, waits for the word, and adds one message a call."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise

from benchmarks._texts import Texts
from pymemos import MemOS


def main(home: str, user: str, adds: int) -> None:
    """Print when the first add began, when the last ended, and how long the longest took."""
    texts = Texts(seed=len(user)).messages(adds + 1)
    with MemOS(home) as mem:
        mem.add([{"role": "user", "content": texts.pop()}], user_id=user)  # what is done once is done before
        print("ready", flush=True)
        sys.stdin.readline()
        times = [time.perf_counter()]  # the same clock in every process
        for text in texts:
            mem.add([{"role": "user", "content": text}], user_id=user)
            times.append(time.perf_counter())
    longest = max(end - start for start, end in pairwise(times))
    print(json.dumps({"start": times[0], "end": times[-1], "longest": longest}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
