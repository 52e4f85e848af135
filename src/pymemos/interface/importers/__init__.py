"""Importers: what other programs keep of conversations and notes, taken in so that repeating it changes nothing.

A parser turns files into sessions of messages and touches no memory; one runner writes them by the public calls.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymemos.interface.importers.runner import Memories
    from pymemos.interface.importers.session import ImportReport, OnProgress


def import_from(
    self: Memories,
    path: str | os.PathLike[str],
    *,
    kind: str,
    user_id: str | None = None,
    agent_id: str | None = None,
    session_id: str | None = None,
    prune: bool = False,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Take in another program's archive: ``kind`` is "chatgpt", "markdown" (a folder of notes) or "locomo".

    Repeating it brings only what is new: messages are known by their ids, notes by their path and headings. A passage
    whose note changed gets a new version; one that is gone is named in the report, and deleted with ``prune``.
    ``session_id`` names a folder of notes, whose name is else its path. ``on_progress`` is told after each conversation
    or note. What cannot be read is left out and named in the report.
    """
    from pymemos.interface.arguments import check_member, check_path
    from pymemos.interface.importers import runner
    from pymemos.interface.importers.session import Kind

    bound = self.bind(user_id=user_id, agent_id=agent_id)
    wanted = check_member(Kind, kind, "kind")
    archive = Path(check_path(path, "path"))
    return runner.run(bound, archive, wanted, collection=session_id, prune=prune, on_progress=on_progress)
