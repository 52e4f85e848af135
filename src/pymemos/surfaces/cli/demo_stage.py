"""The stage of the demonstration: how each act looks in a terminal, in a pipe and without colours."""

from __future__ import annotations

import difflib
import io
import re
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.demo_story import Turn
from pymemos.surfaces.cli.demo_tour import FIRST, Answer, Changed, Kept, Proof, Ran, Seen, quoted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pymemos import Hit, Hits, Record

WIDTH, NARROW = 100, 60  # columns; longer lines are hard to read, and shorter ones leave no room for labels
LABEL = 12  # columns for what stands left of a question or a figure
ACCENT, MARK, FAINT, OLD, NEW = "cyan", "bold yellow", "dim", "red", "green"
SPEAKERS = ("cyan", "magenta")
REASONS = 3  # that are shown of a hit
BEAT = 0.4  # seconds between two answers
_WORD = re.compile(r"[^\W_]+")


class Stage:
    """Where the acts appear: a terminal with pauses, or a pipe without."""

    def __init__(self, people: Sequence[str], *, fast: bool) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # an old terminal gets question marks, no traceback
        self.console = show.console()
        self.console.width = min(max(self.console.width, NARROW), WIDTH)
        self._paced = self.console.is_terminal and not fast
        self._colours = dict(zip(people, SPEAKERS, strict=False))
        self._guide = "|" if self.console.options.ascii_only else "│"
        self._steps = 0

    def pause(self, beats: float = 1.0) -> None:
        """Give people time to read."""
        if self._paced:
            time.sleep(BEAT * beats)

    def draw(self, *parts: RenderableType) -> None:
        """Print, set in from both sides."""
        for part in parts:
            self.console.print(Padding(part, (0, 2)))

    def gap(self) -> None:
        """Print an empty line."""
        self.console.print()

    def step(self, title: str, lead: str) -> None:
        """Begin the next step: what it is called, and what happens in it."""
        self._steps += 1
        heading = Text.assemble((f"{self._steps}  ", f"bold {ACCENT}"), (title, "bold"))
        self.gap()
        self.console.print(Rule(heading, align="left", style=FAINT))
        self.draw(lead)
        self.gap()
        self.pause()

    def learn(self, lesson: str) -> None:
        """Say what there is to see."""
        self.draw(Text(lesson, style="italic"))

    def more(self, *commands: Sequence[str]) -> None:
        """Name commands that show more."""
        self.gap()
        self.draw(Text("more", style=FAINT))
        self.commands(*commands)
        self.pause(1.5)

    def commands(self, *commands: Sequence[str]) -> None:
        """Print commands without a space behind a line, for a shell would not go on after it."""
        for words in commands:
            for line in _folded(words, self.console.width - 4):
                self.console.print(Text(f"  {line}", style=ACCENT), soft_wrap=True)

    def speaker(self, name: str) -> Text:
        """A name in the colour of that person."""
        return Text(name, style=self._colours.get(name, ""))

    def quote(self, text: Text, *, style: str = FAINT) -> Text:
        """A text right of a label, with a guide at its left."""
        lines = text.wrap(self.console, self.room - 2)
        return Text("\n").join(Text.assemble((f"{self._guide} ", style), line) for line in lines)

    @property
    def room(self) -> int:
        """Columns right of a label."""
        return self.console.width - LABEL - 6


# ── The acts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_with(stage: Stage, intro: str, home: str) -> None:
    """The title."""
    title = Text.assemble(("pymemos", f"bold {ACCENT}"), ("  a guided tour", "bold"))
    where = Text.assemble("It needs no key, no server and no network. The store is a folder: ", (home, ACCENT))
    words = Text("\n").join([title, Text(), Text(intro), Text(), where])
    stage.console.print(Panel(words, border_style=FAINT, padding=(1, 2)))


def heard(stage: Stage, turns: Iterable[Turn]) -> None:
    """Some lines of the talk, as a taste of it."""
    stage.draw(_rows((stage.speaker(turn.name), Text(turn.text)) for turn in turns))
    stage.gap()
    stage.pause(2)


def kept(stage: Stage, one: Kept) -> None:
    """A session that was remembered, on a line."""
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for width in (15, 3):
        line.add_column(width=width, justify="right", no_wrap=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(width=9, justify="right", no_wrap=True)
    took = Text(f"{one.milliseconds:.1f} ms", style=FAINT)
    line.add_row(Text(day(one.session.timestamp), style=FAINT), str(one.messages), one.session.title, took)
    stage.draw(line)
    stage.pause(0.2)


def answered(stage: Stage, answer: Answer) -> None:
    """A question, its evidence with marked words, and the reasons."""
    rows = [(Text(answer.question.kind, style=ACCENT), Text(answer.question.ask, style="bold"))]
    for rank, hit in answer.shown:
        place = Text.assemble((f"#{rank}", "bold"), (f" {hit.score:.2f}", FAINT))
        rows.append((place, _cited(stage, hit, answer.hits)))
    if not answer.found:
        rows.append((Text(), Text(f"The evidence is not among the first {FIRST}.", style="yellow")))
    note = " ".join(filter(None, [answer.question.note, _lacking(answer)]))
    if note:
        rows.append((Text(), Text(note, style="italic")))
    stage.draw(_rows(rows))
    stage.pause()


def changed(stage: Stage, one: Changed) -> None:
    """A memory before and after: the difference, the versions, and what a question finds at several moments."""
    rows: list[tuple[Text, RenderableType]] = [
        (Text("call", style=ACCENT), _python(_call(one))),
        (Text(), Text()),
        (Text("diff", style=ACCENT), _difference(one.difference.text)),
        (Text(), Text()),
        (Text("history", style=ACCENT), _versions(one.versions)),
    ]
    if one.change.all_along:
        rows += [(Text(), Text()), (Text(), _timeline(one.versions, one.change.at, stage.room))]
    rows += [(Text(), Text()), (Text("ask", style=ACCENT), Text(one.change.ask, style="bold"))]
    stage.draw(_rows(rows))
    for seen in one.seen:
        stage.draw(_rows([(Text(), _look(stage, seen))]))
        stage.pause()
    stage.gap()
    stage.learn(one.change.lesson)


def ran(stage: Stage, one: Ran) -> None:
    """A program and what it printed; nothing stands beside its lines, so that they can be copied."""
    stage.draw(Rule("python", align="left", style=FAINT))
    stage.console.print(_python(one.code))  # from the first column on: Python minds
    stage.gap()
    stage.pause()
    stage.draw(Rule("prints", align="left", style=FAINT), Text(one.output))


def proved(stage: Stage, proof: Proof) -> None:
    """What was checked."""
    same = "the same bytes again" if proof.same else "OTHER BYTES"
    sound = f"{proof.checks} checks, all well" if proof.sound else "something is wrong"
    stage.draw(
        _figures(
            [
                ("audit log", f"{proof.entries} entries: each call with its rule, chained and sealed"),
                (
                    "export",
                    f"{proof.memories} memories with all their versions, {proof.bytes:,} bytes",
                ),
                ("import", f"into an empty store, exported from there: {same}"),
                ("doctor", sound),
            ]
        )
    )


def close_with(stage: Stage, figures: Iterable[tuple[str, str]], removal: Sequence[str]) -> None:
    """The figures of the whole tour, and how to leave nothing behind."""
    stage.gap()
    title = Text.assemble(("What you have seen", "bold not dim"))
    stage.console.print(Panel(_figures(figures), title=title, title_align="left", border_style=FAINT, padding=(1, 2)))
    stage.draw(Text("It stays there for you to try. This removes it:", style=FAINT))
    stage.commands(removal)


def day(time: datetime) -> str:
    """A day as people write it."""
    return f"{time:%a} {time.day} {time:%b %Y}"


# ── Their parts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def marked(text: str, terms: Collection[str]) -> Text:
    """``text`` with the words that were looked for standing out."""
    drawn = Text(show.printable(text))
    for word, stem in _stems(text):
        if stem in terms:
            drawn.stylize(MARK, *word.span())
    return drawn


def _stems(text: str) -> list[tuple[re.Match[str], str]]:
    """The words of an English text, where they are, and what they are looked for by."""
    from Stemmer import Stemmer

    words = list(_WORD.finditer(text))
    return list(zip(words, Stemmer("english").stemWords([word[0].lower() for word in words]), strict=True))


def _lacking(answer: Answer) -> str:
    """Where nothing was to be found: the words of the question that no hit holds."""
    if answer.question.evidence:
        return ""
    texts = [f"{hit.cube.text} {hit.cube.header.descriptive.speaker}" for hit in answer.hits]
    held = {stem for text in texts for _, stem in _stems(text)}
    words = [word[0] for word, stem in _stems(answer.question.ask) if stem in answer.hits.terms and stem not in held]
    return f"No hit has the word {' or '.join(words)}." if words else ""


def _cited(stage: Stage, hit: Hit, hits: Hits) -> Text:
    """A hit: what was said, by whom, when, and why it was found; a date may be what was looked for."""
    date = marked(day(show.true_from(hit.cube)), hits.terms)
    about = Text.assemble(stage.speaker(hit.cube.header.descriptive.speaker or ""), " · ", date)
    reasons = Text(_reasons(hit, hits), style=FAINT)
    return stage.quote(Text("\n").join([marked(hit.cube.text, hits.terms), about, reasons]))


def _reasons(hit: Hit, hits: Hits) -> str:
    """Why it was found, what sets it apart from the other hits first; only that comes with its detail.

    A time that the question names is told in any case, for all hits may be of it.
    """
    usual = _usual(hits)
    apart = sorted(hit.why, key=lambda one: (one.name != "time", usual[one.name] - one.value * one.weight))
    told = [f"{one.name} {one.value * one.weight:+.2f}" for one in apart if one.value * one.weight > 0]
    detail = f" ({apart[0].detail})" if told and apart[0].detail else ""
    return show.one_line(", ".join([f"{told[0]}{detail}", *told[1:REASONS]]) if told else str(hit.why))


def _usual(hits: Hits) -> dict[str, float]:
    """What each signal gave to a hit on average."""
    given: dict[str, float] = {}
    for one in (signal for hit in hits for signal in hit.why):
        given[one.name] = given.get(one.name, 0.0) + one.value * one.weight / len(hits)
    return given


def _call(one: Changed) -> str:
    arguments = [f'timestamp="{one.change.at.isoformat()}"']
    if one.change.all_along:
        arguments.append(f'valid_from="{one.versions[1].valid_from.isoformat()}"')
    return f"mem.update(id, text, {', '.join(arguments)})"


def _python(code: str) -> Syntax:
    return Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True)


def _look(stage: Stage, seen: Seen) -> Text:
    """A moment, and the version that a question found as of then."""
    when = Text.assemble((_moment(seen.look.valid_at, seen.look.known_at), ACCENT), f"  {seen.look.note}")
    if seen.hit is None:
        return when.append(": nothing was found")
    revision = seen.hit.cube.revision
    style = OLD if revision == 1 else NEW
    said = stage.quote(Text(show.printable(seen.hit.cube.text)), style=style)
    return Text("\n").join([when.append(f"  version {revision}", style=style), said])


def _difference(text: str) -> Text:
    """A unified diff, with the words that changed standing out; a word or two between changes counts as changed."""
    old, new = ([line[1:] for line in text.splitlines()[2:] if line.startswith(sign)] for sign in "-+")
    before, after = " ".join(old).split(), " ".join(new).split()
    removed, added = Text("-", style=OLD), Text("+", style=NEW)
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        style = "" if tag == "equal" and b - a > 2 else "bold underline"
        for side, words in ((removed, before[a:b]), (added, after[c:d])):
            for word in words:
                side.append(" ").append(word, style=style)
    return Text("\n").join([removed, added])


def _versions(records: Sequence[Record]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(*(Text(heading, style=FAINT) for heading in ("version", "true", "known")))
    for one in records:
        true = "never" if one.valid_to == one.valid_from else _span(one.valid_from, one.valid_to)
        grid.add_row(str(one.cube.revision), true, _span(one.known_from, one.known_to))
    return grid


def _timeline(records: Sequence[Record], now: datetime, room: int) -> Text:
    """Both times of every version as bars below the months."""
    start = min(one.valid_from for one in records).replace(day=1)
    end = now + timedelta(days=20)
    columns = room - LABEL - 3

    def at(time: datetime) -> int:
        return round((min(time, end) - start) / (end - start) * columns)

    months = Text(" " * LABEL)
    moment = start
    while at(moment) < columns - 3:
        months.append(" " * (LABEL + at(moment) - len(months))).append(f"{moment:%b}", style=FAINT)
        moment = (moment + timedelta(days=32)).replace(day=1)
    lines = [months]
    for one in records:
        style = OLD if one.known_to else NEW
        for label, first, last in (("true", one.valid_from, one.valid_to), ("known", one.known_from, one.known_to)):
            bar = "" if first == last else "━" * max(at(last or end) - at(first), 1) + ("" if last else "▶")
            bar, look = (bar, style) if bar else ("never", FAINT)
            lines.append(Text.assemble(f"{f'{one.cube.revision} {label}':<{LABEL}}", " " * at(first), (bar, look)))
    return Text("\n").join(lines)


def _span(start: datetime, end: datetime | None) -> str:
    if end is None:
        return f"{start.day} {start:%b %Y} → now"
    return f"{start.day} {start:%b} → {end.day} {end:%b %Y}"


def _moment(valid_at: datetime | None, known_at: datetime | None) -> str:
    if valid_at is not None:
        return f"valid_at={valid_at:%Y-%m-%d}"
    return f"known_at={known_at:%Y-%m-%d}" if known_at is not None else "now"


def _rows(rows: Iterable[tuple[RenderableType, RenderableType]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=LABEL, justify="right", no_wrap=True)
    grid.add_column(ratio=1)
    for row in rows:
        grid.add_row(*row)
    return grid


def _figures(rows: Iterable[tuple[str, str]]) -> Table:
    return _rows((Text(name, style=ACCENT), Text(value)) for name, value in rows)


def _folded(words: Sequence[str], room: int) -> list[str]:
    """A command on as many lines as it needs, each but the last ending in a backslash; an option keeps its value."""
    lines = [""]
    for piece in _pieces(words):
        if lines[-1].strip() and len(lines[-1]) + len(piece) > room:
            lines[-1] += "\\"
            lines.append("  ")
        lines[-1] += f"{piece} "
    return [*lines[:-1], lines[-1].rstrip()]


def _pieces(words: Sequence[str]) -> list[str]:
    """The words as a shell reads them, an option with its value in one piece."""
    pieces: list[str] = []
    for place, word in enumerate(words):
        if place and words[place - 1].startswith("--") and not word.startswith("--"):
            pieces[-1] += f" {quoted(word)}"
        else:
            pieces.append(quoted(word))
    return pieces
