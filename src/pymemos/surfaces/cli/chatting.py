"""The command chat: a conversation in the terminal with a model that remembers (7.1)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pymemos.errors import ModelError, PymemosError, UnknownMemory
from pymemos.settings import from_environment
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, across_option, given, json_object, limit_option, scope_options, verb

if TYPE_CHECKING:
    from pymemos import MemCube, MemOS, Reply

SESSION = "terminal"  # the conversation goes on from run to run, unless another one is named
DAY = timedelta(days=1)
STRATEGIES = ("similarity", "recency", "priority", "cost")  # that need nothing beside their names
SHOWN = 10  # memories that /memories lists
HELP = """\
/why             the memories that stood behind the last answer, and why
/plan            what the last answer was made from, from which tier, and what it cost
/memories WORDS  memories that answer these words; without any, the newest of the last day
/task NAME       go on with another task: what is kept in memory for it comes, and the last one's makes room
/forget ID       delete a memory, by its id or its number in the last list
/help            this list
/quit            leave (so does Ctrl-D); Ctrl-C stops an answer, of which nothing is kept"""


def _planning(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """A strategy's name as it is, else the policy that the JSON writes."""
    if value in STRATEGIES:
        return value
    if value is not None and not value.lstrip().startswith("{"):
        raise click.BadParameter(f"{value!r} is no strategy; use one of {', '.join(STRATEGIES)}, or JSON", ctx, param)
    return json_object(ctx, param, value)


@verb()
@click.option("--once", metavar="TEXT", help="Ask this and leave; - reads it from stdin.")
@scope_options
@across_option
@limit_option(10)
@click.option("--system", metavar="TEXT", help="What the model is told to be.")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="The longest answer, in tokens.")
@click.option("--memory-tokens", type=click.IntRange(0), metavar="N", help="For memories in a prompt, in tokens.")
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="N", help="0 gives the likeliest answer.")
@click.option("--steer", multiple=True, metavar="ID", help="Add this steering vector; several add up.")
@click.option(
    "--mode", type=click.Choice(["exact", "blend"]), help="How stored KV is put together; blend approximates."
)
@click.option(
    "--schedule",
    callback=_planning,
    metavar=f"[{'|'.join(STRATEGIES)}|JSON]",
    help="""Let the scheduler plan, by this strategy, or '{"strategy": "cost", "budgets": {"seconds": 0.5}}'.""",
)
@click.option("--task", metavar="TASK", help="What it is about; policies and memory sets go by it.")
@click.option("--use-adapters", is_flag=True, help="Let adapters stand for memories that they learned.")
@click.option("--forgetful", is_flag=True, help="Keep nothing of what is said.")
def chat(shell: Shell, once: str | None, forgetful: bool, steer: tuple[str, ...], **options: Any) -> None:
    """Talk with a model that remembers.

    What is said is kept, and the session "terminal" goes on in the next run, unless --session names another one. /help
    lists the commands of the conversation. With --json each answer is one line of JSON, with its plan.
    """
    _check_model()
    options = {"session_id": SESSION, **given(options), "remember": not forgetful, "steering": steer}
    with shell.open(create=True) as mem:
        talk = Conversation(shell, mem, options)
        if once is not None:
            talk.ask(sys.stdin.read().strip() if once == "-" else once)
            return
        if show.on_terminal():
            with suppress(ImportError):
                import readline  # noqa: F401 (it edits the line and remembers those before)
            click.secho("Ask something; /help lists the commands, Ctrl-D leaves.", dim=True)
        while talk.turn():
            pass


class Conversation:
    """The turns of one run."""

    def __init__(self, shell: Shell, mem: MemOS, options: dict[str, Any]) -> None:
        self._shell = shell
        self._options = options
        who = {name: options[name] for name in ("user_id", "agent_id") if name in options}
        self._mem = mem.bind(**who) if who else mem
        self._reply: Reply | None = None
        self._listed: list[str] = []
        self._commands: dict[str, Callable[[str], None]] = {
            "/why": self._why,
            "/plan": self._plan,
            "/memories": self._memories,
            "/task": self._task,
            "/forget": self._forget,
            "/help": lambda _: click.echo(HELP),
        }

    def turn(self) -> bool:
        """Read a line and do what it says; False at the end. An error ends the turn and not the conversation."""
        try:
            line = input("> " if show.on_terminal() else "").strip()
        except EOFError:
            return False
        if line in ("/quit", "/exit"):
            return False
        try:
            if line.startswith("/"):
                self._command(line)
            elif line:
                self.ask(line)
        except PymemosError as error:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        except KeyboardInterrupt:
            click.echo("Stopped; nothing was kept of it.", err=True)
        return True

    def ask(self, question: str) -> None:
        """Ask the model and print what it says, as it says it; nothing is kept of what is interrupted."""
        if self._shell.json:
            self._reply = self._mem.chat(question, **self._options)
            self._shell.answer(public_reply(self._reply))
            return
        with self._mem.chat(question, stream=True, **self._options) as stream:
            try:
                for piece in stream:
                    click.echo(show.printable(piece) if show.on_terminal() else piece, nl=False)
                    sys.stdout.flush()
            except KeyboardInterrupt:
                click.echo(" …")
                raise
        click.echo()
        self._reply = stream.reply
        self._remark(stream.reply)

    def _remark(self, reply: Reply) -> None:
        """What is to be said of an answer, on stderr; on a terminal also how many memories it had."""
        plan = reply.plan
        for remark in plan.remarks:
            click.secho(remark, dim=True, err=True)
        for source in plan.changed:
            click.secho(f"changed while the answer was made: {source}", dim=True, err=True)
        if show.on_terminal():
            seconds = plan.cost.total_ms / 1_000
            click.secho(f"[{len(plan.used)} memories, {seconds:.1f} s; /why says which]", dim=True, err=True)

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = self._commands.get(name)
        if command is None:
            click.echo(f"there is no {name}; /help lists the commands", err=True)
            return
        command(rest.strip())

    def _why(self, _: str) -> None:
        reply = self._answered()
        if reply is None:
            return
        rows = [
            (place, one.id, one.tier, one.why, self._text_of(one.id))
            for place, one in enumerate(reply.plan.used, start=1)
        ]
        self._listed = [one.id for one in reply.plan.used]
        columns = [show.Column("#", right=True), show.Column("id", "dim"), show.Column("tier"), show.Column("why")]
        show.table([*columns, show.Column("memory", ratio=1)], rows, empty="The answer was made from no memory.")

    def _plan(self, _: str) -> None:
        reply = self._answered()
        if reply is not None:
            usage = reply.usage
            tokens = f"{usage.prompt} tokens read, {usage.cached} of them cached; {usage.completion} said"
            click.echo(show.printable(f"{reply.plan.explain()}\n{tokens}"))

    def _memories(self, words: str) -> None:
        cubes = [hit.cube for hit in self._mem.search(words, limit=SHOWN)] if words else self._newest()
        self._listed = [cube.id for cube in cubes]
        rows = [(place, cube.id, show.moment(show.true_from(cube)), _line(cube)) for place, cube in enumerate(cubes, 1)]
        columns = [show.Column("#", right=True), show.Column("id", "dim"), show.Column("time", "dim")]
        show.table([*columns, show.Column("memory", ratio=1)], rows, empty="Nothing is remembered.")

    def _task(self, name: str) -> None:
        """The next chat is under another task, and its plan says what was swapped."""
        if name:
            self._options["task"] = name
        click.echo(f"The task is {self._options.get('task', 'none')}.")

    def _forget(self, which: str) -> None:
        listed = {str(place): id for place, id in enumerate(self._listed, start=1)}
        id = listed.get(which, which)
        if not id:
            click.echo("say which: /forget ID, or the number of a line of /why or /memories", err=True)
            return
        self._mem.delete(id)
        click.echo(f"Forgotten, with the answers made from it; 'pymemos erase {id}' also removes every trace.")

    def _answered(self) -> Reply | None:
        if self._reply is None:
            click.echo("nothing was answered yet", err=True)
        return self._reply

    def _text_of(self, id: str) -> str:
        try:
            return _line(self._mem.get(id))
        except UnknownMemory:
            return "no longer there"

    def _newest(self) -> list[MemCube]:
        """The last memories of the last day."""
        page = self._mem.list(filters={"created": {"gte": datetime.now(UTC) - DAY}}, limit=1_000)
        return list(page.cubes[-SHOWN:])


def public_reply(reply: Reply) -> dict[str, Any]:
    """An answer as plain JSON: its text, what it cost, what was kept, and its plan."""
    plan = {**show.fields_of(reply.plan), "tiers": reply.plan.tiers}
    return {
        "text": reply.text,
        "finish": reply.finish,
        "kept": list(reply.kept),
        "usage": show.fields_of(reply.usage),
        "plan": plan,
    }


def _line(cube: MemCube) -> str:
    return show.excerpt(show.one_line(cube.text))


def _check_model() -> None:
    """Say before the first question that nobody would answer it."""
    from pymemos.facade.talk import NO_MODEL

    if (from_environment(os.environ, Path.home()).chat or "none") == "none":
        raise ModelError(NO_MODEL)
