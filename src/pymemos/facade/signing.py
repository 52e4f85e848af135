"""Signing: which instance vouches for a memory, and the keys that it does so with (5.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from pymemos.cube.signature import Key
from pymemos.facade.handle import Handle
from pymemos.interface import signatures as requests
from pymemos.interface.arguments import check_id, check_name
from pymemos.interface.signatures import Signed


class Signing(Handle):
    """The methods that sign, and say who signed."""

    def sign(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> Sequence[Signed]:
        """Sign every version of a memory with the key of this instance, and keep the signatures with it.

        They go with it through exports and imports, and say which instance vouched for it and whether it was changed.
        The first signature makes a key, in the configuration folder. Needs the extra ``crypto``.
        """
        made: Sequence[Signed] = self._dispatch(self._bind(user_id, agent_id), requests.Sign(id=check_id(id)))
        return made

    def signatures(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> Sequence[Signed]:
        """Who signed which versions of a memory, and whether each is what was signed; none where nobody did."""
        found: Sequence[Signed] = self._dispatch(
            self._bind(user_id, agent_id), requests.ReadSignatures(id=check_id(id))
        )
        return found

    def keys(self) -> Sequence[Key]:
        """The keys of this instance and those that it trusts, their public parts; for the steward."""
        held: Sequence[Key] = self._dispatch(self._everywhere(), requests.ListKeys())
        return held

    def rotate_key(self) -> Key:
        """Make a new key to sign with; what the one before signed stays this instance's. For the steward."""
        made: Key = self._dispatch(self._everywhere(), requests.RotateKey())
        return made

    def trust_key(self, public: str, name: str) -> Key:
        """Know another instance by a name: signatures by its key are then said to be its. For the steward."""
        request = requests.TrustKey(public=check_id(public, "public"), name=check_name(name, "name"))
        key: Key = self._dispatch(self._everywhere(), request)
        return key

    def distrust_key(self, name: str) -> Key:
        """Know an instance no more, by its name or the fingerprint of its key. For the steward."""
        key: Key = self._dispatch(self._everywhere(), requests.DistrustKey(name=check_name(name, "name")))
        return key
