"""The acts of the demonstration: each does something with a store, measures it, and gives what came of it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pymemos.settings import Settings, from_environment
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.demo_story import Change, Look, Question, Session, Story, StoryClock

if TYPE_CHECKING:
    from pymemos import Difference, Hit, Hits, MemCube, MemOS, Record

T = TypeVar("T")
USER = "demo"
TASTE = 4  # the session that is quoted
FIRST = 5  # evidence counts as found among so many hits
FIVE_LINES = """\
from pymemos import MemOS
with MemOS({home}) as mem:
    mem.add("Wren flies to Gdynia on 25 September, seat 7A.", user_id="me")
    hits = mem.search("When does Wren fly to Gdynia?", user_id="me")
    print(hits.context(max_tokens=100))"""


class Kept(msgspec.Struct, frozen=True):
    """A session that was remembered, and how long that took."""

    session: Session
    messages: int
    milliseconds: float


class Answer(msgspec.Struct, frozen=True):
    """A question with what was found; ``ranks`` are the places of its evidence, None where it was not among them."""

    question: Question
    hits: Hits
    ranks: dict[str, int | None]

    @property
    def shown(self) -> list[tuple[int, Hit]]:
        """The evidence with its places, best first; the first hit where there is none."""
        places = sorted(rank for rank in self.ranks.values() if rank) or [1][: len(self.hits)]
        return [(rank, self.hits[rank - 1]) for rank in places]

    @property
    def found(self) -> bool:
        """Whether all of the evidence is among the hits."""
        return all(self.ranks.values())


class Seen(msgspec.Struct, frozen=True):
    """What a question found at a moment: the memory that changes, in the version of that moment, and its place."""

    look: Look
    hit: Hit | None
    rank: int


class Changed(msgspec.Struct, frozen=True):
    """A memory before and after its change, with its versions and what a question finds at several moments."""

    change: Change
    before: MemCube
    after: MemCube
    versions: Sequence[Record]
    difference: Difference
    seen: list[Seen]


class Ran(msgspec.Struct, frozen=True):
    """A program that was run by a new process, and what it printed."""

    code: str
    output: str


class Proof(msgspec.Struct, frozen=True):
    """What can be checked: the audit log, the export, the doctor's findings."""

    entries: int
    memories: int
    bytes: int
    same: bool
    checks: int
    sound: bool


class Stopwatch:
    """How long each kind of call took, in milliseconds."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def time(self, name: str, call: Callable[[], T]) -> T:
        """What ``call`` gives; its time is noted under ``name``."""
        started = time.perf_counter()
        result = call()
        self.taken.setdefault(name, []).append((time.perf_counter() - started) * 1000)
        return result

    def median(self, name: str) -> float:
        """The time that half of the calls stayed below."""
        times = sorted(self.taken[name])
        return times[len(times) // 2]

    def total(self, name: str) -> float:
        """All calls together."""
        return sum(self.taken[name])


class Place:
    """The folder of the tour's store, and the key and the signed head that it has in another folder."""

    def __init__(self, home: Path, *, temporary: bool) -> None:
        self.home = home
        self._temporary = temporary
        self._before = _keys()

    def removal(self) -> list[str]:
        """The command that leaves nothing behind."""
        return ["rm", "-r", str(self.home), *map(str, self._beside())]

    def remove(self) -> None:
        """Leave nothing behind; a folder that somebody named is theirs."""
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)
            for file in self._beside():
                file.unlink(missing_ok=True)

    def size(self) -> int:
        """How many bytes the store takes on the disk."""
        return sum(file.stat().st_size for file in self.home.rglob("*") if file.is_file())

    def _beside(self) -> list[Path]:
        """The key and the head; none where other stores were made meanwhile, for it cannot be told which is which."""
        made = _keys() - self._before
        if len(made) != 1:
            return []
        [key] = made
        return [file for file in (key, key.with_suffix(".head")) if file.exists()]


class Tour:
    """The acts in their order, on one store; ``watch`` keeps the time of every call."""

    def __init__(self, mem: MemOS, place: Place, story: Story, clock: StoryClock) -> None:
        self.mem, self.place, self.story, self._clock = mem, place, story, clock
        self.watch = Stopwatch()
        self.ids: dict[str, str] = {}  # of memories, by the ids of the messages
        self.answers: list[Answer] = []

    @property
    def memories_per_second(self) -> float:
        """How fast the sessions were taken in."""
        return len(self.ids) * 1000 / self.watch.total("add")

    @property
    def by_meaning(self) -> bool:
        """Whether an embedder took part in the searches."""
        return any(one.name == "meaning" for answer in self.answers for hit in answer.hits for one in hit.why)

    def commands(self) -> dict[str, list[str]]:
        """Commands that a reader can copy, as the words of a shell: this program, on this store."""
        start = [*_program(), "--home", str(self.place.home)]
        mine = ["--user", USER]
        return {
            "remember": [*start, "list", *mine, "--session", self.story.sessions[TASTE].id],
            "ask": [*start, "search", self.story.questions[3].ask, *mine, "--explain"],
            "model": [*_program(), "models", "prepare", "minilm"],
            **{change.turn: [*start, *self._follow_up(change), *mine] for change in self.story.changes},
            "python": [*start, "search", self.story.questions[8].ask, *mine, "--context", "120"],
            "log": [*start, "log", "--limit", "10"],
            "doctor": [*start, "doctor"],
        }

    def remember(self) -> Iterator[Kept]:
        """Add every session on its own evening."""
        for session in self.story.sessions:
            self._clock.turn_to(session.ends)
            started = time.perf_counter()
            added = self.mem.add(session.messages(), user_id=USER, session_id=session.id)
            taken = (time.perf_counter() - started) * 1000
            self.watch.taken.setdefault("add", []).append(taken)
            self.ids |= {turn.id: id for turn, id in zip(session.turns, added.ids, strict=True)}
            yield Kept(session, len(added.ids), taken)

    def ask(self) -> Iterator[Answer]:
        """Ask every question."""
        for question in self.story.questions:
            hits = self._search(question.ask)
            places = {id: rank for rank, hit in enumerate(hits, start=1) for id in hit.source_ids}
            self.answers.append(Answer(question, hits, {id: places.get(id) for id in question.evidence}))
            yield self.answers[-1]

    def change(self) -> Iterator[Changed]:
        """Make every change, and ask about it as of several moments."""
        for change in self.story.changes:
            self._clock.turn_to(change.at)
            id = self.ids[change.turn]
            before = self.mem.get(id, user_id=USER)
            after = self._update(id, change)
            yield Changed(
                change,
                before,
                after,
                self.watch.time("history", lambda id=id: self.mem.history(id, user_id=USER)),  # type: ignore[misc]
                self.watch.time("diff", lambda id=id: self.mem.diff(id, 1, 2, user_id=USER)),  # type: ignore[misc]
                [self._look(change, look) for look in change.looks],
            )

    def run_five_lines(self) -> Ran:
        """Let another process use the same store, in five lines."""
        self._clock.release()
        code = FIVE_LINES.format(home=json.dumps(str(self.place.home)))
        command = [sys.executable, "-c", code]
        done = self.watch.time(
            "five lines",
            lambda: subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True),  # noqa: S603 (the lines above)
        )
        return Ran(code, done.stdout.rstrip())

    def prove(self) -> Proof:
        """Carry everything to an empty store and back, and let the doctor look."""
        from pymemos.interface.transfer import from_line
        from pymemos.system import MemOS

        lines = self.watch.time("export", lambda: list(self.mem.export_lines(user_id=USER)))
        with tempfile.TemporaryDirectory() as folder, MemOS(settings=_passing(Path(folder))) as other:
            self.watch.time("import", lambda: other.import_records(map(from_line, lines)))
            same = list(other.export_lines(user_id=USER)) == lines
        findings = self.watch.time("doctor", self.mem.doctor)
        return Proof(
            entries=len(self.mem.log(limit=10_000)),
            memories=len(lines),
            bytes=sum(len(line) + 1 for line in lines),
            same=same,
            checks=len(findings),
            sound=all(finding.ok for finding in findings),
        )

    def _search(self, question: str, look: Look = Look("")) -> Hits:  # noqa: B008 (frozen)
        return self.watch.time(
            "search",
            lambda: self.mem.search(
                question, user_id=USER, limit=FIRST, valid_at=look.valid_at, known_at=look.known_at
            ),
        )

    def _update(self, id: str, change: Change) -> MemCube:
        since = self.story.said_at(change.turn) if change.all_along else change.at
        return self.watch.time(
            "update",
            lambda: self.mem.update(id, change.text, user_id=USER, timestamp=change.at, valid_from=since),
        )

    def _look(self, change: Change, look: Look) -> Seen:
        hits = self._search(change.ask, look)
        wanted = self.ids[change.turn]
        rank, hit = next(((rank, hit) for rank, hit in enumerate(hits, start=1) if hit.cube.id == wanted), (0, None))
        return Seen(look, hit, rank)

    def _follow_up(self, change: Change) -> list[str]:
        """What to ask of a change: its history, or a search as of a moment."""
        known_at = next((look.known_at for look in change.looks if look.known_at), None)
        if known_at is None:
            return ["history", self.ids[change.turn]]
        return ["search", change.ask, "--known-at", show.moment(known_at).replace(" ", "T")]


def _passing(folder: Path) -> Settings:
    """A store that leaves nothing behind, its key neither."""
    return Settings(home=folder / "store", config_dir=folder / "keys", embedder="none")


def quoted(word: str) -> str:
    """A word as a shell reads it; a question is easier on the eye between double quotes."""
    if "'" in word and not set(word) & set('"$`\\!'):
        return f'"{word}"'
    return shlex.quote(word)


def _program() -> list[str]:
    """How this program was started: by its name, by its path, or as a module."""
    started = Path(sys.argv[0])
    if started.name != "pymemos":
        return [sys.executable, "-m", "pymemos"]
    on_path = shutil.which("pymemos")
    return ["pymemos" if on_path and started.exists() and Path(on_path).samefile(started) else sys.argv[0]]


def _keys() -> set[Path]:
    """The keys of the stores of this machine."""
    return set(from_environment(os.environ, Path.home()).config_dir.glob("*.key"))
