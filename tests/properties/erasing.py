"""A store with a history, and a model of what was said in it: what was erased is nowhere, what was not still stands."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pymemos import MemOS
from pymemos.adapters.blobs import FileBlobs
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.payload import Activation, ModelRef
from pymemos.errors import PymemosError, StoreError, UnknownMemory
from pymemos.infrastructure import analysis
from pymemos.testing.doubles import FrozenClock, HashingEmbedder
from pymemos.testing.faults import Faults

KEY = bytes(32)
MODEL = ModelRef(name="m", weights="w")
USERS = ("ana", "bo")
COMMON = ("We talked about the weather.", 'Nothing "new" – há chá…', "It was late; 茶が好き.", "ok")
DAY = timedelta(days=1)


@dataclass
class Said:
    """A memory of the model: whose it is, and everything that it ever said."""

    user: str
    texts: list[str]
    rare: list[str]
    parents: tuple[str, ...] = ()
    blob: bytes = b""
    session: str | None = None
    deleted: bool = False
    archived: bool = False


@dataclass
class Place:
    """A store on a disk that can fail, and the model of what it holds and what was erased from it."""

    home: Path
    faults: Faults = field(default_factory=Faults)
    clock: FrozenClock = field(default_factory=FrozenClock)
    here: dict[str, Said] = field(default_factory=dict)
    gone: dict[str, Said] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.embedder = HashingEmbedder(256)
        self.mem = self._open()

    def _open(self) -> MemOS:
        store = SqliteStore(self.home, vfs=self.faults.name, waiting=3)
        return MemOS(
            self.home,
            store=store,
            blobs=FileBlobs(self.home / "blobs"),
            embedder=self.embedder,
            clock=self.clock,
            key=KEY,
        )

    # What people do.

    def word(self) -> str:
        """A word that was never said."""
        self.count += 1
        return "".join("bcdfghjkmn"[int(digit)] + "u" for digit in f"{self.count * 7919 % 100_000:05}") + "zqx"

    def sentence(self, n: int) -> tuple[str, str]:
        rare = self.word()
        return f"{COMMON[n % len(COMMON)]} {rare} it is.", rare

    def add(self, n: int) -> None:
        text, rare = self.sentence(n)
        user = USERS[n % 2]
        [id] = self.mem.add(text, user_id=user, tags=[rare], idempotency_key=f"k{self.count}").ids
        self.here[id] = Said(user, [text], [rare])

    def talk(self, n: int) -> None:
        user, session = USERS[n % 2], f"s{n % 3}"
        said = [self.sentence(n + place) for place in range(2 + n % 2)]
        added = self.mem.add([{"role": "user", "content": text} for text, _ in said], user_id=user, session_id=session)
        for id, (text, rare) in zip(added.ids, said, strict=True):
            self.here[id] = Said(user, [text], [rare], session=session)

    def tensor(self, n: int) -> None:
        rare = self.word()
        content = f"tensor of {rare}".encode()
        blob, size = self.mem.put_blob(content)
        user = USERS[n % 2]
        [id] = self.mem.add(Activation(form="kv", blob=blob, size=size, model=MODEL), user_id=user).ids
        self.here[id] = Said(user, [], [rare], blob=content)

    def derive(self, n: int) -> None:
        source = self.pick(n, deleted=False)
        if source is None or self.here[source].blob:
            return
        user, rare = USERS[n // 2 % 2], self.word()
        text = f"In short: {self.here[source].texts[-1]} {rare}"
        if user != self.here[source].user:
            if self.here[source].archived or self.here[source].parents:
                return
            self.mem.share(source, to=f"users/{user}", user_id=self.here[source].user)
        [id] = self.mem.add(text, user_id=user, parents=[source]).ids
        self.here[id] = Said(user, [text], [rare], parents=(source,))

    def update(self, n: int) -> None:
        id = self.pick(n, deleted=False)
        if id is not None and not self.here[id].blob:
            text, rare = self.sentence(n)
            self.mem.update(id, text)
            self.here[id].texts.append(text)
            self.here[id].rare.append(rare)

    def append(self, n: int) -> None:
        id = self.pick(n, deleted=False)
        if id is not None and not self.here[id].blob:
            text, rare = self.sentence(n)
            self.here[id].texts.append(self.mem.append(id, text).text)
            self.here[id].rare.append(rare)

    def restore(self, n: int) -> None:
        id = self.pick(n, deleted=n % 2 == 0)
        if id is not None and (self.here[id].deleted or len(self.here[id].texts) > 1):
            self.mem.restore(id, *(() if self.here[id].deleted else (1,)))
            self.here[id].deleted = self.here[id].archived = False

    def delete(self, n: int) -> None:
        id = self.pick(n, deleted=False)
        if id is not None:
            self.mem.delete(id)
            self.here[id].deleted = True

    def archive(self, n: int) -> None:
        id = self.pick(n, deleted=False)
        if id is not None and not self.here[id].archived:
            self.mem.archive(id)
            self.here[id].archived = True

    def search(self, n: int) -> None:
        id = self.pick(n)
        rare = self.here[id].rare[-1] if id is not None else "nothing"
        user = USERS[n % 2]
        found = self.mem.search(f"What of {rare}?", user_id=user)
        assert {hit.cube.id for hit in found} <= self.here.keys() | self.episodes()

    def snapshot(self, n: int) -> None:
        self.count += 1
        self.mem.snapshot(f"moment {self.count}", user_id=USERS[n % 2])

    def queue(self, n: int) -> None:
        id = self.pick(n)
        if id is not None:
            self.mem.enqueue("note", {"about": id, "words": self.here[id].rare[-1]}, user_id=self.here[id].user)

    def later(self, n: int) -> None:
        self.clock.advance(timedelta(minutes=n))

    def examine(self, _: int) -> None:
        assert [finding for finding in self.mem.doctor() if not finding.ok] == []

    # What is to be forgotten.

    def erase(self, n: int) -> None:
        id = self.pick(n)
        if id is not None:
            self.mem.erase(id)
            self.forget([id])

    def erase_session(self, n: int) -> None:
        user, session = USERS[n % 2], f"s{n % 3}"
        self.mem.erase(user_id=user, session_id=session)
        self.forget([id for id, one in self.here.items() if (one.user, one.session) == (user, session)])

    def erase_tag(self, n: int) -> None:
        id = self.pick(n)
        if id is not None:
            user, rare = self.here[id].user, self.here[id].rare[0]
            self.mem.erase(user_id=user, filters={"content": {"contains": rare}})
            named = [id for id, one in self.here.items() if one.user == user and any(rare in t for t in one.texts)]
            self.forget(named)

    def forget(self, ids: list[str]) -> None:
        """Move memories of the model, and what was made from them, to what is gone."""
        for id in ids:
            if id in self.here:
                self.gone[id] = self.here.pop(id)
                self.forget([one for one, said in self.here.items() if id in said.parents])

    def crash_erasing(self, n: int) -> None:
        """The power fails while memories are sealed: they are whole, or they are gone."""
        id = self.pick(n)
        if id is None:
            return
        self.faults.crash_after(n)
        with suppress(PymemosError):
            self.mem.erase(id)
        self.power_loss(n)
        with suppress(UnknownMemory):
            assert self.mem.history(id)
            return
        self.forget([id])

    def full_disk(self, n: int) -> None:
        """There is no room to seal: nothing happens."""
        id = self.pick(n)
        if id is None:
            return
        self.faults.disk_full(n * 100)
        with suppress(StoreError):
            self.mem.erase(id)
            self.forget([id])
        self.faults.heal()
        if id in self.here:
            assert len(self.mem.history(id)) >= 1

    def crash_scrubbing(self, n: int) -> None:
        """The power fails at some step of the scrub."""
        self.faults.crash_after(n * 3)
        with suppress(PymemosError):
            self.mem.tick(limit=3)
        self.power_loss(n)

    def scrub(self, _: int) -> None:
        self.mem.tick()

    def power_loss(self, n: int) -> None:
        with suppress(PymemosError):
            self.mem.close()
        self.faults.power_loss(seed=n)
        self.faults.heal()
        self.clock.advance(DAY)  # leases run out
        self.mem = self._open()

    def finish(self) -> None:
        """Let every receipt be signed."""
        for _ in range(10):
            if all(receipt.signed for receipt in self.mem.receipts()):
                return
            self.mem.tick()
            self.clock.advance(DAY)

    # What there is.

    def pick(self, n: int, *, deleted: bool | None = None) -> str | None:
        ids = [id for id, one in self.here.items() if deleted is None or one.deleted is deleted]
        return ids[n % len(ids)] if ids else None

    def episodes(self) -> set[str]:
        return {cube.id for user in USERS for cube in self.mem.list(user_id=user, episodes=True) if cube.is_episode}

    def needles(self) -> set[bytes]:
        """Everything that must be nowhere: texts in every form, vectors, rare words with and without their space."""
        kept = {text for one in self.here.values() for text in one.texts}
        held = {row.tobytes() for row in self.embedder.embed(sorted(kept))} if kept else set()
        wanted: set[bytes] = set()
        for one in self.gone.values():
            for text in one.texts:
                wanted |= {text.encode(), json.dumps(text)[1:-1].encode(), text.encode("utf-16-le")}
                vector = self.embedder.embed([text])[0].tobytes()
                wanted |= {vector} - held
            for rare in one.rare:
                stems = analysis.document_terms(rare, "en")
                for word in {rare, *stems}:
                    wanted |= {word.encode(), word.encode("utf-16-le"), *(f"{ns}_{word}".encode() for ns in (1, 2))}
            if one.blob:
                wanted.add(one.blob)
        return wanted

    def close(self) -> None:
        self.mem.close()
