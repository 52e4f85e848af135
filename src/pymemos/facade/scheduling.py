"""Scheduling: what this machine takes, measured, and which memories should be kept in another form (5.4.2)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pymemos.cube.call import Caller, Scope
from pymemos.cube.cube import MemCube
from pymemos.errors import ModelError
from pymemos.facade.handle import Handle
from pymemos.interface import calibrating, requests
from pymemos.interface.activation import NO_ENGINE
from pymemos.interface.arguments import When, optional_time
from pymemos.operation.costs import Calibration
from pymemos.operation.proposing import Schedule, propose

_PAGE = 1_000


class Scheduling(Handle):
    """The methods of the scheduler."""

    def calibrate(self) -> Calibration:
        """Measure what this machine does with the local model, and keep it for the scheduler; takes about a minute.

        Run it when nothing else runs; repeating it replaces the figures. It is kept in the folder of prepared models.
        For the steward alone. Raises ModelError where there is no local model.
        """
        self._check_steward()
        if self._activations is None:
            raise ModelError(NO_ENGINE)
        injector, _ = self._activations.needed()
        measured = calibrating.calibrate(injector.engine, time.perf_counter, self._tools.clock())
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
        return propose(cubes, moment, found)

    def _current(self, who: tuple[Caller, Scope]) -> Iterator[MemCube]:
        """Every memory that a listing shows."""
        after = None
        while True:
            page: requests.Page = self._dispatch(who, requests.ListPage(limit=_PAGE, after=after))
            yield from page
            after = page.after
            if after is None:
                return
