"""Privacy behind the door: policies by kind are set and read, and what is already there is looked at (5.5.1)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from pymemos.cube.call import MemoryCall, Request
from pymemos.cube.policy import STORE, Action, PrivacyRule
from pymemos.cube.privacy import LABELS
from pymemos.interface.access import SetPolicyHandler
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.letting_in import handling, labels_of, put_labels
from pymemos.interface.transfer import OnStore
from pymemos.interface.worker import for_owner
from pymemos.ports import Job, Record

PAGE = 200  # memories of one transaction of a scan
SCAN = "scan_privacy"


class SetPrivacy(Request, frozen=True, kw_only=True, tag="set_privacy_policy"):
    """Set what happens to personal data and secrets that are written to a namespace."""

    policy: PrivacyRule


class SetStorePrivacy(SetPrivacy, frozen=True, kw_only=True, tag="set_store_privacy_policy"):
    """The same for every namespace."""


class ReadPrivacy(Request, frozen=True, kw_only=True, tag="privacy_policy"):
    """Read what happens to each kind in a namespace."""


class LookAtPrivacy(Request, frozen=True, kw_only=True, tag="look_at_privacy"):
    """Look through some memories for what has no label yet."""

    after: str | None = None


class TagPrivacy(LookAtPrivacy, frozen=True, kw_only=True, tag="tag_privacy"):
    """Give labels to some memories that lack them; ``on`` queues the rest."""

    on: bool = False


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found: how many memories it looked at, which lack labels, and how many hold each kind."""

    examined: int = 0
    tagged: tuple[str, ...] = ()  # the memories that got labels, or, dry, would
    kinds: dict[str, int] = {}
    frozen: tuple[str, ...] = ()  # lack labels, but take no edits
    dry_run: bool = False
    after: str | None = None


class SetStorePrivacyHandler(OnStore):
    """The steward alone."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        return SetPolicyHandler().run(work, prepared)


class ReadPrivacyHandler(Handler):
    """Whoever reads there may know what happens to what is written."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=handling(work.of.book, work.call.scope.namespace or STORE))


class LookHandler(Handler):
    """A page of memories, and what of it lacks labels."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        records, scanned = _look(work, dry_run=True)
        return Outcome(result=scanned, memories=tuple(record.cube.id for record in records))


class TagHandler(Handler):
    """A page of memories, in one transaction, each that lacks labels with a version that has them."""

    changes = True
    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: TagPrivacy = work.call.request  # type: ignore[assignment]
        records, scanned = _look(work, dry_run=False)
        wanted = set(scanned.tagged)
        for record in records:
            if record.cube.id in wanted:
                put_labels(work, record.cube, SCAN)
        if request.on and scanned.after is not None:
            queue_scan(work, work.call.scope.namespace or "", scanned.after)
        return Outcome(result=scanned, memories=scanned.tagged)


def _look(work: Work, *, dry_run: bool) -> tuple[list[Record], Scanned]:
    request: LookAtPrivacy = work.call.request  # type: ignore[assignment]
    records: list[Record] = work.unit.page(work.selection(), limit=PAGE, after=request.after)
    kinds: Counter[str] = Counter()
    lacking: dict[bool, list[str]] = {False: [], True: []}
    for record in records:
        tags = labels_of(work, record.cube)
        kinds.update(LABELS[one].value for one in tags)
        if not set(tags) <= set(record.cube.header.governance.sensitivity):
            lacking[record.cube.header.governance.frozen].append(record.cube.id)
    after = records[-1].cube.id if len(records) == PAGE else None
    return records, Scanned(
        examined=len(records),
        tagged=tuple(lacking[False]),
        kinds=dict(kinds),
        frozen=tuple(lacking[True]),
        dry_run=dry_run,
        after=after,
    )


def queue_scan(work: Work, namespace: str, after: str | None = None) -> None:
    """Let the system look through a namespace, page by page."""
    arguments = {} if after is None else {"after": after}
    id = work.tools.new_id(work.now)
    work.unit.enqueue(Job(id=id, kind=SCAN, namespace=namespace, run_at=work.now, arguments=arguments))


def scan_job(job: Job) -> MemoryCall:
    """The next page of a scan; the rest is queued in the same transaction."""
    caller, scope = for_owner(job)
    return MemoryCall(caller=caller, scope=scope, request=TagPrivacy(after=job.arguments.get("after"), on=True))


HANDLERS: dict[type[Request], Handler] = {
    SetPrivacy: SetPolicyHandler(),
    SetStorePrivacy: SetStorePrivacyHandler(),
    ReadPrivacy: ReadPrivacyHandler(),
    LookAtPrivacy: LookHandler(),
    TagPrivacy: TagHandler(),
}
