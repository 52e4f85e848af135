"""What a prefix cache would reuse of the prompts of a chat, while memories change between the turns.

Four users with 300 memories each talk with the system, ten conversations of ten turns each, a day apart. What a
question is about is drawn by Zipf over the user's memories, and before a third of the turns a memory is rewritten,
drawn alike. Prompts are real ones: of ``mem.chat``, and, for comparison, of the same store with the memories in the
order of relevance, in the same budget, either in the system's message or beside the question, the conversation word
for word.

The cache is an exact trie of tokens over everything that was ever read or said, as in vLLM with memory without end;
tokens are words and signs, which makes no difference to a share. It is that of one server for all users.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import accumulate

from benchmarks._texts import Texts
from benchmarks.report import Row
from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.operation.context import estimate_tokens
from pymemos.operation.fences import NOTE
from pymemos.operation.prompting import MANNER, SYSTEM, dated
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.scripted import Messages, ScriptedChat

USERS, MEMORIES, CONVERSATIONS, TURNS = 4, 300, 10, 10
LIMIT, MEMORY_TOKENS, HISTORY_TOKENS = 8, 1_000, 6_000
REWRITTEN = 1 / 3  # of the turns, before which a memory changes
EXPONENT = 1.0  # of the Zipf distribution that says what is asked about
SEED = 5
_TOKEN = re.compile(r"\w+|[^\w\s]|\n")


class PrefixCache:
    """An exact trie of tokens; ``read`` says how many of a prompt were there, and adds it with what was said."""

    def __init__(self) -> None:
        self._root: dict[str, dict] = {}

    def read(self, prompt: Sequence[str], said: Sequence[str]) -> int:
        node, known, is_known = self._root, 0, True
        for place, token in enumerate((*prompt, *said)):
            is_known = is_known and token in node and place < len(prompt)
            known += is_known
            node = node.setdefault(token, {})
        return known


class Counted:
    """The tokens of some prompts: all, and those that the cache had."""

    def __init__(self) -> None:
        self._cache = PrefixCache()
        self.prompts: list[int] = []
        self.reused = 0
        self.memories = 0

    def take(self, messages: Messages, answer: str) -> None:
        prompt = [token for one in messages for token in (f"<{one['role']}>", *_TOKEN.findall(one["content"]))]
        self.reused += self._cache.read([*prompt, "<assistant>"], _TOKEN.findall(answer))
        self.prompts.append(len(prompt) + 1)

    @property
    def share(self) -> float:
        return self.reused / sum(self.prompts)

    @property
    def mean(self) -> float:
        return sum(self.prompts) / len(self.prompts)


class Turn:
    """One question of the story."""

    def __init__(self, user: str, session: str, question: str, rewritten: tuple[int, str] | None) -> None:
        self.user, self.session, self.question, self.rewritten = user, session, question, rewritten


def prefix_reuse() -> list[Row]:
    """The shares, and what the prompts weigh."""
    ours, relevance, beside = Counted(), Counted(), Counted()
    _told(lambda mem: _Chat(mem, ours), ours)
    _told(lambda mem: _ByRelevance(mem, relevance, in_system=True), relevance)
    _told(lambda mem: _ByRelevance(mem, beside, in_system=False), beside)
    better = Row.at_least("prefix_reuse, against relevance", ours.share - relevance.share, "", 0.0)
    return [
        Row.at_least("prefix_reuse", ours.share, "of the prompts' tokens", 0.8),
        better,
        Row.plain("prefix_reuse, by relevance", relevance.share, "of the prompts' tokens"),
        Row.plain("prefix_reuse, by relevance beside the question", beside.share, "of the prompts' tokens"),
        Row.plain("prompt, mean", ours.mean, "tokens"),
        Row.plain("prompt by relevance, mean", relevance.mean, "tokens"),
        Row.plain("prompt by relevance beside the question, mean", beside.mean, "tokens"),
        Row.plain("prompt, read anew, mean", ours.mean * (1 - ours.share), "tokens"),
        Row.plain("prompt by relevance, read anew, mean", relevance.mean * (1 - relevance.share), "tokens"),
        Row.plain(
            "prompt by relevance beside the question, read anew, mean", beside.mean * (1 - beside.share), "tokens"
        ),
    ]


Talker = Callable[[str, str, str], None]


def _told(make: Callable[[MemOS], _Chat | _ByRelevance], counted: Counted) -> None:
    """Tell the whole story to one way of making prompts, in a store of its own."""
    clock, texts = FrozenClock(), Texts()
    script = ScriptedChat(lambda messages: _answer(messages, counted))
    doubles = {"store": MemoryStore(), "blobs": MemoryBlobs(), "clock": clock, "new_id": SequentialIds()}
    with MemOS(**doubles, key=bytes(32), embedder="none", chat=script) as mem:
        talker = make(mem)
        notes = {f"user{n}": texts.messages(MEMORIES) for n in range(USERS)}
        ids = {user: [mem.add(text, user_id=user).ids[0] for text in said] for user, said in notes.items()}
        clock.advance(timedelta(days=7))
        session = ""
        for turn in _story(notes, texts):
            clock.advance(timedelta(minutes=1) if turn.session == session else timedelta(hours=6))
            session = turn.session
            if turn.rewritten is not None:
                place, text = turn.rewritten
                mem.update(ids[turn.user][place], text)
            talker.ask(turn.user, turn.session, turn.question)


def _story(notes: dict[str, list[str]], texts: Texts) -> Iterator[Turn]:
    draw = random.Random(SEED)
    shares = list(accumulate(1 / rank**EXPONENT for rank in range(1, MEMORIES + 1)))
    said = {user: list(told) for user, told in notes.items()}
    for day in range(CONVERSATIONS):
        for user in said:
            for _ in range(TURNS):
                rewritten = None
                if draw.random() < REWRITTEN:
                    [place] = draw.choices(range(MEMORIES), cum_weights=shares)
                    said[user][place] = f"{said[user][place].rstrip('.')} {texts.question(said[user][place])[1][0]}."
                    rewritten = place, said[user][place]
                [about] = draw.choices(range(MEMORIES), cum_weights=shares)
                yield Turn(user, f"{user} {day}", texts.question(said[user][about])[0], rewritten)


def _answer(messages: Messages, counted: Counted) -> str:
    """What a model might say: as many words as a short answer has."""
    rank = len(counted.prompts)
    answer = " ".join(f"word{(rank * 31 + n) % 997}" for n in range(40)) + "."
    counted.take(messages, answer)
    return answer


class _Chat:
    """Prompts of the system itself."""

    def __init__(self, mem: MemOS, counted: Counted) -> None:
        self._mem = mem

    def ask(self, user: str, session: str, question: str) -> None:
        self._mem.chat(
            question,
            user_id=user,
            session_id=session,
            limit=LIMIT,
            memory_tokens=MEMORY_TOKENS,
            history_tokens=HISTORY_TOKENS,
        )


class _ByRelevance:
    """Memories in the order in which they were found, anew for each question, before the conversation or behind it."""

    def __init__(self, mem: MemOS, counted: Counted, *, in_system: bool) -> None:
        self._mem, self._counted, self._in_system = mem, counted, in_system
        self._talks: dict[str, list[dict[str, str]]] = {}

    def ask(self, user: str, session: str, question: str) -> None:
        talk = self._talks.setdefault(session, [])
        lines, room = [], MEMORY_TOKENS
        shown = {one["content"] for one in talk}
        for hit in self._mem.search(question, user_id=user, limit=LIMIT):
            room -= estimate_tokens(dated(hit.cube))
            if room < 0:
                break
            if hit.cube.text not in shown and not hit.stale:
                lines.append(dated(hit.cube))
        notes = "\n".join(lines)
        head = f"{SYSTEM}\n\n{MANNER} {NOTE}"
        system = {"role": "system", "content": f"{head}\n\nMemories:\n{notes}" if self._in_system else head}
        asked = question if self._in_system else f"Memories:\n{notes}\n\n{question}"
        answer = _answer([system, *talk, {"role": "user", "content": asked}], self._counted)
        said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        talk += said
        self._mem.add(said, user_id=user, session_id=session)


if __name__ == "__main__":
    for row in prefix_reuse():
        print(f"{row.metric:60} {row.value:8g} {row.unit}")
