"""The mover: a turn of the scheduler for one owner, carried out step by step, each through the door (4.2, 5.4.2).

A turn that is cut off has made some of its steps whole. The next one looks again and makes the others; what is there
already is left as it is. Whoever is refused, or finds something changed, leaves that to the next turn, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from pymemos.cube.call import Caller, MemoryCall, Request, Scope
from pymemos.cube.wire import digest, encode
from pymemos.errors import MissingBlob, ModelError, NotAllowed, PymemosError, StoreError
from pymemos.interface.adapters import Distil
from pymemos.interface.encoding import best_tier
from pymemos.interface.giving_up import GiveUp
from pymemos.interface.moving import MOVE, QueueTurns, Survey, Surveyed, Turned
from pymemos.interface.training import Arguments, training_job
from pymemos.interface.worker import for_owner
from pymemos.operation.costs import Calibration
from pymemos.operation.decisions import FormDecision
from pymemos.operation.distilling.facts import facts_in
from pymemos.operation.replies import read_by
from pymemos.operation.tiers import RESIDENT
from pymemos.operation.turns import BLOCK_TOKENS, FACTS, Left, Limits, Seen, Steps, Stored, steps
from pymemos.ports import Job

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools
    from pymemos.interface.encoding import Encoder
    from pymemos.interface.injecting import Injector, Who

T = TypeVar("T")
EVERY: Final = timedelta(hours=1)  # between two turns: a few uses may make a KV cache pay
PURPOSE: Final = "scheduler"  # of what a turn does in somebody's name
PARKED: Final = (
    "its training failed too often and is parked: 'pymemos jobs' shows why, 'pymemos schedule --apply' tries again"
)
NO_CALIBRATION: Final = "nothing is known of this machine with {}: run 'pymemos calibrate' once"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn did: the decisions it followed, what it made, queued and gave up; or why it did nothing.

    ``remark`` says why nothing could be decided. ``left`` are memories whose move is not made yet.
    """

    at: datetime
    examined: int = 0
    model: str | None = None
    decisions: tuple[FormDecision, ...] = ()
    made: tuple[str, ...] = ()  # KV segments
    given_up: tuple[str, ...] = ()  # segments and adapters
    queued: tuple[str, ...] = ()  # jobs that train adapters
    loaded: tuple[str, ...] = ()  # segments that were brought to memory
    left: tuple[Left, ...] = ()
    remark: str = ""

    @property
    def about(self) -> dict[str, Any]:
        """What the log has of it."""
        counts = {name: len(getattr(self, name)) for name in ("made", "given_up", "queued", "loaded", "left")}
        return {"examined": self.examined, "moves": len(self.decisions), **counts, "undecided": bool(self.remark)}


class Mover:
    """Carries turns out for the local model that ``needed`` opens; ``calibrated`` gives the figures of a model.

    ``block`` is what an owner's KV caches may take of a prompt, in tokens. ``dry`` makes its jobs say what they would
    do, and do nothing.
    """

    def __init__(
        self,
        api: MemoryAPI,
        tools: Tools,
        needed: Callable[[], tuple[Injector, Encoder]],
        calibrated: Callable[[str], Calibration | None],
        *,
        block: int = BLOCK_TOKENS,
        dry: bool = False,
    ) -> None:
        self._api, self._tools, self._needed, self._calibrated = api, tools, needed, calibrated
        self._block, self._dry = block, dry

    def job(self, job: Job) -> MemoryCall:
        """The turn of an owner, in its name; the store's own job queues one for every owner, and itself again."""
        now = job.begun or self._tools.clock()
        if job.dedup_key == MOVE:
            everything = Caller(system=True), Scope(namespace=None)
            return _call(everything, QueueTurns(next_at=now + EVERY))
        owner, scope = for_owner(job)
        # Its rights and limits hold as if it did it itself; the purpose tells the log, and rules, that it did not.
        own = msgspec.structs.replace(owner, system=False, purpose=PURPOSE)
        try:
            found = self.turn((own, scope), now, dry=self._dry, anew=False)
        except NotAllowed as refused:  # a rule keeps turns out, or a limit is reached: the next one asks again
            found = Turn(at=now, remark=str(refused))
        return _call((owner, scope), Turned(about=found.about))

    def turn(self, who: Who, now: datetime, *, dry: bool = False, anew: bool = True) -> Turn:
        """Carry out, or with ``dry`` only decide, what a turn at ``now`` does for whoever calls.

        ``anew`` queues again what failed too often; a turn that comes by itself does not.
        """
        self._api.buffer.flush()  # uses that wait to be counted
        try:
            injector, encoder = self._needed()
        except ModelError as error:
            return Turn(at=now, remark=str(error))
        engine = injector.engine
        calibration = self._calibrated(engine.identity)
        if calibration is None:
            return Turn(at=now, remark=NO_CALIBRATION.format(engine.identity))
        made = self._tools.tuner.opened()
        learns = made is not None and made[0] is engine
        who = read_by(who, engine.identity)
        seen, examined = self._surveyed(who, engine.ref)
        seen = msgspec.structs.replace(seen, segments=tuple(map(self._looked_into, seen.segments)))
        tier, budget = best_tier(injector.pool.budget), injector.pool.budget
        room = 0 if tier not in RESIDENT else budget.of(tier)
        planned = steps(
            seen,
            now,
            calibration,
            system=encoder.head(None),
            facts=lambda text: len(facts_in(text)),
            limits=Limits(block=self._block, facts=FACTS if learns else 0, room=room),
        )
        turn = Turn(
            at=now,
            examined=examined,
            model=calibration.model,
            decisions=planned.decisions,
            left=planned.left,
        )
        return turn if dry else self._carried_out(who, turn, planned, seen, encoder, anew=anew)

    def _surveyed(self, who: Who, model: Any) -> tuple[Seen, int]:
        seen, examined, after = Seen(), 0, None
        while True:
            page: Surveyed = self._dispatch(who, Survey(model=model, after=after))
            seen = Seen(
                texts=(*seen.texts, *page.seen.texts),
                segments=(*seen.segments, *page.seen.segments),
                adapters=(*seen.adapters, *page.seen.adapters),
                training=seen.training | page.seen.training,
                parked=seen.parked | page.seen.parked,
            )
            examined += page.examined
            after = page.after
            if after is None:
                return seen, examined

    def _looked_into(self, one: Stored) -> Stored:
        """A segment, with the reason if its file is damaged: then it is given up like any that is of no use, and made
        anew if it pays. A file is read once, as long as nobody touches it.
        """
        if one.reason:
            return one
        try:
            self._tools.blobs.open_whole(one.segment.blob)
        except MissingBlob as damaged:
            return msgspec.structs.replace(one, reason=str(damaged))
        return one

    def _carried_out(self, who: Who, turn: Turn, planned: Steps, seen: Seen, encoder: Encoder, *, anew: bool) -> Turn:
        left = list(turn.left)
        given_up = self._given_up(who, planned, left)
        made = self._encoded(who, planned, encoder, left)
        queued = self._queued(who, planned.learn, turn.at, left, frozenset() if anew else seen.parked)
        loaded = self._loaded(who, planned.load, seen.segments, encoder)
        return msgspec.structs.replace(
            turn, made=made, given_up=given_up, queued=queued, loaded=loaded, left=tuple(left)
        )

    def _given_up(self, who: Who, planned: Steps, left: list[Left]) -> tuple[str, ...]:
        leaving = planned.leaving
        if not leaving:
            return ()
        ids = [one.id for one in leaving]
        return _tried(lambda: self._dispatch(who, GiveUp(leaving=leaving)), ids, left) or ()

    def _encoded(self, who: Who, planned: Steps, encoder: Encoder, left: list[Left]) -> tuple[str, ...]:
        new = planned.encoded
        if not planned.block:
            return ()
        return (
            _tried(lambda: encoder.encode(who, planned.block, decisions=new).ids, [one.id for one in new], left) or ()
        )

    def _queued(
        self, who: Who, learn: Sequence[FormDecision], now: datetime, left: list[Left], parked: Container[str]
    ) -> tuple[str, ...]:
        """The job that trains an adapter; of the same versions only one can wait, and one that is parked rests."""
        if not learn:
            return ()
        asked = Arguments(ids=tuple(one.id for one in learn), decisions=tuple(learn))
        of_these = f"{MOVE} {digest(encode(sorted(one.grounds.version for one in learn)))}"
        if of_these in parked:
            left += [Left(id, PARKED) for id in asked.ids]
            return ()
        job = training_job(self._tools, who, asked, now, dedup_key=of_these)
        queued: str | None = _tried(lambda: self._dispatch(who, Distil(job=job, ids=asked.ids)), asked.ids, left)
        return () if queued is None else (queued,)

    def _loaded(self, who: Who, load: Sequence[str], segments: Sequence[Stored], encoder: Encoder) -> tuple[str, ...]:
        """What should lie in memory before it is asked for, as far as there is room; what was just made does.

        What cannot be brought there is read from its file, or as text, when it is asked for.
        """
        pool = self._needed()[0].pool
        tier, of = best_tier(pool.budget), {one.segment.source: one for one in segments if not one.reason}
        wanted = [one for id in load if (one := of.get(id)) is not None]
        moved: list[str] = []
        for one in wanted:
            if pool.tier_of(one.segment.blob) not in RESIDENT:
                found = _tried(lambda one=one: encoder.load(who, one.id, tier), [one.id], []) or ()  # type: ignore[misc]
                moved += [each.id for each in found if each.tier in RESIDENT and each.before not in RESIDENT]
        return tuple(dict.fromkeys(moved))

    def _dispatch(self, who: Who, request: Request) -> Any:
        return self._api.dispatch(_call(who, request))


def _tried(act: Callable[[], T], ids: Iterable[str], left: list[Left]) -> T | None:
    """What an act gives; what is refused, or finds something changed or damaged, is left for the next turn.

    A store that fails is no refusal: it raises.
    """
    try:
        return act()
    except MissingBlob as damaged:  # the file of one memory, not the store
        left += [Left(id, str(damaged)) for id in ids]
        return None
    except StoreError:
        raise
    except PymemosError as refused:
        left += [Left(id, str(refused)) for id in ids]
        return None


def _call(who: Who, request: Request) -> MemoryCall:
    caller, scope = who
    return MemoryCall(caller=caller, scope=scope, request=request)
