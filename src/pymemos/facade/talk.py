"""One answer, from the question to what is kept of it: recall, lay out, ask, look again, keep (7.1, ADR 0034)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pymemos.cube.call import Request
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import EVERYTHING, Filter
from pymemos.cube.header import Trust
from pymemos.errors import ChatFailed, ModelError, SensitiveText
from pymemos.facade.drafting import RATED, UNMEASURED, Draft, candidate, unused
from pymemos.facade.fitting import NOTHING, fitted, narrowed
from pymemos.interface.arguments import EXACT
from pymemos.interface.attaching import Attached, Attacher, Routing
from pymemos.interface.chatting import Chat, Kept, Recall, Recalled, Unkept
from pymemos.interface.requests import Message, Pin
from pymemos.interface.steering import Steering
from pymemos.interface.swapper import Change, Swapper
from pymemos.operation.context import estimate_tokens
from pymemos.operation.costs import Calibration, Form
from pymemos.operation.layout import Budget, Exchange, Layout, LeftOut, Note, lay_out
from pymemos.operation.planning import Planned
from pymemos.operation.prompting import Script, head, script
from pymemos.operation.replies import (
    Cost,
    Injection,
    Injector,
    Plan,
    Reply,
    Tier,
    Used,
    Who,
    Within,
    as_text,
    is_engine,
    read_by,
    used_of,
)
from pymemos.operation.scheduler import CALLS, Place
from pymemos.operation.strategies import SchedulePolicy
from pymemos.operation.swapping import Swapped
from pymemos.ports import ChatModel, ChatOptions, Engine, Piece, Prompt, Usage

TURNS: Final = 80  # messages of a session that are looked at: beyond any usual budget for the conversation
HOTTEST: Final = 40
CONVERSATIONS: Final = 1_000  # whose last layout is kept in memory; one that is not is laid out anew
TURN_TOKENS: Final = 8  # that a chat template takes around an exchange (an estimate)
NARROWED: Final = 3  # times that a prompt is laid out anew for a window; the last time nothing but the question is left
NO_MODEL: Final = (
    "no chat model is set; run 'pymemos models use --chat https://host/v1#model' for an endpoint (a key goes into "
    "PYMEMOS_CHAT_KEY), set PYMEMOS_CHAT, or pass MemOS(chat=...)"
)
Dispatch = Callable[[Who, Request], Any]
Key = tuple[str | int | None, ...]
Promote = Callable[[Who, Sequence[Note], str | None, Injection], None]  # what happens to a block that was used again


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asked for; ``given`` is the conversation before it, where the caller brings its own."""

    question: Message
    given: tuple[Exchange, ...] | None
    system: str | None
    options: ChatOptions
    limit: int
    where: Filter | None
    longest: int  # characters of an answer: of more, no memory could be made
    budget: Budget = Budget()
    remember: bool = True
    mode: str = EXACT  # how memories that are stored as keys and values are put together
    steering: Callable[[], Steering] | None = None  # gives the vectors that may be used now
    plan: SchedulePolicy | None = None  # by which it is planned; None: as the policies that are set say
    adapters: bool = False  # whether what an adapter knows may stay out of the prompt


class ChatSeat:
    """What the chats of a process share: the model, opened when it is first asked, and the last layouts."""

    def __init__(self, open_model: Callable[[], ChatModel | None], injector: Injector = as_text) -> None:
        self._open = open_model
        self._model: ChatModel | None = None
        self._opening, self._lock = threading.Lock(), threading.Lock()
        self._layouts: OrderedDict[Key, Layout] = OrderedDict()
        self.injector = injector
        self.promote: Promote = lambda *_: None
        self.prepare: Callable[[], object] = lambda: None  # opens what injects, before anything stored is looked for
        self.swapper: Swapper | None = None  # of the sets of tasks, where there may be a local model
        self.calibrated: Callable[[str], Calibration | None] = lambda _: None  # what was measured of a model

    @property
    def model(self) -> ChatModel:
        """The chat model, opened once, whoever comes first; raises ModelError where there is none."""
        with self._opening:
            self._model = self._model or self._open()
        if self._model is None:
            raise ModelError(NO_MODEL)
        return self._model

    def last(self, *keys: Key) -> Layout | None:
        """The last layout under the first of these keys that has one: of a conversation, else of its owner."""
        with self._lock:
            return next((self._layouts[key] for key in keys if key in self._layouts), None)

    def keep(self, key: Key, layout: Layout) -> None:
        """Remember a layout."""
        with self._lock:
            self._layouts[key] = layout
            self._layouts.move_to_end(key)
            while len(self._layouts) > CONVERSATIONS:
                self._layouts.popitem(last=False)


class Ready(NamedTuple):
    """What there is before the model is asked."""

    recalled: Recalled
    layout: Layout
    words: Script
    keys: tuple[Key, Key]  # of the owner, and of the conversation
    remarks: tuple[str, ...]
    planned: Planned | None = None
    prompt: Prompt | None = None  # in tokens, where that was needed already
    attached: Attached | None = None  # the adapters for this answer, confirmed
    steering: Steering = Steering()  # the vectors for this answer, confirmed

    @property
    def used(self) -> tuple[Parent, ...]:
        """Every memory and message in the prompt, as it was read; adapters with what they stand for, and vectors."""
        notes = [Parent(id=one.id, version=one.version, content_hash=one.content_hash) for one in self.layout.notes]
        shown = {id for one in self.layout.history for id in (one.asked_id, one.answer_id)}
        turns = (cube.pin() for cube in self.recalled.turns if cube.id in shown)
        known = (*(cube.pin() for cube in self.carried), *(self.attached.pins if self.attached else ()))
        return (*notes, *turns, *known, *self.steering.pins)

    @property
    def carried(self) -> tuple[MemCube, ...]:
        """The memories that an adapter stands for."""
        known = set(self.planned.carried) if self.planned is not None and self.attached is not None else set()
        return tuple(hit.cube for hit in self.recalled.hits if hit.cube.id in known)

    @property
    def learned(self) -> tuple[Pin, ...]:
        """What else the adapters know of whom the question names: it may be in the answer, found or not."""
        told = {one.id: one for one in (self.attached.learned if self.attached is not None else ())}
        return tuple(Pin(id=one.id, version=one.version) for one in told.values() if one.id not in self.sources)

    @property
    def sources(self) -> tuple[str, ...]:
        """The memories behind the answer that the question found."""
        found = {hit.cube.id for hit in self.recalled.hits}
        named = (*(note.id for note in self.layout.notes), *(cube.id for cube in self.carried))
        return tuple(dict.fromkeys(id for id in named if id in found))


class Talk:
    """The questions of one caller; ``own`` is where they are kept, ``looking`` where memories are looked for."""

    def __init__(
        self, dispatch: Dispatch, own: Who, looking: Who, seat: ChatSeat, attacher: Attacher | None = None
    ) -> None:
        self._dispatch = dispatch
        self._attacher = attacher
        self._seat = seat
        self._model = seat.model
        if is_engine(self._model):
            seat.prepare()
        self._own, self._looking = (read_by(who, self._model.identity) for who in (own, looking))

    def engine_for(self, asked: str) -> Engine:
        """The model, where it is a local one; else ModelError, as what was asked for needs that."""
        if not is_engine(self._model):
            raise ModelError(
                f"{asked} needs a local model that answers, and {self._model.identity} is none; leave it out, or chat "
                "with a local one ('pymemos models use --chat smollm2', or MemOS(chat=...))"
            )
        return self._model

    def answer(self, asked: Asked) -> Reply:
        """The whole answer; it is made anew, once, where a source changed while it was made."""
        reply = _drained(self.pieces(asked, is_last=False))
        if not reply.plan.changed:
            return reply
        again = _drained(self.pieces(asked, attempts=2))
        return msgspec.structs.replace(
            again, plan=msgspec.structs.replace(again.plan, swap=again.plan.swap or reply.plan.swap)
        )

    def pieces(self, asked: Asked, *, is_last: bool = True, attempts: int = 1) -> Generator[str, None, Reply]:
        """The answer as it is made, and the reply at its end; whoever leaves before that keeps nothing of it."""
        watch, told, injection = _Watch(), _Told(asked.longest), _Box()
        ready = self._ready(asked, watch)
        change = self._begun(ready.recalled)
        for piece in self._said(ready, asked, injection):
            told.take(piece)
            if piece.text:
                watch.mark("first_ms")
                yield piece.text
        self._seat.promote(self._own, ready.layout.stable, asked.system, injection.value)
        text, usage, more = told.whole(ready.words)
        watch.mark("total_ms")
        plan = _plan(self._model.identity, ready, injection.value, more, attempts, watch.cost)
        kept, remarks = self._kept(asked, ready, text, plan, usage, is_last=is_last)
        self._note(asked, ready, text, kept)
        watch.again("total_ms")
        swap = self._swapped(change, ready, injection.value)
        plan = msgspec.structs.replace(
            plan, changed=kept.changed, remarks=(*plan.remarks, *remarks), cost=watch.cost, swap=swap
        )
        ids = tuple(cube.id for cube in kept.cubes)
        return Reply(text=text, plan=plan, usage=usage, finish=told.finish, kept=ids)

    def _ready(self, asked: Asked, watch: _Watch) -> Ready:
        fixed = (asked.question.content, asked.system or "")
        budget, remarks = fitted(asked.budget, self._model.window, asked.options.max_tokens, *fixed)
        owner, key = self._keys(asked)
        last = self._seat.last(key, owner)
        steering = Steering() if asked.steering is None else asked.steering()  # first: a plan counts the calls left
        recalled = self._recalled(asked, last)
        watch.mark("search_ms")
        ready = self._counted(asked, recalled, last, budget, (owner, key))
        watch.mark("layout_ms")
        return ready._replace(steering=steering, remarks=(*remarks, *ready.remarks))

    def _counted(
        self, asked: Asked, recalled: Recalled, last: Layout | None, budget: Budget, keys: tuple[Key, Key]
    ) -> Ready:
        """The prompt, with less in it where an engine counts more tokens than its window has, whatever was estimated.

        Without that a session whose script takes more tokens than we think could never be answered again.
        """
        ready, model = self._drafted(asked, recalled, last, budget, keys), self._model
        if not is_engine(model) or model.window is None:
            return ready
        room = model.window - asked.options.max_tokens
        for tries in reversed(range(NARROWED)):
            prompt = ready.prompt or _prompt(model, ready.words)
            estimated = ready.layout.tokens
            if len(prompt.tokens) <= room or not estimated:
                return ready._replace(prompt=prompt)
            bare = len(_prompt(model, _worded(asked, recalled, Layout())).tokens)
            less = narrowed(budget, estimated=estimated, counted=len(prompt.tokens) - bare, room=room - bare)
            budget, last = (less, last) if tries else (NOTHING, None)  # at last without the block that a talk keeps
            ready = self._drafted(asked, recalled, last, budget, keys)
            ready = ready._replace(remarks=(_narrow(model.window, budget), *ready.remarks))
        return ready

    def _drafted(
        self, asked: Asked, recalled: Recalled, last: Layout | None, budget: Budget, keys: tuple[Key, Key]
    ) -> Ready:
        """The prompt, as ever, or by a plan where somebody asked for one."""
        if recalled.policy is None:
            layout = _layout_of(asked, recalled, last, budget)
            return Ready(recalled, layout, _worded(asked, recalled, layout), keys, ())
        routing, remarks = self._routed(asked, recalled)
        calls = recalled.calls if routing is None or recalled.calls is None else recalled.calls - 1
        draft = Draft(
            recalled=recalled,
            last=last,
            history=exchanges(recalled.turns) if asked.given is None else asked.given,
            budget=budget,
            begins=_begins(last),
            calibration=self._seat.calibrated(self._model.identity),
            calls=calls,
        )
        remarks += () if draft.calibration is not None else (UNMEASURED.format(self._model.identity),)
        layout, planned = draft.drawn(routing)
        ready = Ready(recalled, layout, _worded(asked, recalled, layout), keys, remarks, planned)
        if routing is None or not planned.carried or not is_engine(self._model) or self._attacher is None:
            return ready
        prompt = _prompt(self._model, ready.words)
        attached = self._attacher.gated(self._looking, routing, prompt.tokens)
        remarks += unused(attached.unused[len(routing.unused) :], ())  # those that went meanwhile
        if set(planned.carried) <= {id for route in attached.routes for id in route.sources}:
            return ready._replace(prompt=prompt, attached=attached, remarks=remarks)
        layout, planned = draft.drawn(routing.without())  # it may be used no more, or its gate finds no place here
        return Ready(recalled, layout, _worded(asked, recalled, layout), keys, remarks, planned)

    def _routed(self, asked: Asked, recalled: Recalled) -> tuple[Routing | None, tuple[str, ...]]:
        """The adapters that know whom the question names, of which retrieval found a source, and leaves none out.

        Beside them what is to be said. To look for them is one call, and to use one another.
        """
        if not asked.adapters or self._attacher is None:
            return None, ()
        if recalled.calls is not None and recalled.calls < 1 + CALLS[Form.ADAPTER]:
            return None, (RATED.format(recalled.calls),)
        hits = {hit.cube.id: hit.cube.text for hit in recalled.hits if not hit.stale}
        routing = self._attacher.routes(
            self._looking,
            asked.question.content,
            hits=hits.keys(),
            texts=hits.values(),
            sought=EVERYTHING if asked.where is None else asked.where,
        )
        return routing, unused(routing.unused, hits.keys())

    def _keys(self, asked: Asked) -> tuple[Key, Key]:
        """Under which the layouts of the owner, and of the conversation, are kept; the system's words come first.

        How much room an owner's block has goes by the call, so that one with little room spoils no other's.
        """
        caller = self._own[0]
        whose = (caller.namespace, caller.agent, asked.system)
        owner = (*whose, asked.budget.memory)
        if asked.given is None:
            return owner, (*whose, caller.session, None)
        first = asked.given[0].asked_id if asked.given else given_id((), asked.question.content)
        return owner, (*whose, caller.session, first)

    def _recalled(self, asked: Asked, last: Layout | None) -> Recalled:
        session = self._own[0].session if asked.given is None else None
        request = Recall(
            query=asked.question.content,
            limit=asked.limit,
            where=asked.where,
            session=session,
            turns=TURNS if session is not None else 0,
            held=tuple(dict.fromkeys(note.id for note in last.notes)) if last else (),
            hot=HOTTEST if _begins(last) else 0,
            plan=asked.plan,
            is_planned=asked.adapters,
            head=head(asked.system),
        )
        recalled: Recalled = self._dispatch(self._looking, request)
        return recalled

    def _said(self, ready: Ready, asked: Asked, injection: _Box) -> Iterator[Piece]:
        """The model's answer; an engine gets the prompt in pieces, and what is there of its beginning."""
        model, words, options = self._model, ready.words, asked.options
        if not is_engine(model):
            yield from model.stream(words.messages, options)
            return
        prompt = ready.prompt or _prompt(model, words)
        adapters = ready.attached.adapters if ready.attached is not None else ()
        within = _within(asked, ready.planned)
        with self._seat.injector(model, prompt, self._looking, ready.layout.stable, within) as injected:
            injection.value = injected
            given: dict[str, Any] = {"adapters": adapters} if adapters else {}  # an engine without a tuner takes none
            yield from model.run(prompt.tokens, options, prefix=injected.prefix, steering=ready.steering.uses, **given)

    def _kept(
        self, asked: Asked, ready: Ready, text: str, plan: Plan, usage: Usage, *, is_last: bool
    ) -> tuple[Kept, tuple[str, ...]]:
        """What is there of the exchange afterwards, and what is to be said of that."""
        unkept = Unkept(used=ready.used, about=_about(plan, usage))
        if not asked.remember:
            return self._dispatch(self._looking, unkept), ()
        request = Chat(
            question=asked.question,
            answer=Message(content=text, role="assistant"),
            used=ready.used,
            sources=ready.sources,
            learned=ready.learned,
            question_alone=is_last,
            model=plan.model,
            about=unkept.about,
        )
        try:
            kept: Kept = self._dispatch(self._own, request)
        except SensitiveText as refused:
            return self._dispatch(self._looking, unkept), (f"nothing was kept: {refused}",)
        alone = "a source changed while the answer was made: the question was kept, the answer was not"
        return kept, (alone,) if kept.changed and is_last else ()

    def _begun(self, recalled: Recalled) -> Change | None:
        """Let go of the last task's set where a local model answers and another task is named."""
        if self._seat.swapper is None or not is_engine(self._model):
            return None
        return self._seat.swapper.begin(self._own, recalled.tasks, recalled.at)

    def _swapped(self, change: Change | None, ready: Ready, injection: Injection) -> Swapped | None:
        """Bring the new task's set in, once the answer was given, and note what it was read from."""
        if change is None or self._seat.swapper is None:
            return None
        adapters = ready.attached.parts if ready.attached is not None else ()
        return self._seat.swapper.end(change, (*injection.parts, *adapters))

    def _note(self, asked: Asked, ready: Ready, text: str, kept: Kept) -> None:
        """Remember where everything stood, for the next turn of this conversation and the next one of its owner."""
        (owner, key), layout = ready.keys, ready.layout
        self._seat.keep(owner, Layout(stable=layout.stable))
        if kept.changed or (len(kept.cubes) < 2 and asked.given is None):
            return  # the exchange will not be in the next prompt
        question = asked.question.content
        if asked.given is None:
            told = exchange(kept.cubes[0].id, question, kept.cubes[1].id, text)
        else:
            told = exchange(given_id(asked.given, question), question, "", text)
        told = msgspec.structs.replace(told, notes=layout.fresh, day=ready.recalled.at.date().isoformat())
        self._seat.keep(key, Layout(stable=layout.stable, history=(*layout.history, told)))


def exchange(asked_id: str, asked: str, answer_id: str, answer: str) -> Exchange:
    """A question and its answer with what they cost."""
    tokens = estimate_tokens(asked) + estimate_tokens(answer) + TURN_TOKENS
    return Exchange(asked_id=asked_id, asked=asked, answer_id=answer_id, answer=answer, tokens=tokens)


def given_id(before: Sequence[Exchange], question: str) -> str:
    """A name for a question that the caller brings along: its place and its words."""
    return f"given {len(before)} {question}"


def _worded(asked: Asked, recalled: Recalled, layout: Layout) -> Script:
    return script(layout, asked.question.content, system=asked.system, day=recalled.at.date().isoformat())


def _prompt(model: Engine, words: Script) -> Prompt:
    return model.prompt(words.system, words.notes, words.turns)


def exchanges(turns: tuple[MemCube, ...]) -> tuple[Exchange, ...]:
    """The questions of a session with their answers; what lacks the other half is left to the search."""
    found, asked = [], None
    for cube in turns:
        role = cube.header.descriptive.speaker_role
        if role == "user" and cube.trust is Trust.USER:
            asked = cube
        elif role == "assistant" and asked is not None:
            found.append(exchange(asked.id, asked.text, cube.id, cube.text))
            asked = None
    return tuple(found)


def _within(asked: Asked, planned: Planned | None) -> Within:
    """How much of the prompt may be injected, by its plan where it has one."""
    if planned is None:
        return Within(mode=asked.mode)
    return Within(mode=asked.mode, notes=planned.injected, nbytes=planned.within.device_bytes)


def _begins(last: Layout | None) -> bool:
    """Whether a conversation begins, as far as is known here: then the stable block may change."""
    return last is None or not last.history


def _layout_of(asked: Asked, recalled: Recalled, last: Layout | None, budget: Budget) -> Layout:
    now = recalled.at
    told = exchanges(recalled.turns) if asked.given is None else asked.given
    hits = [hit for hit in recalled.hits if hit.cube.text and not hit.stale]
    layout = lay_out(
        found=[candidate(hit.cube, now, score=hit.score, why=str(hit.why)) for hit in hits],
        hot=[candidate(cube, now) for cube in recalled.hot if cube.text] if _begins(last) else None,
        history=told,
        last=last,
        current={cube.id: cube.content_hash for cube in recalled.held},
        budget=budget,
        now=now,
    )
    stale = tuple(LeftOut(hit.cube.id, "stale: its sources changed") for hit in recalled.hits if hit.stale)
    return msgspec.structs.replace(layout, left_out=(*layout.left_out, *stale)) if stale else layout


def _plan(identity: str, ready: Ready, injection: Injection, more: tuple[str, ...], attempts: int, cost: Cost) -> Plan:
    recalled, layout, planned = ready.recalled, ready.layout, ready.planned
    found = {hit.cube.id: str(hit.why) for hit in recalled.hits}
    places = planned.places if planned is not None else {}
    return Plan(
        model=identity,
        at=recalled.at,
        seqs=recalled.seqs,
        used=(*_carried(ready), *used_of(layout, injection.tiers, found, places)),
        history=len(layout.history),
        left_out=layout.left_out,
        memory_tokens=sum(note.tokens for note in layout.notes),
        injected_tokens=injection.tokens,
        steering=ready.steering.ids,
        remarks=(*ready.remarks, *injection.remarks, *more),
        attempts=attempts,
        cost=cost,
        decision=planned.decision if planned is not None else None,
    )


def _carried(ready: Ready) -> Iterator[Used]:
    """The memories that an adapter stands for, which take no tokens."""
    routes = ready.attached.routes if ready.attached is not None else ()
    for cube in ready.carried:
        why = next(f"known by the adapter {one.id}: {one.why}" for one in routes if cube.id in one.sources)
        pin = cube.pin()
        yield Used(
            id=pin.id,
            version=pin.version,
            content_hash=pin.content_hash,
            tokens=0,
            why=why,
            tier=Tier.ADAPTER,
            place=Place.WEIGHTS.value,
        )


def _narrow(window: int, budget: Budget) -> str:
    return (
        f"these texts have more tokens than was estimated: the window of {window} left an estimated {budget.memory} "
        f"for memories, {budget.history} for the talk"
    )


def _about(plan: Plan, usage: Usage) -> dict[str, Any]:
    """What the log keeps of an answer: figures and the model's name."""
    cost = {name: round(getattr(plan.cost, name)) for name in ("search_ms", "first_ms", "total_ms")}
    tokens = {"prompt": usage.prompt, "cached": usage.cached, "completion": usage.completion}
    return {"model": plan.model, "tiers": plan.tiers, "injected": plan.injected_tokens, **tokens, **cost}


def _drained(pieces: Generator[str, None, Reply]) -> Reply:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            reply: Reply = end.value
            return reply


class _Box:
    """Where the injection is put down that is only known while the model runs."""

    value = Injection()


class _Told:
    """What the model said so far."""

    def __init__(self, longest: int) -> None:
        self._longest, self._length = longest, 0
        self._pieces: list[str] = []
        self._usage: Usage | None = None
        self.finish = "stop"

    def take(self, piece: Piece) -> None:
        """The next piece; raises ChatFailed where the model does not come to an end."""
        self._length += len(piece.text)
        if self._length > self._longest:
            raise ChatFailed(
                f"the model said more than {self._longest:,} characters, the limit of a text, and was stopped; lower "
                "max_tokens, or raise text_limit"
            )
        self._pieces.append(piece.text)
        self._usage = piece.usage or self._usage
        self.finish = piece.finish or self.finish

    def whole(self, words: Script) -> tuple[str, Usage, tuple[str, ...]]:
        """The answer, what it cost, and what is to be said of that; raises ChatFailed where there is none."""
        text = "".join(self._pieces).encode("utf-8", "replace").decode()
        if not text.strip():
            raise ChatFailed(f"the model said nothing (it ended with {self.finish!r}); ask again, or raise max_tokens")
        if self._usage is not None:
            return text, self._usage, ()
        read = sum(estimate_tokens(one.content) for one in words.messages)
        counted = Usage(prompt=read, completion=estimate_tokens(text))
        return text, counted, ("the model did not say what the answer cost; the tokens are an estimate",)


class _Watch:
    """The milliseconds of each mark from its own beginning on; the first of a name counts."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._marks: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note a time, unless there is one of that name."""
        self._marks.setdefault(name, self._passed())

    def again(self, name: str) -> None:
        """Note a time anew."""
        self._marks[name] = self._passed()

    @property
    def cost(self) -> Cost:
        """All of them."""
        return Cost(**self._marks)

    def _passed(self) -> float:
        return 1_000 * (time.perf_counter() - self._began)
