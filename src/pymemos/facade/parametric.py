"""Parametric memory: what texts say, in the weights of adapters, which act where a question names whom they know."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pymemos.cube.adapter import Manifest, Recipe, folder_of, manifest_of
from pymemos.cube.header import Priority
from pymemos.cube.payload import Parametric
from pymemos.errors import InvalidInput, ModelError
from pymemos.facade.folders import write_folder
from pymemos.facade.handle import Handle
from pymemos.interface.adapters import Distil, FindTraining, Looked, ShowAdapter
from pymemos.interface.arguments import (
    check_id,
    check_ids,
    check_limit,
    check_names,
    check_path,
    check_text,
    parse_labels,
)
from pymemos.interface.attaching import Attached
from pymemos.interface.training import Arguments, Progress, check_recipe, progress_of, remove_cancelled, training_job
from pymemos.interface.tuner_seat import NO_TUNER
from pymemos.operation.replies import read_by
from pymemos.ports import Job


class ParametricMemory(Handle):
    """The methods of adapters; they need a local model that learns."""

    def distil(
        self,
        ids: Sequence[str] | None = None,
        *,
        adapters: Sequence[str] = (),
        into: str | None = None,
        recipe: Recipe | None = None,
        by_chat: bool = False,
        priority: Priority | str | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> str:
        """Queue the training of an adapter on memories of one's own; gives the id of the job.

        The job trains, examines, and keeps the adapter as a memory made from exactly these. It may serve only if it
        passes its admission test; else it is kept to be looked at, and the memories stay texts. ``adapters`` are fused:
        trained anew on everything that they were made from. With ``by_chat`` the chat model makes further questions for
        each fact, where it may read the memories. ``into`` is an adapter that gets its next version by it
        (``restore`` goes back).
        """
        engine, _ = self._tools.tuner.needed()  # said now rather than by a job that fails
        who = read_by(self._bind(user_id, agent_id), engine.identity)
        given = check_ids(ids, "ids", least=1) if ids else ()
        fused = check_ids(adapters, "adapters", least=0)
        labels = parse_labels(priority=priority, tags=tags)
        sources = dict.fromkeys((*given, *(pin for id in fused for pin in self._sources(who, id))))
        if not sources:
            raise InvalidInput("pass the ids of memories to learn from, or adapters= to fuse")
        asked = Arguments(
            ids=tuple(sources),
            recipe=check_recipe(recipe or Recipe()),
            into=None if into is None else check_id(into, "into"),
            tags=labels.tags,
            priority=labels.priority,
            by_chat=bool(by_chat),
        )
        job = training_job(self._tools, who, asked, self._tools.clock())
        self._dispatch(who, Distil(job=job, ids=asked.ids, into=asked.into))
        return job.id

    def training(self, job: str, *, user_id: str | None = None, agent_id: str | None = None) -> Progress:
        """How far a training is; raises UnknownJob when it has ended."""
        found: Job = self._dispatch(self._bind(user_id, agent_id), FindTraining(job=check_id(job, "job")))
        return progress_of(self._tools, found)

    def cancel_training(self, job: str, *, user_id: str | None = None, agent_id: str | None = None) -> None:
        """Stop a training; nothing is left of it. One that runs stops after the step that it is in."""
        found: Job = self._dispatch(self._bind(user_id, agent_id), FindTraining(job=check_id(job, "job"), cancel=True))
        remove_cancelled(self._tools, found)

    def attach(
        self,
        question: str,
        *,
        tokens: Sequence[int] | None = None,
        hits: Collection[str] | None = None,
        limit: int = 1,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
    ) -> Attached:
        """The adapters that know whom the question names, and what it asks: pass them, with ``tokens``, to ``run``.

        ``tokens`` is a prompt that ends with the question; without one, it is a prompt of the question alone. With
        ``hits``, the ids of what a search found, only an adapter is used that learned from one of these. What is stale,
        not admitted, or not open to the caller is never used, and named; so is what knows of the one named something
        else than the question asks for.
        """
        if self._attacher is None:
            raise ModelError(NO_TUNER)
        engine, _ = self._tools.tuner.needed()
        who = read_by(self._bind(user_id, agent_id, run_id, session_id), engine.identity)
        asked = check_text(question, "the question", limit=self._settings.text_limit)
        prompt = None if tokens is None else _prompt(tokens)
        found = None if hits is None else frozenset(check_names(hits, "hits"))
        return self._attacher.attach(who, asked, tokens=prompt, hits=found, limit=check_limit(limit))

    def adapter(self, id: str, *, user_id: str | None = None, agent_id: str | None = None) -> AdapterCard:
        """What is known of an adapter: its sources, subjects, probes and scores, and whether it may serve.

        Where there is a local model it is opened for that. Raises DamagedBlob where its file is not what was stored.
        """
        self._tools.tuner.opened()
        shown, file = self._file(self._bind(user_id, agent_id), id)
        return AdapterCard(
            id=shown.cube.id, revision=shown.cube.revision, reason=shown.reason, manifest=manifest_of(file)
        )

    def write_adapter(
        self, id: str, target: str | os.PathLike[str], *, user_id: str | None = None, agent_id: str | None = None
    ) -> Path:
        """Write an adapter as the folder that PEFT reads, with ``manifest.json``; gives the folder, a new one.

        Raises DamagedBlob where its file is not what was stored.
        """
        folder = Path(check_path(target, "target"))
        _, file = self._file(self._bind(user_id, agent_id), id)
        write_folder(folder, folder_of(file))
        return folder

    def _sources(self, who: Any, id: str) -> tuple[str, ...]:
        looked: Looked = self._dispatch(who, ShowAdapter(id=id))
        return tuple(pin.id for pin in looked.cube.parents)

    def _file(self, who: Any, id: str) -> tuple[Looked, memoryview]:
        looked: Looked = self._dispatch(who, ShowAdapter(id=check_id(id)))
        payload = looked.cube.payload
        assert isinstance(payload, Parametric)  # noqa: S101 (the handler looked)
        return looked, self._tools.blobs.open_whole(payload.blob)


def _prompt(tokens: Any) -> tuple[int, ...]:
    """The tokens of a prompt, by their numbers."""
    given = () if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable) else tuple(tokens)
    if not given or any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in given):
        raise InvalidInput("tokens are the numbers of a prompt's tokens; pass those that the engine made of it")
    return given


class AdapterCard(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter's version, its manifest, and why it may not be used now, or nothing."""

    id: str
    revision: int
    reason: str
    manifest: Manifest

    @property
    def serves(self) -> bool:
        """Whether it may be used now."""
        return not self.reason
