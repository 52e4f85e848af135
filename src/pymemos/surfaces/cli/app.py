"""The frame of the command line: the group, the options that every command has, and what an error becomes.

Nothing here or in the modules of commands imports more than click before a command runs, so that ``--help`` is fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from pymemos import __version__
from pymemos.errors import BrokenStore, PymemosError, StoreError
from pymemos.settings import from_environment

if TYPE_CHECKING:
    from pymemos import MemOS

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
FAILED, INTERRUPTED = 1, 130
TEXT_FILE = click.File(encoding="utf-8", errors="surrogateescape")  # as stdin: the check of a text names what is none
VERBS = (
    "add search chat list get update append delete restore annotate history diff provenance snapshot snapshots"
    " restore-to merge fuse compose undo kv steering distil adapter sign signatures freeze unfreeze archive"
    " activate sweep schedule calibrate erase receipts access privacy log audit import export backup doctor worker"
    " jobs keys models reembed eval demo"
).split()


class Cli(click.Group):
    """The group of all commands: lists them in the order of a memory's life, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order in which people meet them."""
        return sorted(self.commands, key=lambda name: VERBS.index(name) if name in VERBS else len(VERBS))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that ``args`` name, and exit with its code."""
        given = list(sys.argv[1:] if args is None else args)

        extra |= {"complete_var": complete_var, "windows_expand_args": windows_expand_args}

        def run() -> Any:
            return click.Group.main(self, given, prog_name or "pymemos", standalone_mode=False, **extra)

        return sys.exit(_exit_code(run, as_json="--json" in given)) if standalone_mode else run()


class Shell:
    """What a command knows of its surroundings: the store that was named, and whether a program reads along."""

    def __init__(self) -> None:
        self.home: str | None = None
        self.json = False
        self.unclosed: StoreError | None = None  # why the store could not write what waited as it was closed

    @property
    def folder(self) -> Path:
        """The folder of the store, named or by default."""
        return Path(self.home).expanduser() if self.home else from_environment(os.environ, Path.home()).home

    @contextmanager
    def open(self, *, create: bool = False, reembedding: bool = False) -> Iterator[MemOS]:
        """Open the store; only a command that writes new memories makes one, so that a mistyped folder shows.

        A store that cannot be closed properly, as on a full disk, takes no answer away: ``settle`` tells of it then.
        """
        from pymemos.system import MemOS

        if not create and "://" not in str(self.home or "") and not _is_filled(self.folder):
            raise _nothing_in(self.folder)
        mem = MemOS(self.home, reembedding=reembedding)
        try:
            yield mem
        finally:
            try:
                mem.close()
            except StoreError as error:
                self.unclosed = error

    def settle(self) -> None:
        """Say what went wrong as the store was closed, now that the command has answered."""
        if self.unclosed is not None:
            raise type(self.unclosed)(
                f"the answer stands, but the log may lack it, for the store could not be closed: {self.unclosed}"
            ) from self.unclosed

    def answer(self, document: Any) -> None:
        """Print one JSON document: indented for people, on one line for programs."""
        encoded = msgspec.json.encode(document)
        click.echo(msgspec.json.format(encoded, indent=2) if sys.stdout.isatty() else encoded)


def json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """The value of an option that is written as a JSON object."""
    try:
        return None if value is None else msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        example = """'{"tags": "work"}'"""
        raise click.BadParameter(f"{error}; write a JSON object in quotes, such as {example}", ctx, param) from error


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Note an option that may stand before or after the verb; the later one wins."""
    if value and param.name:
        setattr(ctx.ensure_object(Shell), param.name, value)


def common_options(function: F) -> F:
    """The options of every command."""
    home = click.option(
        "--home",
        metavar="FOLDER",
        callback=_keep,
        expose_value=False,
        help="Folder of the store (default: PYMEMOS_HOME).",
    )
    as_json = click.option("--json", is_flag=True, callback=_keep, expose_value=False, help="Print JSON for programs.")
    return home(as_json(function))


def identity_options(function: F) -> F:
    """On whose behalf, for a command that acts on one memory or on all of an owner's."""
    user = click.option("--user", "--user-id", "user_id", metavar="ID", help="Whose memories: a user's.")
    agent = click.option(
        "--agent", "--agent-id", "agent_id", metavar="ID", help="An agent's, or what it did for the user."
    )
    return user(agent(function))


def scope_options(function: F) -> F:
    """On whose behalf, for a command that can also be narrowed to one session."""
    session = click.option("--session", "--session-id", "session_id", metavar="ID", help="One session's.")
    return identity_options(session(function))


def across_option(function: F) -> F:
    """Where else to look."""
    text = "Look there instead, such as shared/team; may be given several times; '*' is all that may be read."
    return click.option("--namespace", "namespaces", multiple=True, metavar="NAME", help=text)(function)


def time_options(function: F) -> F:
    """The two times of a question."""
    valid = click.option("--valid-at", metavar="TIME", help="What was true then (ISO 8601 with a zone).")
    known = click.option("--known-at", metavar="TIME", help="What was known then (ISO 8601 with a zone).")
    return valid(known(function))


def log_options(function: F) -> F:
    """Which entries of the audit log."""
    options = [
        click.option("--since", metavar="TIME", help="From this time on (ISO 8601 with a zone)."),
        click.option("--until", metavar="TIME", help="Up to this time."),
        click.option("--caller", metavar="NAME", help="Calls of this owner, such as users/alice."),
        click.option("--operation", metavar="NAME", help="One operation, such as search."),
        click.option("--memory", metavar="ID", help="Calls that touched this memory."),
        click.option(
            "--memory-kind", metavar="KIND", help="That touched a plaintext, activation or parametric memory."
        ),
        click.option("--memory-type", metavar="TYPE", help="That touched a memory of this type, such as fact."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def filter_option(function: F) -> F:
    """A filter, as JSON."""
    text = 'Only memories that match, such as \'{"tags": {"contains": "work"}}\'.'
    return click.option("--filter", "filters", callback=json_object, metavar="JSON", help=text)(function)


def state_option(function: F) -> F:
    """Where memories may stand that are put away."""
    text = "Those that are archived, frozen, expired or in another state; may be given several times."
    return click.option("--state", "states", multiple=True, metavar="STATE", help=text)(function)


def view_option(function: F) -> F:
    """A view to look through."""
    return click.option("--view", metavar="NAME", help="Through this view, by its name or id.")(function)


def limit_option(default: int) -> Callable[[F], F]:
    """How many at most."""
    span = click.IntRange(1, 10_000)
    return click.option("--limit", type=span, metavar="N", default=default, show_default=True, help="At most so many.")


def after_option(function: F) -> F:
    """Where a list goes on."""
    return click.option("--after", metavar="ID", help="Continue behind this memory.")(function)


@click.group(cls=Cli, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@common_options
@click.version_option(__version__, prog_name="pymemos", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """A memory that keeps what it is told: durable, versioned, searchable.

    Without --user or --agent a command acts in the namespace "default". Times are ISO 8601 with a zone, such as
    2025-05-08T13:56Z. Exit codes: 0 done, 1 could not, 2 called wrongly, 130 interrupted.
    """
    ctx.ensure_object(Shell)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def verb(*, group: click.Group = main, name: str | None = None) -> Callable[[Function], click.Command]:
    """Make a function a command: it gets the shell first, then its own arguments and options."""

    def register(function: Function) -> click.Command:
        @wraps(function)
        def settled(shell: Shell, *arguments: Any, **options: Any) -> Any:
            code = function(shell, *arguments, **options)
            shell.settle()
            return code

        return group.command(name)(common_options(click.make_pass_decorator(Shell, ensure=True)(settled)))

    return register


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given: None and empty lists mean that nothing was said."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def _is_filled(folder: Path) -> bool:
    """Whether a folder holds anything but empty files, as a crash may leave them where a store is made."""
    try:
        return any(_is_filled(entry) if entry.is_dir() else entry.stat().st_size > 0 for entry in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True  # no folder, or a closed one: the store says what is wrong with it


def _nothing_in(folder: Path) -> StoreError:
    database = folder / "store.db"
    if database.exists():
        return BrokenStore(
            f"{database} is empty; restore the newest backup, or begin with 'pymemos add' where nothing was kept yet"
        )
    return StoreError(f"there is no store in {folder}; 'pymemos add' makes one, --home names another folder")


def _exit_code(run: Callable[[], Any], *, as_json: bool) -> int:
    """What ``run`` ended with; an error that was to be expected is told on stderr, without a traceback."""
    try:
        code = run()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        _tell(error, error.format_message(), as_json=as_json)
        return error.exit_code
    except BrokenPipeError:  # whoever read has enough; nothing may be flushed into the pipe at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (PymemosError, OSError) as error:
        _tell(error, str(error), as_json=as_json)
        return FAILED


def _tell(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"error": {"type": type(error).__name__, "message": message}}), err=True)
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    if context is not None:
        click.echo(f"'{context.command_path} --help' says more.", err=True)
