"""A program that adds conversations, erases half of them beside others who do the same, and says what is gone."""

from __future__ import annotations

import sys

from tests.reliability.support import say

from pymemos import MemOS
from pymemos.testing.doubles import HashingEmbedder


def main(home: str, name: str, count: str) -> None:
    gone, kept = [], []
    with MemOS(home, embedder=HashingEmbedder()) as mem:
        say(ready=True)
        sys.stdin.readline()
        for n in range(int(count)):
            words = [f"{name}qx{n:03}{place}" for place in "abc"]
            said = [{"role": "user", "content": f"They spoke of {word} all day."} for word in words]
            ids = mem.add(said, user_id="ana", session_id=name).ids
            mem.search(f"What of {words[0]}?", user_id="ana")
            mem.erase(ids[n % 3], user_id="ana")
            gone.append(words.pop(n % 3))
            kept += words
            if n % 5 == 0:
                mem.tick(limit=1)
    say(gone=gone, kept=kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
