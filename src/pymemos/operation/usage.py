"""How a memory is used: online estimates of how often it is read, how often it changes, and what comes next (5.4.2).

Uses come in sittings: a memory that was used is often used again within minutes. So two things are estimated: how often
a sitting begins, and what follows within one. What is counted halves in weight over ``HEAT_HALF_LIFE`` (the heat of a
header is such a count), so that drift is followed. Rates are Gamma-Poisson estimates and shares Beta estimates: what
was seen of this memory, drawn to what all the others are like (empirical Bayes), so that one use says little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from pymemos.cube.header import HEAT_HALF_LIFE

MEMORY_DAYS = HEAT_HALF_LIFE.total_seconds() / 86_400 / math.log(2)  # the mean age of what is counted
RECENT_DAYS = 2.0  # the same for what is of interest at present
SITTING_DAYS = 0.5 / 24  # what follows sooner belongs to the same sitting
LASTING_DAYS = 40.0  # how long a sitting is evidence of more: after it, a memory may be of no interest for good
_DRAWN = 3.0  # uses as which a share of all others counts, and
_DRAWN_DAYS = 0.5  # days as which their rate counts
_FEWEST = 20  # memories from which a prior can be learned


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was seen of one memory up to ``at``, in days; counts halve over the half-life of heat, ``recent`` sooner."""

    since: float  # the first that is known of it
    at: float  # the last that happened to it
    uses: float = 0.0
    followed: float = 0.0  # uses that came after another one in a sitting
    recent: float = 0.0  # uses, by ``RECENT_DAYS``
    changes: float = 0.0
    prompted: float = 0.0  # changes that came soon after a use
    resumed: float = 0.0  # uses that came soon after a change
    served: float = 0.0  # changes after which a use came, however late
    unserved: float = 0.0  # changes after which another change came
    changed: float | None = None  # the last time; None where that was not seen
    is_used: bool = False  # whether the last that happened to it was a use

    def happened(self, at: float, *, use: bool) -> Usage:
        """After one more use, or else one more change."""
        now = self.aged(at)
        waits = self.changed is not None and not self.is_used
        soon = at - self.at < SITTING_DAYS and (self.is_used or waits)
        return Usage(
            since=self.since,
            at=at,
            uses=now.uses + use,
            followed=now.followed + (use and soon and self.is_used),
            recent=now.recent + use,
            changes=now.changes + (not use),
            prompted=now.prompted + (not use and soon and self.is_used),
            resumed=now.resumed + (use and soon and not self.is_used),
            served=now.served + (use and waits),
            unserved=now.unserved + (not use and waits),
            changed=self.changed if use else at,
            is_used=use,
        )

    def aged(self, at: float) -> Usage:
        """The counts as they weigh at a later time, when nothing happened since."""
        days = max(at - self.at, 0.0)
        left, recent = math.exp(-days / MEMORY_DAYS), math.exp(-days / RECENT_DAYS)
        return Usage(
            since=self.since,
            at=self.at,
            uses=self.uses * left,
            followed=self.followed * left,
            recent=self.recent * recent,
            changes=self.changes * left,
            prompted=self.prompted * left,
            resumed=self.resumed * left,
            served=self.served * left,
            unserved=self.unserved * left,
            changed=self.changed,
            is_used=self.is_used,
        )

    @property
    def sittings(self) -> float:
        """Uses with which a sitting began."""
        return self.uses - self.followed - self.resumed


class Gamma(msgspec.Struct, frozen=True, gc=False):
    """What rates a day are like among memories: as if ``count`` events in ``days`` had been seen of each."""

    count: float
    days: float


class Prior(msgspec.Struct, frozen=True, gc=False):
    """What memories are like before anything is seen of one."""

    sittings: Gamma = Gamma(0.3, 2.0)
    changes: Gamma = Gamma(0.2, 4.0)  # those that nobody's use brought about
    follows: float = 0.3  # share of uses that another one follows soon
    prompts: float = 0.05  # share of uses that a change follows soon
    serves: float = 0.6  # share of changes after which a use comes, however late
    sitting: float = 1.5  # uses in a sitting


UNINFORMED = Prior()


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """What is expected of a memory."""

    uses_day: float
    changes_day: float
    again: float  # the chance that a use comes next, rather than a change or nothing any more
    next_days: float  # until the next that happens to it, of whatever kind

    @property
    def uses_left(self) -> float:
        """The odds that a use comes next: the uses to count on before a change or the end of interest.

        Fewer than the mean where little is known, which a few that are used very often raise. Counting on these is
        what makes waiting for one more use no better than a move now.
        """
        return self.again / (1 - self.again)


def estimate(usage: Usage, prior: Prior, at: float) -> Estimate:
    """What is expected of a memory at ``at``, right after the last that happened to it."""
    now, days = usage.aged(at), _weight(at - usage.since, MEMORY_DAYS)
    sittings = (prior.sittings.count + now.sittings) / (prior.sittings.days + days)
    changes = (prior.changes.count + now.changes - now.prompted) / (prior.changes.days + days)
    happens = sittings + changes + 1 / LASTING_DAYS
    uses = _DRAWN + now.uses
    follows, prompts = (_DRAWN * prior.follows + now.followed) / uses, (_DRAWN * prior.prompts + now.prompted) / uses
    if usage.is_used:
        again = follows + max(0.0, 1 - follows - prompts) * sittings / happens
    else:  # what followed the changes so far: rates would not tell, for many a memory changes while nobody needs it
        again = (_DRAWN * prior.serves + now.served) / (_DRAWN + now.served + now.unserved)
    # A sitting has 1/(1 - follows) uses; changes that uses bring about come with them.
    each = 1 / max(1 - follows, 0.02)
    return Estimate(sittings * each, changes + sittings * each * prompts, min(again, 0.9999), 1 / happens)


def seen_uses(usage: Usage, at: float) -> float:
    """Uses a day as they were seen, and nothing else; of what is younger than a day, uses so far."""
    return usage.aged(at).uses / max(_weight(at - usage.since, MEMORY_DAYS), 1.0)


def present_uses(usage: Usage, prior: Prior, at: float) -> float:
    """Uses a day in the days around ``at``: what was seen lately, drawn to what was seen at all."""
    now, seen = usage.aged(at), at - usage.since
    lasting = (prior.sittings.count * prior.sitting + now.uses) / (prior.sittings.days + _weight(seen, MEMORY_DAYS))
    return (lasting * _DRAWN_DAYS + now.recent) / (_DRAWN_DAYS + _weight(seen, RECENT_DAYS))


def quiet_days(usage: Usage, prior: Prior, at: float, sittings_day: float) -> float:
    """How long it may rest from ``at`` on until sittings are thought to be rarer than ``sittings_day``.

    0 where they are by now, infinite where they never are. With y = e^(-rest / MEMORY_DAYS), the estimate is
    (count + sittings·y) / (days + MEMORY_DAYS - unseen·y), which is below the rate for y below what is given here.
    """
    sittings = usage.aged(at).sittings
    unseen = MEMORY_DAYS - _weight(at - usage.since, MEMORY_DAYS)
    left = sittings_day * (prior.sittings.days + MEMORY_DAYS) - prior.sittings.count
    if left <= 0:
        return math.inf
    most = sittings + sittings_day * unseen
    return -MEMORY_DAYS * math.log(left / most) if left < most else 0.0


def learn(seen: Iterable[Usage], at: float) -> Prior:
    """What memories are like, by those that were seen so far; the uninformed prior where they are too few."""
    known = [one.aged(at) for one in seen]
    days = [_weight(at - one.since, MEMORY_DAYS) for one in known]
    if len(known) < _FEWEST or sum(days) <= 0:
        return UNINFORMED
    uses = sum(one.uses for one in known)
    sittings = [one.sittings for one in known]
    return Prior(
        _gamma(sittings, days),
        _gamma([one.changes - one.prompted for one in known], days),
        (sum(one.followed for one in known) + 1) / (uses + 3),
        (sum(one.prompted for one in known) + 0.1) / (uses + 2),
        (sum(one.served for one in known) + 1.2) / (sum(one.served + one.unserved for one in known) + 2),
        (uses + 1) / (sum(sittings) + 1),
    )


def _gamma(counts: Sequence[float], days: Sequence[float]) -> Gamma:
    """The Gamma whose mean and spread are those of the rates, less the spread that counting alone gives."""
    mean = (sum(counts) + 0.3) / (sum(days) + 1)
    noise = sum((count - mean * span) ** 2 - mean * span for count, span in zip(counts, days, strict=True))
    spread = max(noise / sum(span * span for span in days), mean * mean / 20)
    count = min(max(mean * mean / spread, 0.05), 3.0)
    return Gamma(count, count / mean)


def _weight(days: float, memory: float) -> float:
    """What so many days weigh together, each as what happened in it weighs now."""
    return memory * -math.expm1(-max(days, 0.0) / memory)
