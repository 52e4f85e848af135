"""The world of an attack: Ana, who has secrets, Eve, who wants them, and everything by which an attack is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.adapter import Manifest, Recipe, Scores, packed
from pymemos.cube.payload import Activation, ModelRef, Parametric
from pymemos.cube.tensors import header
from pymemos.errors import PymemosError
from pymemos.operation.hits import Hits
from pymemos.operation.tracing import Lineage
from pymemos.testing.doubles import FrozenClock, SequentialIds
from pymemos.testing.scripted import Messages, ScriptedChat
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner

ADAPTERS = ("sqlite", "memory")
ANA, EVE = "users/ana", "users/eve"
MODEL = ModelRef(name="m", weights="w")
# What belongs to Ana alone: texts, tags, names of people, moments, rules, sessions and files.
SECRETS = (
    "swordfish", "Krankheit", "zwicky", "hiv-clinic", "before-the-divorce", "only-my-doctor", "late-session",
    "carol", "the-tensor", "pin-4711", "trip-to-reno", "reminder-of-ana",
)  # fmt: skip
MINUTE = timedelta(minutes=1)
FAR = "9000-01-01T00:00:00Z"


class Place(NamedTuple):
    """A store with Ana's memories, and Eve's handle on it."""

    mem: MemOS  # the steward's
    eve: MemOS
    clock: FrozenClock
    folder: Path
    own: str  # a memory of Eve's
    also: str  # and another
    secrets: dict[str, str]  # ids of Ana's memories, by what they are
    job: str
    blob: str
    cached: tuple[str, ...]  # a third memory of Eve's, an adapter of it, and its KV segments
    vector: str  # a steering vector of Eve's
    training: str  # a job of Eve's
    transforming: str  # and another

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id of Ana's."""
        return (*self.secrets.values(), self.job)

    @property
    def segment(self) -> str:
        """A KV segment of Eve's."""
        return self.cached[-1]

    @property
    def lora(self) -> str:
        """An adapter of Eve's."""
        return self.cached[1]

    @property
    def ana(self) -> MemOS:
        """Ana's own handle."""
        return self.mem.bind(user_id="ana")


class Outcome(NamedTuple):
    """What an attack brought in."""

    error: PymemosError | None
    result: Any

    @property
    def told(self) -> str:
        """All of it as text."""
        said = told(self.result)
        return said if self.error is None else f"{said} {type(self.error).__name__}: {self.error}"


@contextmanager
def opened(adapter: str, folder: Path) -> Iterator[Place]:
    """A store of its own with everything in it."""
    clock = FrozenClock()
    doubles: Any = {"store": MemoryStore(), "blobs": MemoryBlobs()} if adapter == "memory" else {}
    engine = ToyEngine(window=1 << 20)
    doubles |= {"clock": clock, "new_id": SequentialIds(), "embedder": "none"}
    doubles |= {"engine": engine, "tuner": ToyTuner(engine.ref), "chat": ScriptedChat(_everything)}
    with MemOS(folder / "home", **doubles) as mem:
        yield furnished(mem, clock, folder)


def _everything(messages: Messages) -> str:
    """The answer of a model that tells all that it was told."""
    return "\n".join(one["content"] for one in messages)


def furnished(mem: MemOS, clock: FrozenClock, folder: Path) -> Place:
    """Let Ana keep something of every kind, and Eve a note."""
    ana, eve = mem.bind(user_id="ana"), mem.bind(user_id="eve")
    ids = _told(ana, clock)
    clock.advance(MINUTE)
    blob, size = ana.put_blob(b"the-tensor of Ana")
    ids["tensor"] = ana.add(Activation(form="kv", blob=blob, size=size, model=MODEL), parents=[ids["text"]]).ids[0]
    ana.share(ids["text"], to="users/carol", name="only-my-doctor")
    ana.set_access_policy("only-my-doctor tonight", {"effect": "deny", "what": {"tags": "hiv-clinic"}, "who": [EVE]})
    clock.advance(MINUTE)
    ana.snapshot("before-the-divorce")
    job = ana.enqueue("note", {"about": "reminder-of-ana"}, dedup_key="reminder-of-ana") or ""
    mem.log()  # what waits to be written is written
    own = eve.add("Eve likes tea.", tags=["tea"]).ids[0]
    eve.update(own, "Eve likes green tea.")
    clock.advance(MINUTE)
    also = eve.add("Eve likes milk.", tags=["tea"]).ids[0]
    clock.advance(MINUTE)
    juice = eve.add("Eve likes juice.").ids
    cached = (*juice, _adapter(eve, juice), *eve.encode(juice).ids)
    training = eve.enqueue("distil", {"ids": list(juice)}, run_at=FAR) or ""
    transforming = eve.enqueue("transform", {"ids": list(juice), "to": "activation"}, run_at=FAR) or ""
    clock.advance(MINUTE)
    vector = eve.steer_from([(f"Well said, {number}!", f"meh {number}") for number in range(6)]).id
    clock.advance(MINUTE)
    return Place(mem, eve, clock, folder, own, also, ids, job, blob, cached, vector, training, transforming)


def _adapter(eve: MemOS, parents: Sequence[str]) -> str:
    """An adapter that somebody trained elsewhere."""
    scores = Scores(
        recall=1.0,
        phrasings=1,
        leak=0.0,
        near_misses=1,
        leak_same_subject=0.0,
        others=1,
        controls=1,
        changed=0,
        perplexity=1.0,
        perplexity_base=1.0,
    )
    manifest = Manifest(
        model=MODEL,
        namespace=EVE,
        sources=(),
        subjects=("Eve",),
        facts=(),
        recipe=Recipe(),
        scores=scores,
        admitted=True,
    )
    blob, size = eve.put_blob(packed(header([], {}), b"{}", manifest))
    return eve.add(Parametric(blob=blob, size=size, model=MODEL, admitted=True), parents=list(parents)).ids[0]


def _told(ana: MemOS, clock: FrozenClock) -> dict[str, str]:
    text = ana.add(
        "Swordfish is Ana's password: pin-4711.",
        tags=["hiv-clinic"],
        metadata={"file": "trip-to-reno"},
        sensitivity=["medical"],
        idempotency_key="ana-1",
        session_id="late-session",
    ).ids[0]
    clock.advance(MINUTE)
    ana.update(text, "Swordfish was Ana's password: pin-4711.", metadata={"file": "trip-to-reno"})
    talk = ana.add(
        [
            {"role": "user", "content": "Die Krankheit von Swordfish.", "id": "m1", "name": "Dr. Zwicky"},
            {"role": "user", "content": "Tea at the hiv-clinic on Monday.", "id": "m2", "name": "Ana"},
        ],
        session_id="late-session",
    )
    clock.advance(MINUTE)
    derived = ana.add("Rest, says Zwicky.", parents=[text], provenance={"note": "from swordfish"}).ids[0]
    assert talk.episode is not None
    return {"text": text, "turn": talk.ids[0], "episode": talk.episode.id, "derived": derived}


def strike(mem: MemOS, method: str, **arguments: Any) -> Outcome:
    """Call a method, whatever comes of it; what would be read later is read."""
    try:
        result = getattr(mem, method)(**arguments)
        if method == "what_if":  # what is seen in it is what it tells
            with result as world:
                result = [*world.list(namespaces="*"), *world.search("swordfish Krankheit", namespaces="*")]
        return Outcome(None, list(result) if isinstance(result, Iterator) else result)
    except PymemosError as error:
        return Outcome(error, None)


def told(result: Any) -> str:
    """Everything that a result says, in every form that it has."""
    said = [repr(result), str(result)]
    if isinstance(result, Hits):
        said += [result.explain(), repr(result.decision), str(result.context())]
    if isinstance(result, Lineage):
        said += [result.text(), result.svg()]
    if isinstance(result, memoryview):
        said.append(bytes(result).decode("utf-8", "replace"))
    if isinstance(result, list | tuple):
        said += [str(getattr(one, "text", one)) for one in result]
    return "\n".join(said)


def leaks(place: Place, text: str, *, given: tuple[str, ...] = ()) -> list[str]:
    """What of Ana's stands in a text, apart from what the attacker gave."""
    text = text.casefold()
    for known in sorted(given, key=len, reverse=True):
        text = text.replace(known.casefold(), "")
    wanted = [*SECRETS, *place.ids, place.blob]
    return [secret for secret in wanted if secret.casefold() in text]


def holdings(place: Place) -> list[object]:
    """Everything that is Ana's: memories with every version, rules, moments and jobs."""
    report = place.mem.access_report(user_id="ana")
    jobs = [job for job in place.mem.jobs() if job.namespace == ANA]
    return [
        *place.mem.export_lines(user_id="ana"),
        report.holding,
        report.changes,
        tuple(place.mem.snapshots(user_id="ana")),
        jobs,
    ]


def dump(place: Place) -> object:
    """The whole store, the audit log apart."""
    place.mem.log(limit=1)  # what waits to be written is written, and counted as a use
    store = place.mem._tools.store
    if isinstance(store, MemoryStore):
        state = store._state
        return [(name, getattr(state, name)) for name in state.__slots__ if name != "audit"]
    connection = apsw.Connection(str(place.folder / "home" / "store.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        ).fetchall()
        return {name: list(connection.execute(f'SELECT * FROM "{name}"')) for (name,) in tables if _is_kept(name)}  # noqa: S608
    finally:
        connection.close()


def _is_kept(table: str) -> bool:
    return not table.startswith(("audit", "sqlite_"))


def refusals(place: Place) -> int:
    """How many of Eve's calls the log calls refused."""
    return sum(not entry.allowed for entry in place.eve.log(limit=10_000))


def same_error(one: Outcome, other: Outcome, names: tuple[str, str]) -> bool:
    """Whether two errors are of one type and say the same of the two names."""
    kinds = type(one.error), type(other.error)
    return kinds[0] is kinds[1] and str(one.error).replace(*names) == str(other.error)
