"""Drafting: the prompt of a chat by a plan of the scheduler, from what was recalled (5.4.2, ADR 0040)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.interface.adapters import Unused
from pymemos.interface.attaching import Routing
from pymemos.interface.chatting import Recalled
from pymemos.operation.budgets import Budgets
from pymemos.operation.context import estimate_tokens
from pymemos.operation.costs import Calibration
from pymemos.operation.layout import COOLED, Budget, Candidate, Exchange, Layout, LeftOut, lay_out
from pymemos.operation.planning import Material, Planned, note_of, planned, seeded
from pymemos.operation.prompting import dated
from pymemos.operation.strategies import SchedulePolicy

UNMEASURED: Final = "{} was not measured on this machine: the plan counts tokens, and no seconds ('pymemos calibrate')"
RATED: Final = "no adapter was looked for: the caller's rate limit leaves {} calls"
UNUSED: Final = "adapter {} is not used: {}"


def unused(found: Sequence[Unused], hits: Collection[str]) -> tuple[str, ...]:
    """What is to be said of adapters that stay out of a chat: not of those that learned from nothing that was found."""
    return tuple(UNUSED.format(one.id, one.reason) for one in found if not one.sources or {*one.sources} & {*hits})


def candidate(cube: MemCube, now: datetime, *, score: float = 0.0, why: str = "") -> Candidate:
    """A memory as it may stand in a prompt."""
    text = dated(cube)
    return Candidate(
        id=cube.id,
        version=cube.version,
        content_hash=cube.content_hash,
        text=text,
        tokens=estimate_tokens(text) + 1,
        heat=cube.header.behaviour.heat_at(now),
        changed=cube.header.descriptive.updated if cube.revision > 1 else None,
        score=score,
        why=why,
    )


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a chat is drafted from, once it was recalled; ``begins`` says that the stable block may change."""

    recalled: Recalled
    last: Layout | None
    history: tuple[Exchange, ...]
    budget: Budget
    begins: bool
    calibration: Calibration | None
    calls: int | None = None  # that the caller's rate limits leave for this answer

    def drawn(self, routing: Routing | None) -> tuple[Layout, Planned]:
        """The layout with its plan, in which adapters stand for what they know."""
        recalled, now = self.recalled, self.recalled.at
        first = self._laid_out()
        hits = [(hit, candidate(hit.cube, now, score=hit.score, why=str(hit.why))) for hit in recalled.hits]
        carried = {id for route in routing.routes for id in route.sources} if routing is not None else set()
        chosen = planned(
            Material(
                layout=first,
                found=tuple((hit.cube, hit.score, one.tokens) for hit, one in hits if hit.cube.text),
                known={cube.id: cube for cube in (*recalled.held, *recalled.hot, *recalled.block)},
                block=tuple(cube.id for cube in recalled.block),
                carried=frozenset(carried),
            ),
            recalled.policy or SchedulePolicy(),
            Budgets(tokens=self.budget.memory, calls=self.calls),
            self.calibration,
            now,
        )
        of = {one.id: one for _, one in hits}
        layout = self._laid_out([of[id] for id in chosen.read])
        left = (*layout.left_out, *chosen.left_out, *self._unused(routing))
        return msgspec.structs.replace(layout, stable=chosen.in_block(layout.stable), left_out=left), chosen

    def _laid_out(self, found: list[Candidate] | None = None) -> Layout:
        recalled, now = self.recalled, self.recalled.at
        block = [_kept_warm(candidate(cube, now)) for cube in recalled.block]
        notes = [note_of(one.id, one.version, one.content_hash, one.text, one.tokens) for one in block]
        hot = {one.id: one for one in (*(candidate(cube, now) for cube in recalled.hot if cube.text), *block)}
        return lay_out(
            found=found or [],
            hot=list(hot.values()) if self.begins else None,
            history=self.history,
            last=seeded(self.last, notes, self.budget),
            current={cube.id: cube.content_hash for cube in (*recalled.held, *recalled.block)},
            budget=self.budget,
            now=now,
            is_planned=True,
        )

    def _unused(self, routing: Routing | None) -> tuple[LeftOut, ...]:
        """Adapters that learned from what was found and may not be used, and why."""
        found = {hit.cube.id for hit in self.recalled.hits}
        unused = routing.unused if routing is not None else ()
        return tuple(LeftOut(one.id, one.reason) for one in unused if found.intersection(one.sources))


def _kept_warm(one: Candidate) -> Candidate:
    """A memory of the stored block, which stays until a turn takes it back: without it, all behind it would be text."""
    return msgspec.structs.replace(one, heat=max(one.heat, COOLED))
