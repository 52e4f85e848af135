"""The demonstration: a conversation is remembered, questioned, corrected and carried away, offline."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, verb

if TYPE_CHECKING:
    from rich.console import Console

    from pymemos import Hits, MemCube, MemOS

T = TypeVar("T")
USER, TOKENS = "demo", 120
_DATED = "%I:%M %p on %d %B, %Y"  # how LoCoMo writes the time of a session


class Change(msgspec.Struct):
    """A correction: the memory that answers ``question`` says ``content`` from ``timestamp`` on."""

    question: str
    content: str
    timestamp: datetime
    before: datetime
    after: datetime


class Script(msgspec.Struct):
    """What the demonstration plays: messages as (speaker, time, text) by session, questions, and a change."""

    people: list[str]
    questions: list[str]
    change: Change
    sessions: dict[str, list[tuple[str, datetime, str]]]


class Clock:
    """How long each kind of call took, in milliseconds."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def time(self, name: str, call: Callable[[], T]) -> T:
        """What ``call`` gives; its time is noted under ``name``."""
        started = time.perf_counter()
        result = call()
        self.taken.setdefault(name, []).append((time.perf_counter() - started) * 1000)
        return result

    def typical(self) -> dict[str, float]:
        """The median of each kind."""
        return {name: sorted(times)[len(times) // 2] for name, times in self.taken.items()}


@verb()
@click.option("--data", is_flag=True, help="Play a conversation of LoCoMo from the folder PYMEMOS_DATA.")
def demo(shell: Shell, data: bool) -> None:
    """Watch it remember a conversation, and answer from it.

    Then a memory is corrected, looked up as it was, and all is carried to another store. Works offline in a temporary
    folder, or in the folder that --home names.
    """
    script = _recorded() if data else _built_in()
    with _stage(shell) as mem:
        told = play(mem, script)
    if shell.json:
        shell.answer({name: part for name, part in told.items() if not name.startswith("_")})
    else:
        tell(told, show.console(), named=shell.home)


def play(mem: MemOS, script: Script) -> dict[str, Any]:
    """Do everything that is shown; gives what came of it, as JSON, and the objects to draw under ``_`` names."""
    clock = Clock()
    kept = _remember(mem, script, clock)
    found = {question: _ask(mem, clock, question, limit=2) for question in script.questions}
    change, newest = script.change, _correct(mem, script.change, clock)
    back = {
        when.date().isoformat(): _ask(mem, clock, change.question, limit=1, valid_at=when) for when in _looks(change)
    }
    versions = clock.time("history", lambda: mem.history(newest.id, user_id=USER))
    difference = clock.time("diff", lambda: mem.diff(newest.id, newest.revision - 1, newest.revision, user_id=USER))
    block = _ask(mem, clock, " ".join(script.questions), limit=6).context(max_tokens=TOKENS)
    carried = _carry(mem, clock)
    findings = clock.time("doctor", mem.doctor)
    return {
        "people": script.people,
        "messages": kept,
        "sessions": len(script.sessions),
        "searches": {q: [show.public_hit(hit, n) for n, hit in enumerate(hits, 1)] for q, hits in found.items()},
        "changed": show.public_cube(newest),
        "true_on": {day: [hit.cube.text for hit in hits] for day, hits in back.items()},
        "versions": [show.public_record(record) for record in versions],
        "diff": difference.text,
        "context": {"text": str(block), "tokens": block.tokens, "counter": block.counter},
        "export": carried,
        "doctor": {"ok": all(finding.ok for finding in findings), "checks": len(findings)},
        "milliseconds": {name: round(value, 2) for name, value in clock.typical().items()},
        "_found": found,
    }


def tell(told: dict[str, Any], console: Console, *, named: str | None) -> None:
    """Tell people what happened."""
    from rich.text import Text

    took = told["milliseconds"]
    first, second = told["people"]
    _head(console, "Remember", f"{first} and {second}, {told['messages']} messages in {told['sessions']} sessions")
    console.print(
        f"Each session is one atomic add: on the disk when it returns ({took['add']:.1f} ms), and found at once."
    )
    _head(console, "Search", f"by words, names and dates; no model, no server ({took['search']:.1f} ms)")
    for question, hits in told["_found"].items():
        console.print(Text(question, style="bold"))
        if hits:
            console.print(show.hit_grid(hits[:1], explain=True, ids=False))
    _head(console, "Update", "a change is a new version; what was true before is still known")
    console.print(Text(f"mem.update(id, {told['changed']['content']!r})", style="green"))
    for day, texts in told["true_on"].items():
        console.print(Text.assemble((f"valid_at {day}  ", "bold cyan"), texts[0] if texts else "nothing"))
    _head(
        console,
        "History and diff",
        f"{len(told['versions'])} versions, each with when it was known and when it was true",
    )
    for line in told["diff"].splitlines()[2:]:
        console.print(Text(line, style={"+": "green", "-": "red"}.get(line[0], "cyan")))
    block = told["context"]
    _head(console, "Context", f"a dated block for a prompt: {block['tokens']} of {TOKENS} tokens")
    console.print(Text(block["text"], style="dim"))
    export, checked = told["export"], told["doctor"]
    same = "the same bytes" if export["same"] else "OTHER BYTES"
    sound = f"{checked['checks']} checks, all well" if checked["ok"] else "something is wrong"
    _head(console, "Carry away", "export, import into an empty store, export again")
    console.print(f"{export['memories']} memories, {export['bytes']:,} bytes, {same}. Doctor: {sound}.")
    times = " · ".join(f"{name} {value:.1f}" for name, value in took.items())
    _head(console, "Times", "milliseconds a call, median, on this machine")
    console.print(times)
    where = f" --home {named}" if named else ""
    tries = (f'pymemos add "I moved to Lisbon in May."{where}', f'pymemos search "Where did I move?"{where}')
    console.print(Text(f"\nYour turn: {tries[0]}\n           {tries[1]}", style="bold"))


def _remember(mem: MemOS, script: Script, clock: Clock) -> int:
    """Add every session; playing the script twice in one store keeps every message once."""
    count = 0
    for session, said in script.sessions.items():
        messages = [
            {"role": "user", "name": name, "content": text, "timestamp": at, "id": f"{session}-{place}"}
            for place, (name, at, text) in enumerate(said, start=1)
        ]
        added = clock.time("add", lambda m=messages, s=session: mem.add(m, user_id=USER, session_id=s))  # type: ignore[misc]
        count += len(added.ids)
    return count


def _ask(mem: MemOS, clock: Clock, question: str, **options: Any) -> Hits:
    return clock.time("search", lambda: mem.search(question, user_id=USER, **options))


def _correct(mem: MemOS, change: Change, clock: Clock) -> MemCube:
    """Correct the memory that answers the question of the change."""
    old = _ask(mem, clock, change.question, limit=1)[0].cube
    return clock.time("update", lambda: mem.update(old.id, change.content, timestamp=change.timestamp, user_id=USER))


def _looks(change: Change) -> tuple[datetime, datetime]:
    return change.before, change.after


def _carry(mem: MemOS, clock: Clock) -> dict[str, Any]:
    """Export, import into an empty store, export that."""
    from pymemos.interface.transfer import from_line

    lines = clock.time("export", lambda: list(mem.export_lines(user_id=USER)))
    with _temporary() as other:
        clock.time("import", lambda: other.import_records(map(from_line, lines)))
        same = list(other.export_lines(user_id=USER)) == lines
    return {"memories": len(lines), "bytes": sum(len(line) + 1 for line in lines), "same": same}


def _stage(shell: Shell) -> AbstractContextManager[MemOS]:
    """The store to play in: the one that was named, or a temporary one."""
    return shell.open(create=True) if shell.home else _temporary()


@contextmanager
def _temporary() -> Iterator[MemOS]:
    """A store that leaves nothing behind, not even its key."""
    from pymemos.system import MemOS

    with (
        tempfile.TemporaryDirectory(prefix="pymemos-demo-") as folder,
        MemOS(folder, key=secrets.token_bytes(32)) as mem,
    ):
        yield mem


def _built_in() -> Script:
    file = resources.files("pymemos.surfaces.cli") / "demo_conversation.json"
    return msgspec.json.decode(file.read_bytes(), type=Script)


def _recorded() -> Script:
    """The first conversation of LoCoMo, where a checkout has it."""
    file = Path(os.environ.get("PYMEMOS_DATA", "data")) / "locomo" / "locomo_dev.json"
    if not file.is_file():
        raise click.UsageError(f"{file} is not there; set PYMEMOS_DATA to the folder that holds locomo/locomo_dev.json")
    chosen = msgspec.json.decode(file.read_bytes())[0]
    talk = chosen["conversation"]
    sessions: dict[str, list[tuple[str, datetime, str]]] = {}
    for name in sorted((name for name in talk if re.fullmatch(r"session_\d+", name)), key=lambda name: int(name[8:])):
        at = datetime.strptime(talk[f"{name}_date_time"], _DATED).replace(tzinfo=UTC)
        sessions[name] = [(turn["speaker"], at, turn["text"]) for turn in talk[name]]
    first, last = (sessions[name][0][1] for name in (next(iter(sessions)), next(reversed(sessions))))
    questions = [one["question"] for one in chosen["qa"][:3]]
    correction = f"A correction to {questions[0]!r}: it was a week later."
    change = Change(questions[0], correction, last, first.replace(hour=23), datetime.now(UTC))
    return Script([talk["speaker_a"], talk["speaker_b"]], questions, change, sessions)


def _head(console: Console, title: str, note: str) -> None:
    from rich.text import Text

    console.print(Text.assemble("\n", (f"{title}", "bold magenta"), (f"  {note}", "dim")))
