"""The demonstration for programs: everything that the guided tour shows, as one JSON document."""

from __future__ import annotations

from typing import Any

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.demo_tour import Answer, Changed, Tour


def report(tour: Tour) -> dict[str, Any]:
    """Play every act, and give what came of it."""
    kept = list(tour.remember())
    answers = [_answer(one) for one in tour.ask()]
    changes = [_change(one) for one in tour.change()]
    ran, proof = tour.run_five_lines(), tour.prove()
    return {
        "home": str(tour.place.home),
        "people": tour.story.people,
        "sessions": len(kept),
        "messages": sum(one.messages for one in kept),
        "answers": answers,
        "changes": changes,
        "python": show.fields_of(ran),
        "proof": show.fields_of(proof),
        "by_meaning": tour.by_meaning,
        "commands": tour.commands(),
        "remove": tour.place.removal(),
        "milliseconds": {name: round(tour.watch.median(name), 2) for name in tour.watch.taken},
        "memories_per_second": round(tour.memories_per_second),
    }


def _answer(one: Answer) -> dict[str, Any]:
    return {
        "kind": one.question.kind,
        "question": one.question.ask,
        "evidence": one.ranks,
        "hits": [show.public_hit(hit, rank) for rank, hit in enumerate(one.hits, start=1)],
    }


def _change(one: Changed) -> dict[str, Any]:
    return {
        "question": one.change.ask,
        "before": show.public_cube(one.before),
        "after": show.public_cube(one.after),
        "diff": one.difference.text,
        "versions": [show.public_record(record) for record in one.versions],
        "seen": [
            {
                "valid_at": seen.look.valid_at,
                "known_at": seen.look.known_at,
                "rank": seen.rank,
                "content": seen.hit.cube.text if seen.hit else None,
            }
            for seen in one.seen
        ],
    }
