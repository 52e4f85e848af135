"""A program that adds, updates and deletes until it is killed, and says before and after each call what it does."""

from __future__ import annotations

import random
import sys

from tests.reliability.support import say

from pymemos import MemOS


def main(home: str, name: str) -> None:
    rng = random.Random(name)  # noqa: S311 (no secret)
    kept: list[tuple[str, str]] = []  # id and owner
    with MemOS(home) as mem:
        for n in range(100_000):
            choice = rng.random() if kept else 0.0
            if choice < 0.6:
                kept += add(mem, rng, f"{name}-{n}", rng.choice([name, "shared"]))
            elif choice < 0.85:
                update(mem, f"{name}-{n}", *rng.choice(kept))
            else:
                delete(mem, *kept.pop(rng.randrange(len(kept))))


def add(mem: MemOS, rng: random.Random, text: str, user: str) -> list[tuple[str, str]]:
    messages = [{"role": "user", "content": f"{text} {n}", "id": f"{text}-{n}"} for n in range(rng.randint(1, 3))]
    sources = [message["id"] for message in messages]
    say(begins="add", user=user, sources=sources)
    added = mem.add(messages, user_id=user, session_id=text)
    say(did="add", user=user, sources=sources, ids=added.ids)
    return [(id, user) for id in added.ids]


def update(mem: MemOS, text: str, id: str, user: str) -> None:
    say(begins="update", id=id, user=user, text=text)
    cube = mem.update(id, text, user_id=user)
    say(did="update", id=id, user=user, text=text, revision=cube.revision)


def delete(mem: MemOS, id: str, user: str) -> None:
    say(begins="delete", id=id, user=user)
    mem.delete(id, user_id=user)
    say(did="delete", id=id, user=user)


if __name__ == "__main__":
    main(*sys.argv[1:])
