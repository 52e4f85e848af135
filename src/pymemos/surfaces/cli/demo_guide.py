"""The guide of the demonstration: leads through the acts, says what just happened and which command shows more."""

from __future__ import annotations

from pymemos.surfaces.cli import demo_stage as draw
from pymemos.surfaces.cli.demo_stage import Stage
from pymemos.surfaces.cli.demo_tour import FIRST, TASTE, Tour


def guide(tour: Tour, *, fast: bool) -> Stage:
    """Play the acts one by one, each with a word before and after."""
    stage = Stage(tour.story.people, fast=fast)
    draw.open_with(stage, tour.story.intro, str(tour.place.home))
    for act in (_remember, _ask, _change, _program, _prove):
        act(stage, tour)
    return stage


def farewell(stage: Stage, tour: Tour, *, size: int) -> None:
    """Sum up, and say where everything lies."""
    watch, sessions = tour.watch, len(tour.story.sessions)
    vectors = " with vectors" if tour.by_meaning else ""
    median, searches = watch.median("search"), watch.taken["search"]
    draw.close_with(
        stage,
        [
            ("kept", f"{len(tour.ids)} messages of {sessions} sessions"),
            ("found", _score(tour)),
            ("changed", f"{len(tour.story.changes)} memories, and nothing was overwritten"),
            ("writing", f"{tour.memories_per_second:,.0f} memories a second{vectors}, on the disk before add returned"),
            (
                "searching",
                f"{median:.1f} ms, median of {len(searches)}; the first, which loads, {searches[0]:.0f} ms",
            ),
            ("in all", f"{sum(map(watch.total, watch.taken)) / 1000:.1f} s of computing"),
            ("store", f"{size / 1e6:.1f} MB in {tour.place.home}"),
        ],
        tour.place.removal(),
    )


def _remember(stage: Stage, tour: Tour) -> None:
    stage.step("Remember", f"{' and '.join(tour.story.people)} write to each other for seven months, like this:")
    draw.heard(stage, tour.story.sessions[TASTE].turns[:4])
    for one in tour.remember():
        draw.kept(stage, one)
    stage.gap()
    stage.learn(
        "Each session was one add: whole or not at all, on the disk when it returned, and found at once. "
        "Each message is a memory, word for word, with its speaker and its time. No chat model was asked."
    )
    stage.more(tour.commands()["remember"])


def _ask(stage: Stage, tour: Tour) -> None:
    lead = "The evidence for each question, with its place among the hits, its score and the reasons for it."
    stage.step("Ask", f"{lead} Words that were looked for stand out.")
    for place, answer in enumerate(tour.ask()):
        if place:
            stage.gap()
        draw.answered(stage, answer)
    if not tour.by_meaning:
        stage.gap()
        stage.learn(
            "All of this by words, names and dates alone. A small model adds meaning; the second command gets it."
        )
    more = ["ask"] if tour.by_meaning else ["ask", "model"]
    stage.more(*(tour.commands()[name] for name in more))


def _change(stage: Stage, tour: Tour) -> None:
    changes = iter(tour.change())
    for change in tour.story.changes:
        stage.step(change.title, change.lead)
        one = next(changes)
        draw.changed(stage, one)
        stage.more(tour.commands()[change.turn])


def _program(stage: Stage, tour: Tour) -> None:
    stage.step(
        "Five lines of Python",
        "Another process opens the same store for another user: it adds, finds, and makes a block for a prompt.",
    )
    draw.ran(stage, tour.run_five_lines())
    stage.more(tour.commands()["python"])


def _prove(stage: Stage, tour: Tour) -> None:
    stage.step("Trust, and check", "Nothing here has to be believed.")
    draw.proved(stage, tour.prove())
    stage.more(tour.commands()["log"], tour.commands()["doctor"])


def _score(tour: Tour) -> str:
    asked = [answer for answer in tour.answers if answer.question.evidence]
    found = sum(answer.found for answer in asked)
    first = sum(1 in answer.ranks.values() for answer in asked)
    return f"evidence for {found} of {len(asked)} questions in {FIRST} hits, {first} times the first"
