"""The commands on memories: add, search, list, get, update, append, delete, history, diff, log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from pymemos.errors import EmptyScope
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    FAILED,
    F,
    Shell,
    across_option,
    after_option,
    filter_option,
    given,
    identity_options,
    json_object,
    limit_option,
    log_options,
    scope_options,
    state_option,
    time_options,
    verb,
    view_option,
)
from pymemos.surfaces.cli.show import Column


def label_options(function: F) -> F:
    """What a caller can say about memories that are added or changed."""
    options = [
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag; may be given several times."),
        click.option("--entity", "entities", multiple=True, metavar="NAME", help="Somebody or something it is about."),
        click.option("--metadata", callback=json_object, metavar="JSON", help="Your own fields, as a JSON object."),
        click.option("--type", metavar="TYPE", help="fact, event, user_preference, procedure, …"),
        click.option("--priority", metavar="PRIORITY", help="low, mid or high."),
        click.option("--sensitivity", multiple=True, metavar="WORD", help="What makes it sensitive; several times."),
        click.option("--language", metavar="CODE", help="Language of the text (default: detected)."),
        click.option("--timestamp", metavar="TIME", help="When it was said or happened (ISO 8601 with a zone)."),
        click.option("--valid-from", metavar="TIME", help="Since when it is true (default: the timestamp, or now)."),
        click.option("--valid-to", metavar="TIME", help="Until when it is true."),
        click.option("--ttl", "ttl_s", type=float, metavar="SECONDS", help="It expires after so many seconds."),
        click.option("--expires", metavar="TIME", help="It expires then (ISO 8601 with a zone)."),
        click.option("--half-life", "half_life_s", type=float, metavar="SECONDS", help="It fades by half in so many."),
        click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@verb()
@click.argument("text", required=False)
@click.option("--trust", metavar="SOURCE", help="Where the words came from: user, assistant, agent, tool or web.")
@click.option(
    "--messages", type=click.Path(allow_dash=True), metavar="FILE", help="A JSON list of messages; - is stdin."
)
@click.option("--namespace", metavar="NAME", help="Keep it there, such as shared/team.")
@scope_options
@label_options
def add(shell: Shell, text: str | None, messages: str | None, **options: Any) -> None:
    """Keep TEXT, or a conversation.

    TEXT is - to read it from stdin, which is also read when something is piped in. Messages are in OpenAI form, with
    optional id, name, timestamp and metadata; a list is one atomic call, and each message becomes one memory, verbatim.
    """
    if text is not None and messages is not None:
        raise click.UsageError("both TEXT and --messages were given; give one")
    content: Any = _read_messages(messages) if messages is not None else _read_text(text)
    with shell.open(create=True) as mem:
        added = mem.add(content, **_labels(options))
    if shell.json:
        shell.answer(
            {
                "ids": added.ids,
                "memories": [show.public_cube(cube) for cube in added.cubes],
                "episode": added.episode.id if added.episode else None,
                "deduplicated": added.deduplicated,
                "skipped": added.skipped,
                "queued": added.queued,
                "replayed": added.replayed,
            }
        )
    elif not show.on_terminal() or len(added.ids) == 1:
        click.echo("\n".join(added.ids))
    else:
        known = f", {len(added.deduplicated)} of them known before" if added.deduplicated else ""
        click.echo(f"Kept {len(added.ids)} messages{known}.")


@verb()
@click.argument("query")
@limit_option(10)
@scope_options
@across_option
@filter_option
@view_option
@time_options
@state_option
@click.option("--explain", is_flag=True, help="Say why each memory was found.")
@click.option("--context", "tokens", type=click.IntRange(1), metavar="TOKENS", help="Print a prompt block of so many.")
def search(shell: Shell, query: str, explain: bool, tokens: int | None, **options: Any) -> None:
    """Find the memories that answer QUERY, best first.

    In a pipe a line holds id, score, time, speaker and text, separated by tabs.
    """
    with shell.open() as mem:
        hits = mem.search(query, **given(options))
    block = None if tokens is None else hits.context(max_tokens=tokens)
    if shell.json:
        answer: dict[str, Any] = {
            "query": query,
            "terms": hits.terms,
            "decision": hits.decision,
            "reasons": hits.reasons,
            "hits": [show.public_hit(hit, rank) for rank, hit in enumerate(hits, start=1)],
        }
        if block is not None:
            measures = {
                name: getattr(block, name) for name in ("tokens", "counter", "memories", "left_out", "stale", "fenced")
            }
            answer["context"] = {"text": str(block), **measures}
        shell.answer(answer)
    elif block is not None:
        click.echo(show.printable(block) if show.on_terminal() else block)
    else:
        if explain:
            click.secho("\n".join(hits.explain().splitlines()[: 2 + len(hits.reasons)]), dim=True)
        show.hits(hits, explain=explain, empty="Nothing found.")


@verb(name="list")
@limit_option(100)
@after_option
@click.option("--episodes", is_flag=True, help="The manifests too: of episodes, and views.")
@scope_options
@across_option
@filter_option
@view_option
@time_options
@state_option
def list_(shell: Shell, **options: Any) -> None:
    """List memories in the order in which they were made.

    In a pipe a line holds id, time, speaker and text, separated by tabs.
    """
    with shell.open() as mem:
        page = mem.list(**given(options))
    if shell.json:
        shell.answer({"memories": [show.public_cube(cube) for cube in page], "after": page.after})
        return
    show.memories(page, empty="Nothing here yet.")
    show.more(page.after)


@verb()
@click.argument("id")
@click.option("--version", metavar="VERSION", help="A revision or a version hash (default: the current one).")
@identity_options
def get(shell: Shell, id: str, version: str | None, **identity: Any) -> None:
    """Show one memory whole, or one of its versions."""
    with shell.open() as mem:
        cube = mem.get(id, version=parse_version(version), **given(identity))
    if shell.json:
        shell.answer(show.public_cube(cube))
    else:
        show.card(cube)


@verb()
@click.argument("id")
@click.argument("text", required=False)
@click.option("--expected", metavar="VERSION", help="Refuse when the memory is at another revision or version.")
@identity_options
@label_options
def update(shell: Shell, id: str, text: str | None, expected: str | None, **options: Any) -> None:
    """Write the next version of memory ID; what is not given stays.

    The old text stays true for the time before --valid-from. TEXT is - to read it from stdin.
    """
    content = sys.stdin.read().removesuffix("\n") if text == "-" else text
    with shell.open() as mem:
        cube = mem.update(id, content, expected=parse_version(expected), **_labels(options))
    say_revision(shell, cube)


@verb()
@click.argument("id")
@click.argument("text")
@click.option("--expected", metavar="VERSION", help="Refuse when the memory is at another revision or version.")
@click.option("--timestamp", metavar="TIME", help="When it was said (ISO 8601 with a zone).")
@click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless.")
@identity_options
def append(shell: Shell, id: str, text: str, expected: str | None, **options: Any) -> None:
    """Add TEXT to memory ID, on a line of its own.

    That is its next version.
    TEXT is - to read it from stdin.
    """
    content = sys.stdin.read().removesuffix("\n") if text == "-" else text
    with shell.open() as mem:
        cube = mem.append(id, content, expected=parse_version(expected), **given(options))
    say_revision(shell, cube)


@verb()
@click.argument("id", required=False)
@click.option("--expected", metavar="VERSION", help="Refuse when the memory is at another revision or version.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting more than one memory.")
@scope_options
@filter_option
def delete(shell: Shell, id: str | None, expected: str | None, yes: bool, **options: Any) -> int:
    """Delete memory ID, or all that a scope or a filter selects.

    A scope is --user, --agent or --session. What was deleted is out of reach of search and list; history still
    knows it.
    """
    if id is None and not given(options):
        raise EmptyScope("nothing was named; give an id, or a scope: --user, --agent, --session or --filter")
    if id is None and not (yes or shell.json) and sys.stdin.isatty():
        chosen = ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in given(options).items())
        if not click.confirm(f"Delete every memory of {chosen}?", err=True):
            click.echo("Nothing was deleted.", err=True)
            return FAILED
    with shell.open() as mem:
        deleted = mem.delete(id, expected=parse_version(expected), **given(options))
    if shell.json:
        shell.answer({"ids": deleted.ids})
    elif show.on_terminal():
        click.echo(f"Deleted {len(deleted.ids)} {'memory' if len(deleted.ids) == 1 else 'memories'}.")
    else:
        click.echo("\n".join(deleted.ids), nl=bool(deleted.ids))
    return 0


@verb()
@click.argument("id")
@identity_options
def history(shell: Shell, id: str, **identity: Any) -> None:
    """Show every version of memory ID, oldest first.

    Each with when it was known, when it was true and what it said.
    """
    with shell.open() as mem:
        records = mem.history(id, **given(identity))
    if shell.json:
        shell.answer({"id": id, "versions": [show.public_record(record) for record in records]})
        return
    show.versions(records)


@verb()
@click.argument("id")
@click.argument("a", required=False)
@click.argument("b", required=False)
@identity_options
def diff(shell: Shell, id: str, a: str | None, b: str | None, **identity: Any) -> None:
    """Show what changed from version A of memory ID to version B.

    A and B are revisions or version hashes; without them, the last two.
    """
    with shell.open() as mem:
        newest = len(mem.history(id, **given(identity))) if b is None else 0
        older = max(newest - 1, 1) if a is None else _version(a)
        newer = newest if b is None else _version(b)
        difference = mem.diff(id, older, newer, **given(identity))
    if shell.json:
        fields = {name: {"from": old, "to": new} for name, (old, new) in difference.fields.items()}
        shell.answer({"id": id, "a": difference.a, "b": difference.b, "text": difference.text, "fields": fields})
        return
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for name, (old, new) in difference.fields.items():
        click.echo(f"{click.style(name, bold=True)}: {_field(old)} → {_field(new)}")
    for line in difference.text.splitlines():
        click.secho(show.printable(line), fg=colours.get(line[:1]))


@verb()
@log_options
@limit_option(100)
@identity_options
def log(shell: Shell, **options: Any) -> None:
    """Show the audit log, newest first.

    Who did what under which rule; never what a memory said.

    In a pipe a line holds time, caller, operation, allowed or refused, rule, number and ids of the memories.
    """
    with shell.open() as mem:
        entries = mem.log(**given(options))
    if shell.json:
        shell.answer({"entries": [{**show.fields_of(entry), "caller": entry.caller.name} for entry in entries]})
        return
    if show.on_terminal():
        rules = [entry.rule if entry.allowed else f"refused: {entry.rule}" for entry in entries]
        rows = [(e.at, e.caller.name, e.operation, rule, e.count) for e, rule in zip(entries, rules, strict=True)]
        who = Column("who", ratio=1)
        columns = [Column("when", "dim"), who, Column("what", "bold"), Column("rule"), Column("memories", right=True)]
        show.table(columns, rows, empty="No entries.")
        return
    for e in entries:
        decision = "allowed" if e.allowed else "refused"
        show.tabbed(e.at, e.caller.name, e.operation, decision, e.rule, e.count, " ".join(e.memories))


def _labels(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, those on how long a memory is kept as one."""
    named = given(options)
    lifespan = {name: named.pop(name) for name in ("ttl_s", "expires", "half_life_s") if name in named}
    return {**named, "lifespan": lifespan} if lifespan else named


def _read_text(text: str | None) -> str:
    """The text of an argument, or of stdin where the argument is - or something is piped in."""
    if text is not None and text != "-":
        return text
    if text is None and sys.stdin.isatty():
        raise click.UsageError("no text was given; write it in quotes, pipe it in, or name a file with --messages")
    return sys.stdin.read().removesuffix("\n")


def _read_messages(name: str) -> Any:
    """The JSON of a file of messages."""
    raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--messages {name} is not JSON: {error}; 'pymemos import' takes JSON Lines") from error


def parse_version(text: str | None) -> int | str | None:
    """A revision where ``text`` is a number, else a version hash; None where none was given."""
    return None if text is None else _version(text)


def _version(text: str) -> int | str:
    return int(text) if text.isdecimal() and len(text) < 10 else text


def _field(value: Any) -> str:
    return show.one_line(msgspec.json.encode(value).decode())


def say_revision(shell: Shell, cube: Any) -> None:
    """Say which version was written."""
    if shell.json:
        shell.answer(show.public_cube(cube))
    elif show.on_terminal():
        click.echo(f"Revision {cube.revision} of {cube.id}")
    else:
        show.tabbed(cube.id, cube.revision, cube.version)
