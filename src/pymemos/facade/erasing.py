"""Erasure: what is to be gone for good, and the receipts that say so (5.5.1, 5.5.3)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pymemos import wiring
from pymemos.cube.call import Caller
from pymemos.cube.erasure import Phase, Receipt
from pymemos.errors import InvalidInput, UnknownReceipt
from pymemos.facade.handle import Handle
from pymemos.infrastructure.policies import Rulebook
from pymemos.infrastructure.rates import Meter
from pymemos.infrastructure.receipts import holds
from pymemos.interface import erasure_handlers as requests
from pymemos.interface import upkeep
from pymemos.interface.api import MemoryAPI
from pymemos.interface.arguments import check_id, check_limit, check_path, optional_id, parse_choice
from pymemos.interface.registry import HANDLERS
from pymemos.interface.worker import Worker
from pymemos.operation.retrieval.searcher import Searcher

KINDS = (requests.SCRUB,)


class Erasing(Handle):
    """The methods that forget, and prove it."""

    def erase(
        self,
        id: str | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        wait: bool = False,
    ) -> Receipt:
        """Erase one memory, or all that a scope and a filter select, for good: ``delete`` can be undone, this cannot.

        Every version goes, also of deleted and frozen memories, and whatever was ever made from them, whoever owns it.
        A memory is selected by any of its versions; with an id, a session or an agent that is named has to be its own.
        When this returns nothing of them can be read; a job then scrubs the files, searches every byte of them, and
        signs the receipt. ``wait`` does that job at once. ``dry_run`` changes nothing and says what would go, and which
        copies left before.
        """
        call = self._bind(user_id, agent_id, run_id, session_id)
        named, where = parse_choice(id, filters, user_id, agent_id, run_id, session_id)
        receipt: Receipt
        if dry_run:
            self._api.buffer.flush()  # so that the log knows of every copy
            receipt = self._dispatch(call, requests.PlanErasure(id=named, where=where))
            return receipt
        receipt = self._dispatch(call, requests.Erase(id=named, where=where))
        self._tools.searcher.forget({receipt.namespace, *(one.namespace for one in receipt.derived)})
        self._let_go()
        return self._scrubbed(receipt) if wait else receipt

    def receipt(self, id: str) -> Receipt:
        """The receipt of an erasure as it stands: ``pending``, or ``signed`` once nothing is left."""
        found = self._dispatch(self._everywhere(), requests.Receipts(id=check_id(id)))
        if not found:
            raise UnknownReceipt()
        receipt: Receipt = found[0]
        return receipt

    def receipts(
        self, *, user_id: str | None = None, agent_id: str | None = None, limit: int = 100, before: str | None = None
    ) -> Sequence[Receipt]:
        """The receipts of erasures, newest first: one's own, or, for a steward, all; ``before`` an id continues."""
        request = requests.Receipts(limit=check_limit(limit), before=optional_id(before, "before"))
        found: Sequence[Receipt] = self._dispatch(self._everywhere(user_id, agent_id), request)
        return found

    def verify_receipt(self, receipt: Receipt) -> bool:
        """Whether a receipt is, to the byte, one that this instance signed."""
        if not isinstance(receipt, Receipt):
            raise InvalidInput(f"receipt is {receipt!r}; pass what erase, receipt or receipts gave")
        return self._tools.heads is not None and holds(receipt, self._tools.heads.keys)

    def erase_backup(
        self,
        file: str | os.PathLike[str],
        id: str | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Erase in a backup what ``erase`` would erase here; for the steward.

        Meanwhile the backup is a store in the folder ``FILE.erasing``. Where that is cut off, the same call goes on.
        """
        target = check_path(file, "file")
        self._dispatch(self._everywhere(), requests.EraseBackup(target=target))
        with wiring.opened_backup(Path(target)) as (store, blobs):
            others = {"heads": None, "embedder": None, "segments": None}
            copy = self._over(msgspec.structs.replace(self._tools, store=store, blobs=blobs, **others))
            try:
                return copy.erase(
                    id,
                    user_id=user_id,
                    agent_id=agent_id,
                    run_id=run_id,
                    session_id=session_id,
                    filters=filters,
                    wait=True,
                )
            finally:
                copy._api.buffer.close()

    def _over(self, tools: Any) -> Erasing:
        """A handle of a steward on another store, with rules, caches and a door of its own."""
        own = {
            "searcher": Searcher(None, cache_bytes=self._settings.cache_bytes),
            "rules": Rulebook(),
            "meter": Meter(),
        }
        copy = Erasing()
        copy._settings, copy._tools = self._settings, msgspec.structs.replace(tools, **own)
        copy._api = MemoryAPI(copy._tools, HANDLERS)
        copy._caller, copy._root = Caller(steward=True), False
        handlers = upkeep.own_jobs(copy._api, copy._tools)
        copy._worker = Worker(copy._api, handlers, name=wiring.worker_name(), clock=copy._tools.clock)
        return copy

    def _scrubbed(self, receipt: Receipt) -> Receipt:
        """Do scrubs until this one is signed, or none is due; gives the receipt as it stands then."""
        stands: Receipt = receipt
        while stands.phase is Phase.PENDING and self._worker.tick(self._tools.clock(), limit=1, kinds=KINDS):
            found = self._dispatch(self._everywhere(), requests.Receipts(id=receipt.id))
            stands = found[0] if found else stands
        return stands
