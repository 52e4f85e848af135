"""Upkeep: the store as a whole, its jobs and the passing of time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pymemos.cube.policy import parse_kinds
from pymemos.cube.privacy import Kind
from pymemos.errors import ModelError
from pymemos.facade.handle import Handle
from pymemos.infrastructure.privacy.scanning import check_available
from pymemos.interface import embedding, importers, requests, transfer
from pymemos.interface.arguments import (
    MOST_ATTEMPTS,
    PRIORITIES,
    When,
    check_id,
    check_limit,
    check_member,
    check_metadata,
    check_name,
    check_number,
    check_path,
    check_records,
    check_turn,
    optional_time,
)
from pymemos.interface.training import remove_cancelled
from pymemos.interface.worker import TickReport
from pymemos.ports import Finding, Job, JobState, Record


class Upkeep(Handle):
    """The methods that look after a store."""

    # The store as a whole.

    def export_lines(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        redact: Sequence[Kind | str] = (),
        sign: bool = False,
    ) -> Iterator[bytes]:
        """Whole memories as JSON Lines, every version, in order of their ids: one's own, or, for a steward, all.

        ``redact`` names kinds of what is personal or secret that are left out; a memory that holds some becomes a line
        that says so, which no import takes for the memory itself.

        Signatures go with the others; with ``sign`` this instance signs each version that it has not signed yet, so
        that whoever imports them can tell that it vouches for them and that nobody changed them since.
        """
        kinds = parse_kinds(redact)
        check_available(kinds)
        call, after = self._everywhere(user_id, agent_id), None
        while True:
            page: transfer.Exported = self._dispatch(call, requests.Export(after=after, redact=kinds, sign=sign))
            yield from page.lines
            after = page.after
            if after is None:
                return

    def import_records(self, memories: Iterable[tuple[Record, ...]]) -> transfer.Imported:
        """Take in memories that ``pymemos.interface.transfer.from_line`` read; repeating it changes nothing."""
        report: transfer.Imported = self._dispatch(
            self._everywhere(), requests.Import(memories=check_records(memories))
        )
        return report

    import_from = importers.import_from  # other programs' archives: it only calls what is public here

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Copy the store, while it is in use, as one moment saw it, to the new file ``target``.

        Raises DamagedBlob, when all else is copied, where the file of a tensor is not what was stored.
        """
        return Path(self._dispatch(self._everywhere(), requests.Backup(target=check_path(target, "target"))))

    def doctor(self, *, grep_erased: bool = False) -> Sequence[Finding]:
        """Examine the store: integrity, agreement of its parts, counts, whether blobs are there, free space.

        What stands in blobs is not read here: that is looked at when they are used, and by ``backup``.

        ``grep_erased`` also searches every byte of its files for documents that were erased, by what their ids tell.
        """
        findings: Sequence[Finding] = self._dispatch(self._everywhere(), requests.Doctor(grep_erased=grep_erased))
        return findings

    # Jobs and time.

    def enqueue(
        self,
        kind: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_at: When | None = None,
        priority: int = 0,
        max_attempts: int = 5,
        dedup_key: str | None = None,
    ) -> str | None:
        """Queue a job for the owner; gives its id, or None when one with its kind and dedup key waits or runs.

        A higher ``priority`` runs first. A job that failed ``max_attempts`` times, at most 40, is parked, and makes
        room for one that is queued with its kind and dedup key.
        """
        caller, scope = self._bind(user_id, agent_id)
        now = self._tools.clock()
        job = Job(
            id=self._tools.new_id(now),
            kind=check_name(kind, "kind"),
            namespace=scope.namespace or caller.namespace,
            run_at=optional_time(run_at, "run_at") or now,
            arguments=check_metadata(arguments or {}, "arguments"),
            priority=check_number(priority, "priority", least=-PRIORITIES, most=PRIORITIES),
            max_attempts=check_number(max_attempts, "max_attempts", least=1, most=MOST_ATTEMPTS),
            dedup_key=None if dedup_key is None else check_name(dedup_key, "dedup_key"),
            created=now,
        )
        id: str | None = self._dispatch((caller, scope), requests.Enqueue(job=job))
        return id

    def jobs(self, *, state: JobState | str | None = None, limit: int = 100) -> Sequence[Job]:
        """Unfinished jobs in the order in which they would run."""
        wanted = None if state is None else check_member(JobState, state, "state")
        found: Sequence[Job] = self._dispatch(self._everywhere(), requests.Jobs(state=wanted, limit=check_limit(limit)))
        return found

    def control_job(self, id: str, action: str) -> Job:
        """Retry a job now ("retry"), unless a worker does it at the moment, or take it out of the queue ("cancel")."""
        job: Job = self._dispatch(self._everywhere(), requests.ControlJob(id=check_id(id), action=action))
        if action == "cancel":
            remove_cancelled(self._tools, job)
        return job

    def next_due(self) -> datetime | None:
        """When the next job that this process can do becomes due; a worker sleeps until then. For the steward alone."""
        self._check_steward()
        with self._tools.store.read() as unit:  # tells nothing about memories, so it needs no decision
            return unit.next_due(self._worker.kinds)

    def tick(self, now: datetime | None = None, *, limit: int = 100) -> TickReport:
        """One turn of the system: do what is due at ``now``, at most ``limit`` jobs."""
        self._check_steward()
        self._let_go()
        return self._worker.tick(check_turn(now, "now") or self._tools.clock(), limit=check_limit(limit))

    def reembed(self, on_progress: Callable[[int], None] | None = None) -> int:
        """Make the vectors of the whole store anew with the present embedder; gives how many memories got some.

        Searches go on meanwhile. A run that was cut off goes on where it was: what has vectors is left alone.
        """
        embedder = self._tools.embedder
        if embedder is None:
            raise ModelError("there is no embedder; run 'pymemos models prepare minilm', or set PYMEMOS_EMBEDDER")
        namespaces = self._dispatch(self._everywhere(), embedding.UseEmbedder(embedder=embedder.identity))
        done = 0
        for namespace in namespaces:
            for count in embedding.embed_all(self._api, self._tools, namespace):
                done += count
                if on_progress is not None:
                    on_progress(done)
        return done
