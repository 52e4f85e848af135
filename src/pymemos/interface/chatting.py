"""The requests of a chat: what it recalls before the model is asked, and what is kept of it afterwards (ADR 0034)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

import msgspec

from pymemos.cube.call import Request
from pymemos.cube.cube import MemCube, Parent, Source, Standing
from pymemos.cube.filters import Compare
from pymemos.cube.header import LIVE, Origin, Provenance, SemanticType, Stage
from pymemos.infrastructure.vault import Draft
from pymemos.interface.activation import SYSTEM
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.handlers import AddHandler, Prepared, SearchHandler, derive
from pymemos.interface.requests import Added, Labels, Message, Pin, Search
from pymemos.interface.rights import calls_left
from pymemos.interface.schedule_policies import policy_of
from pymemos.interface.segments import SegmentIndex, judged
from pymemos.interface.sources import is_known, marked, may_read
from pymemos.interface.tasks import tasks_of
from pymemos.operation.hits import Hits
from pymemos.operation.prefixes import path_behind
from pymemos.operation.strategies import SchedulePolicy
from pymemos.operation.swapping import Tasks
from pymemos.ports import Record

LOOKED_AT = 500  # memories in use that the hottest are chosen from
USED_OFTEN = 3  # uses from which on a memory is looked at for that


class Recall(Search, frozen=True, kw_only=True, tag="recall"):
    """Find what answers a question, and in the same snapshot what the conversation stands on."""

    session: str | None = None  # whose last messages are wanted
    turns: int = 0  # at most so many of them
    held: tuple[str, ...] = ()  # memories that stand in the conversation's prompt: do they still hold?
    hot: int = 0  # so many of the most used memories
    plan: SchedulePolicy | None = None  # by which it is planned; None: by the policy that is set, if one is
    is_planned: bool = False  # plan also where none is set
    head: str | None = None  # the text that the prompt begins with, for a plan: which block is stored behind it?


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """What a chat may build its prompt from; ``at`` and ``seqs`` say which snapshot it is of."""

    hits: Hits
    turns: tuple[MemCube, ...]  # the last messages of the session, oldest first
    held: tuple[MemCube, ...]  # those that were asked for and still hold, as they are now
    hot: tuple[MemCube, ...]  # hottest first
    at: datetime
    seqs: dict[str, int]  # by namespace, of those that the caller may read whole
    policy: SchedulePolicy | None = None  # by which to plan; None: nobody asked for a plan
    block: tuple[MemCube, ...] = ()  # where it is planned: whose segments are stored behind the head, in order
    calls: int | None = None  # where it is planned: that the caller's rate limits leave; one is for keeping the answer
    tasks: Tasks = Tasks()  # where the call names a task: what is kept of the owner's


class Chat(Request, frozen=True, kw_only=True, tag="chat"):
    """Record what an answer was made from, and keep the question and the answer, unless a source changed meanwhile."""

    question: Message
    answer: Message
    used: tuple[Parent, ...] = ()  # everything that stood in the prompt, as it was read
    sources: tuple[str, ...] = ()  # of those the ones that the question found: the answer is made from them
    learned: tuple[Pin, ...] = ()  # what an adapter beside these told of: the answer is made from that too
    question_alone: bool = False  # keep the question though a source changed; the answer is never kept then
    model: str = ""
    about: dict[str, Any] = msgspec.field(default_factory=dict)  # what it cost, for the log

    # What AddHandler asks of a request that adds messages.
    labels: Labels = Labels(
        semantic_type=SemanticType.MESSAGE, provenance={"model": None}
    )  # the question is no model's
    conversation: bool = False  # an exchange needs no manifest: its session has the order
    parents: tuple[Pin, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """Both of them, in their order."""
        return (self.question, self.answer)


class Unkept(Request, frozen=True, kw_only=True, tag="chat"):
    """Record what an answer was made from, and keep nothing of it."""

    used: tuple[Parent, ...] = ()
    about: dict[str, Any] = msgspec.field(default_factory=dict)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is there of a chat afterwards: its messages, and the sources that no longer say what was read of them."""

    cubes: tuple[MemCube, ...] = ()
    changed: tuple[Source, ...] = ()


class RecallHandler(SearchHandler):
    """A search that also reads what a conversation's prompt is made of; what it finds counts as used, the rest not."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Recall = work.call.request  # type: ignore[assignment]
        outcome = super().run(work, prepared)
        turns, held = _turns(work, request), _holding(work, request.held)
        hot = _hottest(work, request.hot)
        beside = dict.fromkeys(cube.id for cube in (*turns, *held, *hot))
        policy = request.plan or policy_of(work.unit, work.call.caller)
        if policy is None and request.is_planned:
            policy = SchedulePolicy()
        recalled = Recalled(
            hits=outcome.result,
            turns=turns,
            held=held,
            hot=hot,
            at=work.now,
            seqs=dict(_seqs(work)),
            policy=policy,
            block=_block(work, request.head) if policy is not None and request.head is not None else (),
            calls=_calls_left(work) if policy is not None else None,
            tasks=Tasks() if work.call.caller.task is None else tasks_of(work.unit, work.call.caller.namespace),
        )
        return msgspec.structs.replace(
            outcome, result=recalled, beside=tuple(id for id in beside if id not in set(outcome.memories))
        )


class ChatHandler(AddHandler):
    """Looks at the sources again and keeps the exchange in one transaction: an answer is never kept on what is gone."""

    def run(self, work: Work, prepared: Prepared) -> Outcome:
        request: Chat = work.call.request  # type: ignore[assignment]
        changed, used = _changed(work, request.used), tuple(one.id for one in request.used)
        elsewhere = _elsewhere(work, used)
        if changed and not request.question_alone:
            return Outcome(result=Kept(changed=changed), memories=used, about=request.about, elsewhere=elsewhere)
        if changed:
            prepared = prepared._replace(found=prepared.found[:1], drafts=prepared.drafts[:1])
        kept: Added = (outcome := super().run(work, prepared)).result
        others = {id for _, ids in elsewhere for id in ids}
        return Outcome(
            result=Kept(cubes=kept.cubes, changed=changed),
            memories=(*(id for id in used if id not in others), *outcome.memories),
            about=request.about,
            elsewhere=elsewhere,
        )

    def derived(self, work: Work, drafts: list[Draft]) -> list[Draft]:
        """The answer is made from what the question found, and is gone or stale with it; the question is not."""
        request: Chat = work.call.request  # type: ignore[assignment]
        question, *answers = drafts
        versions = {one.id: one.version for one in request.used}
        pins = (*(Pin(id=id, version=versions[id]) for id in request.sources), *request.learned)
        said = Provenance(trigger="chat", model=request.model or None)
        return [question, *(derive(work, one, pins, origin=Origin.INFERENCE, provenance=said) for one in answers)]


class UnkeptHandler(Handler):
    """Looks at the sources again; the log has what was used and what it cost."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Unkept = work.call.request  # type: ignore[assignment]
        used = tuple(one.id for one in request.used)
        return Outcome(
            result=Kept(changed=_changed(work, request.used)),
            memories=used,
            about=request.about,
            elsewhere=_elsewhere(work, used),
        )


HANDLERS: dict[type[Request], Handler] = {
    Recall: RecallHandler(),
    Chat: ChatHandler(),
    Unkept: UnkeptHandler(),
}


def _calls_left(work: Work) -> int | None:
    """What the caller's rate limits leave for reading, once the answer is kept or at least recorded."""
    left = calls_left(work.of, work.decision, work.tools.meter)
    return None if left is None else max(left - 1, 0)


def _turns(work: Work, request: Recall) -> tuple[MemCube, ...]:
    """The last messages of a session that the call may show, oldest first."""
    if not request.turns or request.session is None:
        return ()
    turn = work.unit.last_turn(work.call.caller.namespace, request.session)
    found: list[MemCube] = []
    while turn is not None and len(found) < request.turns:
        found.append(turn.cube)
        turn = work.unit.turns_around(turn.cube.id)[0]
    agent = work.call.scope.agent
    own = [cube.id for cube in reversed(found) if agent is None or cube.header.descriptive.agent == agent]
    return _holding(work, own)


def _holding(work: Work, ids: Iterable[str], stages: Sequence[Stage] = LIVE) -> tuple[MemCube, ...]:
    """Those of some memories that a search could give the caller now: there, open to it, alive, not over, not stale."""
    records: list[Record] = work.unit.current(list(dict.fromkeys(ids)))
    cubes = [record.cube for record in records if _is_served(work, record, stages)]
    return tuple(cube for cube in marked(work, cubes) if not cube.stale)


def _is_served(work: Work, record: Record, stages: Sequence[Stage]) -> bool:
    cube = record.cube
    if record.valid_to is not None and record.valid_to <= work.now:
        return False
    return cube.stage_at(work.now) in stages and may_read(work, cube) and not work.veil.hides(cube)


def _hottest(work: Work, count: int) -> tuple[MemCube, ...]:
    """The most used memories of the call's reach; where very many are in use, of the first that are."""
    if not count:
        return ()
    selection = work.unveiled().selection(Compare("uses", "gte", USED_OFTEN), ended=False, stages=LIVE)
    records: list[Record] = work.unit.page(selection, limit=LOOKED_AT)
    warm = sorted(records, key=lambda record: -record.cube.header.behaviour.heat_at(work.now))[:count]
    return _holding(work, [record.cube.id for record in warm])


def _block(work: Work, head: str) -> tuple[MemCube, ...]:
    """The memories whose segments are stored behind a system's text, each behind those before, as far as they hold.

    Of several ways that are stored, the longest.
    """
    if work.tools.segments is None:
        return ()
    index: SegmentIndex = work.tools.segments
    own = [one for name in work.decision.namespaces or () for one in index.at(work.unit, name).segments.values()]
    begins = [record.cube for record in work.unit.current([one.id for one in own if not one.start])]
    heads = {cube.id for cube in begins if cube.header.descriptive.metadata.get(SYSTEM) == head}
    path = path_behind(heads, own)
    reasons = judged(work, path)
    usable = list(takewhile(lambda one: one.id not in reasons, path))
    ids = [one.source for one in usable if one.source is not None]
    held = {cube.id: cube for cube in _holding(work, ids) if _is_in_scope(work, cube)}
    return tuple(held[id] for id in takewhile(lambda id: id in held, ids))


def _is_in_scope(work: Work, cube: MemCube) -> bool:
    """Whether a memory is of the session and the agent that the call is bound to."""
    scope, said = work.call.scope, cube.header.descriptive
    return scope.session in (None, said.session) and scope.agent in (None, said.agent)


def _seqs(work: Work) -> Iterable[tuple[str, int]]:
    """The number of the last change of each namespace; who may read only a part would count what it may not."""
    for name in work.decision.namespaces or ():
        space = work.unit.namespace(name)
        if space is not None and work.reads_whole(name):
            yield name, space.seq


def _changed(work: Work, used: Sequence[Parent]) -> tuple[Source, ...]:
    """Those of some memories that no longer say what was read of them, or that the caller may not read any more.

    What is frozen takes no edits, so it holds: a vector is served so, and what was frozen meanwhile says the same.
    """
    now = {cube.id: cube.content_hash for cube in _holding(work, [one.id for one in used], (*LIVE, Stage.FROZEN))}
    return tuple(
        Source(id=one.id, standing=Standing.CHANGED if one.id in now else _standing(work, one.id))
        for one in used
        if now.get(one.id) != one.content_hash
    )


def _standing(work: Work, id: str) -> Standing:
    """How a memory that is not served any more stands, as far as the caller may know."""
    if not is_known(work, work.unit.owner_of(id)):
        return Standing.UNKNOWN
    current = work.unit.current([id])
    if not current:
        return Standing.DELETED
    return Standing.ENDED if may_read(work, current[0].cube) else Standing.UNKNOWN


def _elsewhere(work: Work, used: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The memories of other owners among those that were used: each learns of it in its own log."""
    own = work.decision.namespaces or (work.call.caller.namespace,)
    if len(own) > 1:
        return ()  # the door tells them apart itself
    places: dict[str, list[str]] = {}
    for id in used:
        owner = work.unit.owner_of(id)
        if owner is not None and owner not in own:
            places.setdefault(owner, []).append(id)
    return tuple((name, tuple(ids)) for name, ids in places.items())
