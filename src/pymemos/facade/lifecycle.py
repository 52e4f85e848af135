"""Life cycle: freeze, archive, activate, sweep, and the policy that says when a memory moves by itself (5.4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from pymemos.cube.call import Caller, Request, Scope
from pymemos.cube.cube import MemCube
from pymemos.facade.handle import Handle
from pymemos.interface import lifecycle_handlers as requests
from pymemos.interface.arguments import When, check_id, check_policy, optional_time
from pymemos.interface.sweeping import Swept, sweep
from pymemos.operation.lifecycle import LifecyclePolicy, Passage


class Lifecycle(Handle):
    """The methods that move memories between their states."""

    def freeze(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> MemCube:
        """Let a memory take no more edits: its history and its text stay, and nothing moves it; a new version says so.

        It leaves the default search. Only the steward can unfreeze it.
        """
        return self._move(requests.Freeze(id=check_id(id)), user_id, agent_id)

    def unfreeze(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> MemCube:
        """Let a frozen memory take edits again, in the state that it had; for the steward alone."""
        return self._move(requests.Unfreeze(id=check_id(id)), user_id, agent_id)

    def archive(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> MemCube:
        """Put a memory into the vault: out of the default search and listing, there for ``states=["archived"]``."""
        return self._move(requests.Archive(id=check_id(id)), user_id, agent_id)

    def activate(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> MemCube:
        """Bring a memory to hand, from the archive too; it is found again at once."""
        return self._move(requests.Activate(id=check_id(id)), user_id, agent_id)

    def passages(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> Sequence[Passage]:
        """How a memory came to where it stands: every change of its state, oldest first, with cause and author."""
        found: Sequence[Passage] = self._dispatch(self._bind(user_id, agent_id), requests.Passages(id=check_id(id)))
        return found

    def sweep(
        self,
        now: When | None = None,
        *,
        dry_run: bool = False,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> Swept:
        """Move every memory that is due at ``now``: one's own, or, for a steward who names nobody, everybody's.

        With ``dry_run`` nothing moves, and the report says what would and why. The system sweeps by itself once a day,
        where ``tick`` or a worker runs; what has expired is out of reach without any sweep.
        """
        moment = optional_time(now, "now") or self._tools.clock()
        return sweep(self._api, self._everywhere(user_id, agent_id), moment, dry_run=dry_run)

    def lifecycle_policy(self, *, user_id: str | None = None, agent_id: str | None = None) -> LifecyclePolicy:
        """The policy of an owner's memories; for a steward who names nobody, that of all who have none of their own."""
        policy: LifecyclePolicy = self._dispatch(self._everywhere(user_id, agent_id), requests.ReadPolicy())
        return policy

    def set_lifecycle_policy(
        self, policy: LifecyclePolicy | None, *, user_id: str | None = None, agent_id: str | None = None
    ) -> LifecyclePolicy:
        """Set when memories move by themselves, for one owner or for all who have no policy of their own.

        For the steward alone. None goes back to what held before. Gives the policy that holds now.
        """
        request = requests.SetPolicy(policy=None if policy is None else check_policy(policy))
        kept: LifecyclePolicy = self._dispatch(self._on_behalf(user_id, agent_id), request)
        return kept

    def _on_behalf(self, user_id: str | None, agent_id: str | None) -> tuple[Caller, Scope]:
        """The steward, who stays one, on somebody's namespace; anybody else as ever."""
        caller, scope = self._everywhere(user_id, agent_id)
        return (self._caller if self._caller.steward else caller), scope

    def _move(self, request: Request, user_id: str | None, agent_id: str | None) -> MemCube:
        cube: MemCube = self._dispatch(self._bind(user_id, agent_id), request)
        return cube
