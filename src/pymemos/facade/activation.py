"""Activation memory: texts as KV caches, encoded once, injected instead of read again (4.1, 4.2, 5.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from pymemos.cube.blending import LEAST
from pymemos.cube.call import Caller, Scope
from pymemos.cube.header import Priority, SemanticType
from pymemos.errors import InvalidInput, ModelError
from pymemos.facade.handle import Handle
from pymemos.interface import requests
from pymemos.interface.activation import NO_ENGINE, Segments
from pymemos.interface.arguments import (
    BLEND,
    EXACT,
    check_id,
    check_ids,
    check_member,
    check_mode,
    check_number,
    check_text,
    optional_text,
    parse_labels,
    parse_messages,
)
from pymemos.interface.blending import Blending, ProbeBlending
from pymemos.interface.encoding import Encoded, Encoder, Moved, Verified, parts, verified
from pymemos.interface.injecting import Injected, Injector
from pymemos.interface.kv_pool import Placement
from pymemos.interface.requests import Added, Labels
from pymemos.operation.replies import read_by
from pymemos.operation.tiers import RESIDENT, Tier
from pymemos.ports import BlendQuality, SegmentSource, Utterance

MOST_CASES = 10_000


class BlendProbe(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found of blending with the local model, and why it is refused, or nothing."""

    quality: BlendQuality
    refused: str = ""

    @property
    def allowed(self) -> bool:
        """Whether ``mode="blend"`` may be used with this model."""
        return not self.refused


class ActivationMemory(Handle):
    """The methods of KV memories; they need a local model."""

    def encode(
        self,
        ids: Sequence[str] | None = None,
        *,
        document: str | None = None,
        system: str | None = None,
        form: str | None = None,
        mode: str = EXACT,
        priority: Priority | str | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
    ) -> Encoded:
        """Keep the KV cache of memories, in the order in which they stand in a prompt, or of a document.

        A document is kept as text first, in several memories where it is long, so that there is always something to
        fall back to. Each segment goes on behind the system's text and all memories before it, and is made from
        exactly these: when one of them changes, it is stale. What is stored already is not computed again.
        ``form="int8"`` is smaller, and lossy; it is "exact" unless the settings say otherwise of low priority. Raises
        StaleVersion where a memory keeps changing meanwhile.

        ``mode="blend"`` keeps each memory apart instead, behind the system's text alone, so that it may stand in any
        order with any others: see ``inject``. Raises BlendRefused unless ``probe_blending`` allowed it for this model.
        """
        blends = check_mode(mode) == BLEND
        if blends and form is not None:
            raise InvalidInput("what is encoded apart has a form of its own; leave out form=")
        injector, encoder = self._kv()
        who = self._bind(user_id, agent_id, run_id, session_id)
        labels = parse_labels(priority=priority, tags=tags)
        said = optional_text(system, "system", limit=self._settings.text_limit)
        if (ids is None) == (document is None):
            raise InvalidInput("pass the ids of memories, or document= with a text")
        given = self._kept_as_text(who, document, labels) if document is not None else check_ids(ids, "ids", least=1)
        who = read_by(who, injector.engine.identity)
        if blends:
            return self._blending().encode(who, given, system=said, labels=labels)
        return encoder.encode(who, given, system=said, form=form, labels=labels)

    def inject(
        self,
        ids: Sequence[str],
        messages: str | Sequence[Mapping[str, str]],
        *,
        system: str | None = None,
        exact_only: bool = False,
        mode: str = EXACT,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
    ) -> Injected:
        """A prompt of memories and a question or conversation, its stored beginning from memory; close it after use.

        Pass ``prefix`` with all ``tokens`` to the engine. ``report`` says of each memory from which tier it comes and
        why. What is not stored, or may not be used now, is read as text, and named.

        With ``mode="blend"`` the notes behind the exact beginning come from segments that were encoded apart, and a
        part of their tokens is computed again. It is **approximate**: ``report`` says of each note whether it is, and
        how much of it was computed again. Raises BlendRefused unless ``probe_blending`` allowed it for this model.
        """
        blends = check_mode(mode) == BLEND
        if blends and exact_only:
            raise InvalidInput("mode='blend' is approximate and exact_only=True is not; pass one of them")
        injector, encoder = self._kv()
        head = encoder.head(optional_text(system, "system", limit=self._settings.text_limit))
        who = self._bind(user_id, agent_id, run_id, session_id)
        given = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        said, _ = parse_messages(given, text_limit=self._settings.text_limit)
        asked = [Utterance(_role(one.role), one.content) for one in said]
        who = read_by(who, injector.engine.identity)
        cubes = encoder.sources(who, check_ids(ids, "ids", least=1))
        prompt = injector.engine.prompt(head, [encoder.render(cube) for cube in cubes], asked)
        pins = [SegmentSource(cube.id, cube.version, cube.content_hash) for cube in cubes]
        if blends:
            return self._blending().inject(who, prompt, pins)
        return injector.inject(who, prompt, pins, exact_only=exact_only)

    def probe_blending(self, *, cases: int = LEAST, on_case: Callable[[int], object] = lambda done: None) -> BlendProbe:
        """Measure how near blending comes with the local model, and keep that beside it: for its steward.

        It answers invented questions twice, from the whole prompt and blended, some ten seconds of a core for each with
        a model of 135 million weights; ``on_case`` is told how many are done. With fewer than a hundred ``cases``, or
        above 0.03 nats a token, blending stays refused, and ``refused`` says why.
        """
        number = check_number(cases, "cases", least=1, most=MOST_CASES)
        if self._activations is None:
            raise ModelError(NO_ENGINE)
        self._dispatch(self._everywhere(), ProbeBlending(cases=number))
        quality, refused = self._activations.probe_blending(number, on_case)
        return BlendProbe(quality=quality, refused=refused)

    def load(
        self, id: str, *, tier: Tier | str = Tier.DEVICE, user_id: str | None = None, agent_id: str | None = None
    ) -> Sequence[Moved]:
        """Bring a segment, and all that stands before it, to the ``device`` or the memory of the ``host`` now.

        Otherwise it comes by itself when it is used again. Every byte of its file is checked. Where there is no room,
        as everything else is in use or frozen, it stays in its file, and the result says why.
        """
        wanted = check_member(Tier, tier, "tier")
        if wanted not in RESIDENT:
            raise InvalidInput(
                f"tier is {wanted.value!r}; load to 'device' or 'host', and evict to go back to the file"
            )
        return self._kv()[1].load(self._bind(user_id, agent_id), check_id(id), wanted)

    def verify(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> Verified:
        """Whether a segment may be injected: its file to the last bit, and its sources.

        Where there is a local model, also whether it is of that model, and has the tokens that its sources have now.
        """
        who = self._bind(user_id, agent_id)
        try:
            _, encoder = self._kv()
        except ModelError:  # then the checks are those that need no model, and they say so
            return verified(self._dispatch(who, Segments(id=check_id(id))), self._tools)
        return encoder.verify(who, check_id(id))

    def evict(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> Moved:
        """Take a segment out of memory; its file stays, from which the next use reads it.

        A frozen one stays (``freeze`` it to keep it at hand), and so does what somebody reads from now.
        """
        return self._kv()[1].evict(self._bind(user_id, agent_id), check_id(id))

    def placements(self, *, user_id: str | None = None, agent_id: str | None = None) -> Sequence[Placement]:
        """The segments that lie in memory now: one's own, or, for a steward who names nobody, everybody's."""
        _, scope = self._everywhere(user_id, agent_id)
        made = None if self._activations is None else self._activations.made
        held = () if made is None else made[0].pool.placements()
        return tuple(one for one in held if scope.namespace in (None, one.namespace))

    def _kept_as_text(self, who: tuple[Caller, Scope], document: str, labels: Labels) -> tuple[str, ...]:
        """The ids of the memories that a document was kept as."""
        text = check_text(document, "the document", limit=self._settings.text_limit)
        messages, _ = parse_messages([{"content": part} for part in parts(text)], text_limit=len(text))
        about = msgspec.structs.replace(labels, semantic_type=SemanticType.KNOWLEDGE)
        added: Added = self._dispatch(who, requests.Add(messages=messages, labels=about, conversation=False))
        return added.ids

    def _blending(self) -> Blending:
        if self._activations is None:
            raise ModelError(NO_ENGINE)
        return self._activations.blending()

    def _kv(self) -> tuple[Injector, Encoder]:
        """What injects and encodes; raises ModelError where there is no local model."""
        if self._activations is None:
            raise ModelError(NO_ENGINE)
        return self._activations.needed()


def _role(role: str | None) -> str:
    if role in ("user", "assistant", None):
        return role or "user"
    raise InvalidInput(f"a turn has the role {role!r}; use 'user' or 'assistant', and system= for the system's text")
