"""Chatting: answers of a model that remembers (7.1)."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack, overload

import msgspec

from pymemos.cube import filters as grammar
from pymemos.cube.call import Caller, Scope
from pymemos.errors import InvalidInput, ModelError
from pymemos.facade.steering import SteeringMemory
from pymemos.facade.talk import Asked, ChatSeat, Talk, exchange, given_id
from pymemos.interface.arguments import (
    BLEND,
    EXACT,
    INT64,
    Planning,
    check_id,
    check_ids,
    check_limit,
    check_metadata,
    check_mode,
    check_number,
    check_planning,
    check_text,
    optional_text,
    parse_messages,
    shown,
)
from pymemos.interface.requests import Message
from pymemos.operation.layout import Budget, Exchange
from pymemos.operation.replies import Reply
from pymemos.ports import ChatOptions

MOST_TOKENS = 10_000_000
HOTTEST_TEMPERATURE = 2.0
Messages = str | Mapping[str, Any] | Iterable[Mapping[str, Any]]


class ChatArguments(TypedDict, total=False):
    """What ``chat`` takes besides the messages, for a checker of types: its result depends on ``stream``."""

    user_id: str | None
    agent_id: str | None
    run_id: str | None
    session_id: str | None
    role: str | None
    task: str | None
    system: str | None
    limit: int
    filters: Mapping[str, Any] | None
    namespaces: Sequence[str] | str | None
    memory_tokens: int
    history_tokens: int
    max_tokens: int
    temperature: float
    stop: Sequence[str]
    seed: int | None
    schema: Mapping[str, Any] | None
    remember: bool
    mode: str
    steering: Sequence[str]
    schedule: Planning | None
    use_adapters: bool


class ReplyStream(Iterator[str]):
    """An answer as it is made: iterate over its pieces; ``reply`` is there at the end.

    Whoever leaves before the end (``close``, or the end of a ``with``) keeps nothing of the exchange. Threads take
    turns: ``close`` waits for the piece that another one is reading.
    """

    def __init__(self, pieces: Generator[str, None, Reply]) -> None:
        self._pieces = pieces
        self._turn = threading.RLock()
        self._reply: Reply | None = None

    def __next__(self) -> str:
        with self._turn:
            try:
                return next(self._pieces)
            except StopIteration as end:
                self._reply = end.value or self._reply
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the answer where it is."""
        with self._turn:
            self._pieces.close()

    @property
    def reply(self) -> Reply:
        """The whole answer with its plan; raises InvalidInput before the stream is at its end."""
        if self._reply is None:
            raise InvalidInput("the answer is not at its end; read the stream to its end first")
        return self._reply


class Chatting(SteeringMemory):
    """The method that answers."""

    _seat: ChatSeat

    @overload
    def chat(self, messages: Messages, *, stream: Literal[False] = ..., **options: Unpack[ChatArguments]) -> Reply: ...
    @overload
    def chat(self, messages: Messages, *, stream: Literal[True], **options: Unpack[ChatArguments]) -> ReplyStream: ...
    def chat(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
        system: str | None = None,
        limit: int = 10,
        filters: Mapping[str, Any] | None = None,
        namespaces: Sequence[str] | str | None = None,
        memory_tokens: int = 1_000,
        history_tokens: int = 6_000,
        max_tokens: int = 512,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
        schema: Mapping[str, Any] | None = None,
        remember: bool = True,
        stream: bool = False,
        mode: str = EXACT,
        steering: Sequence[str] = (),
        schedule: Planning | None = None,
        use_adapters: bool = False,
    ) -> Reply | ReplyStream:
        """The chat model's answer to a text, or to a conversation whose last message is the user's.

        It is given up to ``limit`` memories that answer the question and the most used ones, in ``memory_tokens``, and
        the last turns of the session, in ``history_tokens``; a conversation that is passed stands for these. Memories
        of every session are looked at, unless the handle is bound to one; ``filters`` and ``namespaces`` are as in a
        search. ``reply.plan`` says which memories were used, from which tier, why and at what cost.

        Question and answer are kept in one transaction, unless ``remember`` is false. If the model fails or a stream is
        left, nothing is kept. The answer is made from what the question found: it is stale or erased with that. Sources
        are looked at again before it is returned: where one changed it is made anew, once; what was streamed, or
        changes again, is named in ``plan.changed`` and not kept. ``schema`` asks for JSON (``reply.data``). Raises
        ModelError where no model is set, and ChatFailed.

        A local model can do more: ``steering`` adds these steering vectors (``steer_from``) to the answer, and with
        ``mode="blend"`` the memories of the stable block come, approximately, from segments that were encoded apart
        (see ``encode``). Raises ModelError for any other model, BlendRefused where ``probe_blending`` has not allowed
        it, and for a vector what ``steering`` raises.

        With ``schedule``, or a policy that is set (``set_schedule_policy``), the scheduler plans what is read in which
        order, behind the stored block; see ``reply.plan.decision``. With ``use_adapters``, one that knows whom the
        question names stands for the memories that it learned, which then take no tokens: less exact than text. It is
        used only if ``filters`` and the session leave none of what it learned out.
        """
        own = self._bind(user_id, agent_id, run_id, session_id, role, task)
        options = _options(max_tokens, temperature, stop, seed, schema)
        asked = self._asked(self._parsed(messages, own[0]), system, options, limit, filters, remember)
        asked = msgspec.structs.replace(asked, budget=_budget(memory_tokens, history_tokens), mode=check_mode(mode))
        talk = Talk(self._dispatch, own, self._across(self._anywhere(own), namespaces), self._seat, self._attacher)
        asked = self._planned(talk, asked, schedule, use_adapters)
        asked = self._steered(talk, asked, steering, user_id, agent_id)
        return ReplyStream(talk.pieces(asked)) if stream else talk.answer(asked)

    def _asked(
        self,
        parsed: tuple[Message, tuple[Exchange, ...] | None, str],
        system: str | None,
        options: ChatOptions,
        limit: int,
        filters: Mapping[str, Any] | None,
        remember: bool,
    ) -> Asked:
        """What was asked, each part checked."""
        question, given, said = parsed
        system = optional_text(system, "system", limit=self._settings.text_limit)
        return Asked(
            question=question,
            given=given,
            system="\n\n".join(text for text in (system, said) if text) or None,
            options=options,
            limit=check_limit(limit),
            where=None if filters is None else grammar.parse(filters),
            longest=self._settings.text_limit,
            remember=remember,
        )

    def _planned(self, talk: Talk, asked: Asked, schedule: Planning | None, adapters: bool) -> Asked:
        """What was asked, with how it is planned; raises ModelError where adapters would need a local model."""
        if adapters:
            self._check_local(talk, "use_adapters")
            self._tools.tuner.needed()
        plan = None if schedule is None else check_planning(schedule)
        return msgspec.structs.replace(asked, plan=plan, adapters=bool(adapters))

    def _steered(
        self, talk: Talk, asked: Asked, steering: Sequence[str], user_id: str | None, agent_id: str | None
    ) -> Asked:
        """What was asked, with how its vectors are got, anew for each attempt: one may be erased before it begins.

        Raises ModelError for what needs a local model.
        """
        if asked.mode == BLEND:
            talk.engine_for("mode='blend'")
        named = check_ids(steering, "steering", least=0)
        if not named:
            return asked
        self._check_local(talk, "steering")
        return msgspec.structs.replace(
            asked, steering=partial(self.steering, named, user_id=user_id, agent_id=agent_id)
        )

    def _check_local(self, talk: Talk, asked: str) -> None:
        """Raise ModelError where the model that answers is not the local one."""
        if self._engine() is not talk.engine_for(asked):
            raise ModelError("the model that answers is not the local one that engine= names; pass one of them")

    def _anywhere(self, who: tuple[Caller, Scope]) -> tuple[Caller, Scope]:
        """The same caller in all of its sessions, unless the handle itself is bound to one."""
        caller, scope = who
        return caller, msgspec.structs.replace(scope, session=self._caller.session)

    def _parsed(self, messages: Messages, caller: Caller) -> tuple[Message, tuple[Exchange, ...] | None, str]:
        """The question, the conversation before it where it is brought along, and what the system is to say."""
        if isinstance(messages, str):
            text = check_text(messages, "the prompt", limit=self._settings.text_limit)
            return Message(content=text, role="user"), None, ""
        parsed, _ = parse_messages(messages, text_limit=self._settings.text_limit)
        odd = [one.role for one in parsed if one.role not in ("system", "user", "assistant")]
        if odd or parsed[-1].role != "user":
            raise InvalidInput(
                "chat takes messages of the roles system, user and assistant, the last one the user's; "
                f"here is {odd[0] if odd else parsed[-1].role!r}"
            )
        before = [one for one in parsed[:-1] if one.role != "system"]
        said = "\n\n".join(one.content for one in parsed if one.role == "system")
        brings_none = not before and caller.session is not None
        return parsed[-1], None if brings_none else _conversation(before), said


def _budget(memory: int, history: int) -> Budget:
    return Budget(
        memory=check_number(memory, "memory_tokens", least=0, most=MOST_TOKENS),
        history=check_number(history, "history_tokens", least=0, most=MOST_TOKENS),
    )


def _conversation(messages: Sequence[Message]) -> tuple[Exchange, ...]:
    """Messages that were brought along as questions with their answers; what one of them says in a row is one text."""
    found: list[Exchange] = []
    asked: list[str] = []
    answered: list[str] = []
    for one in messages:
        if one.role == "user" and answered:
            found.append(_exchange(found, asked, answered))
            asked, answered = [], []
        (asked if one.role == "user" else answered).append(one.content)
    return (*found, _exchange(found, asked, answered)) if asked or answered else tuple(found)


def _exchange(before: Sequence[Exchange], asked: Sequence[str], answered: Sequence[str]) -> Exchange:
    question = "\n\n".join(asked)
    return exchange(given_id(before, question), question, "", "\n\n".join(answered))


def _options(max_tokens: int, temperature: Any, stop: Any, seed: Any, schema: Any) -> ChatOptions:
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not number or not 0 <= temperature <= HOTTEST_TEMPERATURE:
        raise InvalidInput(f"temperature is {shown(temperature)}; pass a number from 0 to {HOTTEST_TEMPERATURE:g}")
    return ChatOptions(
        max_tokens=check_number(max_tokens, "max_tokens", least=1, most=MOST_TOKENS),
        temperature=float(temperature),
        stop=_stops(stop),
        seed=None if seed is None else check_number(seed, "seed", least=-INT64, most=INT64 - 1),
        schema=None if schema is None else check_metadata(schema, "schema"),
    )


def _stops(given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidInput(f"stop is {shown(given)}; pass a list of texts at which the answer ends")
    stops = tuple(check_id(one, "a text in stop") for one in given)
    if not all(stops):
        raise InvalidInput("stop holds an empty text; pass texts at which the answer ends")
    return stops
