"""Time Machine: moments that have names, and the way back of a namespace or the whole store to one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymemos.cube.call import Scope
from pymemos.errors import EmptyScope, InvalidInput
from pymemos.facade.handle import Handle
from pymemos.interface import time_machine
from pymemos.interface.arguments import When, check_name, check_time
from pymemos.operation.time_machine import Returned
from pymemos.ports import Snapshot


class TimeMachine(Handle):
    """The methods that go back in time (5.4.3); ``restore`` goes back with one memory."""

    def snapshot(self, name: str, *, user_id: str | None = None, agent_id: str | None = None) -> Snapshot:
        """Give the present moment a name: of one's own namespace, or, for a steward who names nobody, of the store.

        Its ``at`` can be asked with ``known_at=``, and ``restore_to`` returns to it. It costs no copy of anything.
        """
        request = time_machine.TakeSnapshot(name=check_name(name, "name"))
        taken: Snapshot = self._dispatch(self._everywhere(user_id, agent_id), request)
        return taken

    def snapshots(self, *, user_id: str | None = None, agent_id: str | None = None) -> Sequence[Snapshot]:
        """The moments that have names, in order of their times."""
        found: Sequence[Snapshot] = self._dispatch(self._everywhere(user_id, agent_id), time_machine.Snapshots())
        return found

    def restore_to(
        self,
        moment: When | Snapshot,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        everything: bool = False,
        dry_run: bool = False,
    ) -> Returned:
        """Make a namespace, or with ``everything`` the whole store, say again what it said at a moment.

        ``moment`` is a time, a snapshot or the name of one. What was changed or deleted since comes back as a new
        version, what was added since is deleted recoverably, in one transaction; who may see a memory stays as it is
        now, and frozen memories are left alone. With ``dry_run`` the report says what would happen, and why.
        """
        caller, scope = self._everywhere(user_id, agent_id)
        if everything and (user_id, agent_id) != (None, None):
            raise InvalidInput("everything=True names the whole store; pass it without a user or an agent")
        if scope.namespace is None and not everything:
            raise EmptyScope("this would restore the whole store; name a user or an agent, or say everything=True")
        if everything:
            scope = Scope(namespace=None)
        at = moment.at if isinstance(moment, Snapshot) else time_or_name(moment)
        plan, act = time_machine.PlanReturn, time_machine.ReturnTo
        request = plan(moment=at) if dry_run else act(moment=at)
        returned: Returned = self._dispatch((caller, scope), request)
        return returned


def time_or_name(moment: When) -> datetime | str:
    """A time; a text that is none is the name of a snapshot, which the call looks up."""
    try:
        return check_time(moment, "moment")
    except InvalidInput:
        if not isinstance(moment, str):
            raise
        return check_name(moment, "moment")
