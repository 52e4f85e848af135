"""Scheduling: what this machine takes, measured, and memories that are kept in the form which costs least (5.4.2)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pymemos.cube.call import Caller, Scope
from pymemos.cube.cube import MemCube
from pymemos.errors import ModelError
from pymemos.facade.handle import Handle
from pymemos.interface import calibrating, requests
from pymemos.interface.activation import NO_ENGINE
from pymemos.interface.arguments import Planning, When, check_id, check_name, check_planning, optional_time
from pymemos.interface.encoding import Encoder
from pymemos.interface.injecting import Injector
from pymemos.interface.mover import Turn
from pymemos.interface.moving import Decisions
from pymemos.interface.schedule_policies import ReadSchedulePolicy, SetSchedulePolicy
from pymemos.interface.tasks import ReadSwaps, ReadTasks
from pymemos.operation.costs import FORMS, Calibration, Form
from pymemos.operation.decisions import FormDecision
from pymemos.operation.distilling.facts import facts_in
from pymemos.operation.proposing import Schedule, propose
from pymemos.operation.replies import read_by
from pymemos.operation.strategies import SchedulePolicy
from pymemos.operation.swapping import SwapDecision, Swapped

_PAGE = 1_000


class Scheduling(Handle):
    """The methods of the scheduler."""

    def calibrate(self) -> Calibration:
        """Measure what this machine does with the local model, and keep it for the scheduler; takes a minute or two.

        Where the model can learn, a part of a training says what an adapter takes (``adapter_measured``). Run it when
        nothing else runs; repeating it replaces the figures. It is kept in the folder of prepared models. For the
        steward alone. Raises ModelError where there is no local model.
        """
        self._check_steward()
        injector, _ = self._opened_kv()
        made = self._tools.tuner.opened()
        tuner = made[1] if made is not None and made[0] is injector.engine else None
        measured = calibrating.calibrate(injector.engine, time.perf_counter, self._tools.clock(), tuner=tuner)
        calibrating.keep(measured, calibrating.calibration_file(self._settings.cache_dir, measured.model))
        return measured

    def schedule(self, now: When | None = None, *, user_id: str | None = None, agent_id: str | None = None) -> Schedule:
        """Which memories should be kept in another form at ``now``: text, a KV cache or an adapter; nothing is changed.

        It goes by the calibration that was made last. Where there is none, nothing is proposed, and ``model`` is None.
        """
        moment = optional_time(now, "now") or self._tools.clock()
        found = calibrating.latest(self._settings.cache_dir)
        cubes = list(self._current(self._bind(user_id, agent_id)))
        if found is None:
            return Schedule(at=moment, examined=sum(not cube.is_manifest and bool(cube.text) for cube in cubes))
        return propose(cubes, moment, found, allowed=_allowed)

    def move(self, now: When | None = None, *, user_id: str | None = None, agent_id: str | None = None) -> Turn:
        """Carry out a turn of the scheduler now: give every memory the form that costs least at ``now``.

        What should be a KV cache is encoded in one block, in an order that stays, which chats without a ``system`` of
        their own inject as far as their prompt begins so; facts that should be in an adapter are queued to be
        trained, as many as one takes; caches whose memory changed or should be text again are given up, and their
        files removed. What is in use most is brought to memory. Without a calibration or a local model nothing is
        done, and ``remark`` says so. With PYMEMOS_MOVES=on the system does it by itself, once an hour.
        """
        moment = optional_time(now, "now") or self._tools.clock()
        return self._mover.turn(self._bind(user_id, agent_id), moment)

    def decisions(
        self, id: str, *, user_id: str | None = None, agent_id: str | None = None
    ) -> tuple[FormDecision, ...]:
        """The scheduler's decisions on a memory, oldest first, each with its grounds, and why in words.

        Of a KV segment or an adapter, those that made it and gave it up; of a text, those on it that are kept by what
        was made from it. ``again()`` makes a decision again from its grounds.
        """
        found: tuple[FormDecision, ...] = self._dispatch(self._bind(user_id, agent_id), Decisions(id=check_id(id)))
        return found

    def switch_task(
        self,
        task: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
    ) -> Swapped:
        """Swap the memory set of a session for that of another task now, before its first chat comes.

        The segments that chats of the last task were read from are let go: they are the first to make room for others;
        adapters are detached. Those of ``task`` are brought to memory, also in a process that has just begun. What
        another session of the owner works with stays, and so does what is in use. A chat that names another
        ``task`` does the same by itself, and brings the new set in behind its answer. Raises ModelError where there is
        no local model.
        """
        injector, _ = self._opened_kv()
        caller, scope = self._bind(user_id, agent_id, run_id, session_id, None, check_name(task, "task"))
        who = read_by((caller, scope), injector.engine.identity)
        change = self._swapper.begin(who, self._dispatch(who, ReadTasks()), self._tools.clock(), is_told=True)
        swapped = None if change is None else self._swapper.end(change)
        assert swapped is not None  # noqa: S101 (who says that the task changes always gets a decision)
        return swapped

    def swaps(self, *, user_id: str | None = None, agent_id: str | None = None) -> tuple[SwapDecision, ...]:
        """The last swaps of an owner's memory sets, oldest first, each with its grounds, and why in words.

        ``again()`` makes a decision again from its grounds.
        """
        found: tuple[SwapDecision, ...] = self._dispatch(self._bind(user_id, agent_id), ReadSwaps())
        return found

    def schedule_policy(
        self, *, task: str | None = None, user_id: str | None = None, agent_id: str | None = None
    ) -> SchedulePolicy | None:
        """By which policy an owner's chats are planned, in a task; None where they are not.

        For a steward who names nobody, that of all who have none of their own.
        """
        request = ReadSchedulePolicy(task=None if task is None else check_name(task, "task"))
        found: SchedulePolicy | None = self._dispatch(self._everywhere(user_id, agent_id), request)
        return found

    def set_schedule_policy(
        self,
        policy: Planning | None,
        *,
        task: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> SchedulePolicy | None:
        """Let an owner's chats be planned by a policy, in one task or in all; None takes it back.

        A policy is a strategy's name ("recency", "similarity", "labels", "priority", "cost"), a mapping with its
        ``strategy``, ``labels`` and ``budgets`` (of tokens, seconds, device_bytes and memories), or a SchedulePolicy.
        For a steward who names nobody it is that of the store. A task's goes before an owner's, and that before the
        store's. Gives the policy that holds now.
        """
        request = SetSchedulePolicy(
            policy=None if policy is None else check_planning(policy),
            task=None if task is None else check_name(task, "task"),
        )
        kept: SchedulePolicy | None = self._dispatch(self._everywhere(user_id, agent_id), request)
        return kept

    def _opened_kv(self) -> tuple[Injector, Encoder]:
        if self._activations is None:
            raise ModelError(NO_ENGINE)
        return self._activations.needed()

    def _current(self, who: tuple[Caller, Scope]) -> Iterator[MemCube]:
        """Every memory that a listing shows."""
        after = None
        while True:
            page: requests.Page = self._dispatch(who, requests.ListPage(limit=_PAGE, after=after))
            yield from page
            after = page.after
            if after is None:
                return


def _allowed(cube: MemCube) -> tuple[Form, ...]:
    """The forms that a memory can have: an adapter learns what is told in forms that are known."""
    return FORMS if facts_in(cube.text) else (Form.TEXT, Form.KV)
