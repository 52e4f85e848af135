"""Small data sets in the authors' forms, written for these tests: a bakery, a boat, and a cat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymemos.evaluation.cases import Case, Question, Session, Turn

Floats = NDArray[np.float32]


class LetterEmbedder:
    """Counts letters: texts of the same letters are alike. It keeps what it was asked to embed."""

    identity, dimensions = "letters", 26

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> Floats:
        self.embedded += texts
        rows = np.array([[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], np.float32)
        rows = rows.reshape(-1, 26)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def a_case(*texts: str, questions: Sequence[Question] = ()) -> Case:
    """A case of one session; its turns are t1, t2, …"""
    turns = tuple(Turn(id=f"t{place}", text=text) for place, text in enumerate(texts, start=1))
    return Case(id="case", sessions=(Session(id="s1", turns=turns),), questions=tuple(questions))


def a_question(text: str, *evidence: str, category: str = "facts", **fields: Any) -> Question:
    """A question of the case."""
    return Question(id=text, text=text, category=category, evidence=evidence, **fields)


def locomo(folder: Path) -> Path:
    """Two sessions about a bakery, with every oddity that the loader knows."""
    talk = {
        "sample_id": "talk-1",
        "conversation": {
            "speaker_a": "Ines",
            "speaker_b": "Otto",
            "session_2_date_time": "12:05 am on 3 January, 2024",
            "session_2": [
                {"speaker": "Otto", "dia_id": "D2:1", "text": "The oven of the bakery broke on Monday."},
                {"speaker": "Ines", "dia_id": "D2:2", "text": "Look at the new one!", "blip_caption": "a red oven"},
                {"speaker": "Otto", "dia_id": "D2:3", "text": "  "},
            ],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ines", "dia_id": "D1:1", "text": "I opened a bakery in Porto."},
                {"speaker": "Otto", "dia_id": "D1:2", "text": "My boat is called Pelican."},
            ],
            "session_3_date_time": "2:00 pm on 4 January, 2024",
        },
        "qa": [
            {"question": "What did Ines open in Porto?", "answer": "a bakery", "evidence": ["D1:1"], "category": 4},
            {"question": "What broke, and when?", "answer": 2024, "evidence": ["D1:01; D2:1", "D:2:2"], "category": 1},
            {"question": "What is lost?", "answer": "nothing", "evidence": ["D", "D9:9", "D1:2"], "category": 3},
            {"question": "Who is it?", "answer": "nobody", "evidence": [], "category": 2},
            {"question": "Why did Otto sell the boat?", "evidence": ["D1:2"], "category": 5},
        ],
    }
    return _write(folder / "locomo" / "locomo_small.json", [talk])


def beam(folder: Path) -> Path:
    """Two chats about a boat, of which the second has nothing but abstention."""
    chat = [
        {
            "batch_number": 1,
            "time_anchor": None,
            "turns": [
                [
                    {"role": "user", "id": 0, "time_anchor": "March-15-2024", "content": "I varnish my boat. ->-> 1,1"},
                    {"role": "assistant", "id": 1, "content": "Two thin coats of varnish are best."},
                ],
                [{"role": "user", "id": 2, "content": "The mast is nine metres high."}],
            ],
        },
        {"batch_number": 2, "turns": [[{"role": "user", "id": 3, "content": "I sold the anchor."}]]},
    ]
    questions = {
        "knowledge_update": [
            {"question": "How many coats?", "answer": "two", "source_chat_ids": {"old": [0, [1]], "new": [0]}}
        ],
        "information_extraction": [{"question": "How high is the mast?", "answer": 9, "source_chat_ids": [2, 77]}],
        "abstention": [{"question": "Who taught you?", "ideal_response": "It was not said."}],
    }
    _write(folder / "beam" / "2" / "chat.json", chat[1:])
    _write(folder / "beam" / "2" / "probing_questions.json", {"abstention": questions["abstention"]})
    _write(folder / "beam" / "10" / "chat.json", chat)
    return _write(folder / "beam" / "10" / "probing_questions" / "probing_questions.json", questions)


def prefeval(folder: Path) -> Path:
    """Two preferences about food, and two filler chats of five user turns together."""
    asked = [["Sort a list.", "Name a river.", "Write a poem."], ["What is a prime?", "Fold a paper crane."]]
    filler = [{"conversation": [_turn for text in texts for _turn in _exchange(text)]} for texts in asked]
    pairs = [
        {"preference": "I never eat mushrooms.", "question": "Which mushrooms go into a risotto?", "explanation": "-"},
        {"preference": "I like my tea without milk.", "question": "How should my tea be served?", "explanation": "-"},
    ]
    _write(folder / "prefeval" / "filler_turns.json", filler)
    return _write(folder / "prefeval" / "food.json", pairs)


def longmemeval(folder: Path) -> Path:
    """A question about a cat with a haystack of two sessions, and one about what was never said."""
    haystack = {
        "question_id": "cat-1",
        "question_type": "single-session-user",
        "question": "What is the name of my cat?",
        "answer": "Biscuit",
        "question_date": "2023/06/01 (Thu) 09:00",
        "haystack_session_ids": ["other", "answer_cat"],
        "haystack_dates": ["2023/05/20 (Sat) 02:21", "2023/05/30 (Tue) 23:40"],
        "haystack_sessions": [
            [{"role": "user", "content": "How do I prune roses?"}, {"role": "assistant", "content": "In late winter."}],
            [
                {"role": "assistant", "content": " "},
                {"role": "user", "content": "My cat Biscuit hides under the sofa.", "has_answer": True},
            ],
        ],
        "answer_session_ids": ["answer_cat"],
    }
    unsaid = {**haystack, "question_id": "cat-2_abs", "question": "What is the name of my dog?", "answer": "unknown"}
    return _write(folder / "longmemeval_s_cleaned.json", [haystack, unsaid])


def _exchange(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": f"Here it is: {text}"}]


def _write(file: Path, document: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))
    return file
