"""The public API as users write it; mypy reads this file, nothing runs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

from pymemos import (
    Activation,
    Added,
    AsyncMemOS,
    Caller,
    Context,
    Decision,
    Deleted,
    Difference,
    Hit,
    Hits,
    MemCube,
    MemOS,
    Merged,
    Page,
    Parametric,
    Plaintext,
    Plan,
    Reply,
    ReplyStream,
    Undone,
)
from pymemos.cube.call import Why
from pymemos.cube.filters import Filter, parse
from pymemos.interface.mover import Turn
from pymemos.operation.decisions import FormDecision
from pymemos.operation.proposing import Schedule
from pymemos.operation.strategies import SchedulePolicy
from pymemos.operation.swapping import SwapDecision, Swapped


def remember(mem: MemOS) -> None:
    """A text, or messages in OpenAI form."""
    assert_type(mem.add("I moved to Lisbon in May.", user_id="alice"), Added)
    talk = [{"role": "user", "content": "Hello", "timestamp": datetime(2025, 5, 8, tzinfo=UTC)}]
    added = mem.add(talk, user_id="alice", session_id="s1", tags=["work"], metadata={"n": 1}, idempotency_key="k")
    assert_type(added.cubes, tuple[MemCube, ...])


def talk(mem: MemOS) -> None:
    """An answer, whole or as it is made; what it was made from comes with it."""
    reply = mem.chat("Where do I live?", user_id="alice", session_id="s1", max_tokens=100, schema={"type": "object"})
    assert_type(reply, Reply)
    assert_type(reply.plan, Plan)
    stream = mem.chat([{"role": "user", "content": "Hello"}], stream=True, remember=False)
    assert_type(stream, ReplyStream)
    assert_type(next(stream), str)
    assert_type(mem.chat("Hello", mode="blend", steering=["id"]), Reply)
    assert_type(mem.chat("Hello", schedule="recency", use_adapters=True), Reply)


def schedule(mem: MemOS) -> None:
    """Moves between forms, proposed and carried out, and why; by which policy chats are planned."""
    assert_type(mem.schedule(user_id="alice"), Schedule)
    turn = mem.move(user_id="alice")
    assert_type(turn, Turn)
    assert_type(turn.decisions, tuple[FormDecision, ...])
    assert_type(mem.decisions("id")[0].again(), FormDecision)
    assert_type(mem.set_schedule_policy({"strategy": "labels", "labels": ["work"]}, task="x"), SchedulePolicy | None)
    assert_type(mem.schedule_policy(), SchedulePolicy | None)
    assert_type(mem.set_schedule_policy({"budgets": {"seconds": 0.5}}), SchedulePolicy | None)
    assert_type(mem.switch_task("travel", user_id="alice"), Swapped)
    assert_type(mem.swaps()[0].again(), SwapDecision)


def transform(mem: MemOS) -> None:
    """A plan and a job; how far that is; and what was lost, in the header of what it made."""
    found = mem.transform(["id"], to="parametric", user_id="alice")
    assert_type(found.plan.steps[0].name, str)
    assert_type(mem.transformation(found.job or "").made, tuple[str, ...])
    why = mem.get("id").header.descriptive.provenance
    if why is not None and why.transformed is not None:
        assert_type(why.transformed.measured, dict[str, float])


def find(mem: MemOS) -> None:
    """A search gives hits; hits give a block for a prompt."""
    hits = mem.search("Where?", user_id="alice", limit=5, filters={"tags": {"contains": "work"}})
    assert_type(hits, Hits)
    assert_type(hits[0], Hit)
    assert_type(hits.context(max_tokens=800), Context)
    assert_type(hits.explain(), str)


def change(mem: MemOS, id: str) -> None:
    """Versions are made, compared and deleted, through a handle that carries the caller."""
    alice = mem.bind(user_id="alice", role="parent")
    cube = alice.get(id)
    assert_type(alice.update(id, "I moved to Porto.", expected=cube.version), MemCube)
    assert_type(alice.append(id, "In May."), MemCube)
    assert_type(alice.diff(id, 1, 2), Difference)
    assert_type(alice.list(limit=10, after=None), Page)
    assert_type(alice.delete(id), Deleted)


def together(mem: MemOS, ids: list[str]) -> None:
    """Several memories become one, a new one, or a view."""
    assert_type(mem.plan_merge(ids, conflict="keep_all"), Merged)
    assert_type(mem.merge(ids[0], ids[1:], expected=1), MemCube)
    assert_type(mem.fuse(ids, archive_sources=True), MemCube)
    view = mem.compose("work", namespaces=["users/alice"], filters={"tags": "work"})
    assert_type(mem.search("Where?", view=view.id), Hits)
    assert_type(mem.undo(ids[0]), Undone)


def blend(mem: MemOS, ids: list[str]) -> None:
    """Notes that were encoded apart, once that was measured."""
    probe = mem.probe_blending(cases=100, on_case=print)
    assert_type(probe.allowed, bool)
    assert_type(probe.quality.kl, float)
    assert_type(mem.encode(ids, mode="blend").ids, tuple[str, ...])
    with mem.inject(ids, "Where?", mode="blend") as found:
        assert_type(found.report.remarks, tuple[str, ...])


async def later(mem: AsyncMemOS) -> None:
    """The asynchronous face has the same methods and results."""
    assert_type(await mem.add("I moved to Lisbon.", user_id="alice"), Added)
    assert_type(await mem.search("Where?", user_id="alice"), Hits)


def read(hit: Hit) -> str:
    """A hit is a cube with a score and its reasons."""
    assert_type(hit.score, float)
    assert_type(hit.why, Why)
    assert_type(hit.source_ids, tuple[str, ...])
    return content(hit.cube)


def content(cube: MemCube) -> str:
    """The payload is told apart by its type."""
    match cube.payload:
        case Plaintext(content=text):
            return text
        case Activation(blob=blob) | Parametric(blob=blob):
            return blob


def decide(caller: Caller) -> Decision:
    """A caller narrows; a decision explains itself."""
    narrowed = caller.narrow(session="s1")
    return Decision(allowed=True, rule="owner", reason=f"{narrowed.name} owns it")


def select() -> Filter:
    """A filter is written as plain JSON."""
    return parse({"tags": {"contains": "work"}})
