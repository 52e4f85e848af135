"""Datasets: loaders of LoCoMo, BEAM, PrefEval and LongMemEval, from the files that their authors publish.

Loaders give one case after the other, so that a large file is never held twice.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from pymemos.errors import InvalidInput, MalformedRecord
from pymemos.evaluation.cases import Case, Question, Session, Turn

T = TypeVar("T")
_EVIDENCE = re.compile(r"D:?(\d+):(\d+)")
_SESSION = re.compile(r"session_(\d+)")
_LOCOMO_TIME = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023
_BEAM_DAY = "%B-%d-%Y"  # March-15-2024
_LONGMEMEVAL_TIME = "%Y/%m/%d (%a) %H:%M"  # 2023/05/20 (Sat) 02:21
_LOCOMO_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_BEAM_ANSWERS = ("answer", "ideal_answer", "ideal_response", "ideal_summary", "expected_compliance")
_FILLER = "filler_turns.json"
PREFERENCE = "preference"  # the id of the turn that PrefEval asks for


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark: how it is loaded, where it comes from, and how its results are shown.

    ``load`` takes the file or folder and a seed. ``apart`` are categories that never count in the totals.
    """

    title: str
    source: str
    pattern: str  # what its folder must hold
    load: Callable[[Path, int], Iterator[Case]]
    shown: tuple[str, ...]
    headline: str
    apart: tuple[str, ...] = ()


# ── LoCoMo ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Said(msgspec.Struct):
    speaker: str
    dia_id: str
    text: str
    blip_caption: str | None = None


class _Asked(msgspec.Struct):
    question: str
    category: int
    evidence: list[str] = []
    answer: str | int | float | None = None


class _Talk(msgspec.Struct):
    sample_id: str
    conversation: dict[str, msgspec.Raw]
    qa: list[_Asked]


def load_locomo(path: Path, seed: int = 0) -> Iterator[Case]:
    """The conversations of LoCoMo's files (``locomo10.json``), a case each.

    A photo that a turn shares is rendered by its caption, behind the text: ``[shares a photo: …]``. Evidence is
    whatever reads ``D1:3`` or ``D:1:3``, as nine questions are malformed; what names no turn is dropped and counted.
    Category 5 (adversarial) has evidence for what was *not* said, so it is kept apart.
    """
    del seed
    for file in _files(path, "locomo*.json"):
        for talk in _decode(file, list[_Talk]):
            yield _locomo_case(talk, file)


def _locomo_case(talk: _Talk, file: Path) -> Case:
    numbers = sorted(int(found[1]) for key in talk.conversation if (found := _SESSION.fullmatch(key)))
    sessions = tuple(_locomo_session(talk, number, file) for number in numbers)
    known = {turn.id for session in sessions for turn in session.turns}
    questions, dangling = [], 0
    for place, asked in enumerate(talk.qa):
        named = _locomo_evidence(asked.evidence)
        kept = tuple(id for id in named if id in known)
        dangling += len(named) - len(kept)
        question = Question(
            id=f"{talk.sample_id}-{place}",
            text=asked.question,
            category=_LOCOMO_CATEGORIES.get(asked.category, str(asked.category)),
            answer="" if asked.answer is None else str(asked.answer),
            evidence=kept,
        )
        questions.append(question)
    return Case(id=talk.sample_id, sessions=sessions, questions=tuple(questions), dangling=dangling)


def _locomo_session(talk: _Talk, number: int, file: Path) -> Session:
    where = f"session_{number} of {talk.sample_id} in {file.name}"
    at = _time(_convert(talk.conversation.get(f"session_{number}_date_time"), str, where), _LOCOMO_TIME, where)
    said = _convert(talk.conversation[f"session_{number}"], list[_Said], where)
    turns = (Turn(id=one.dia_id, text=_with_photo(one), speaker=one.speaker, at=at) for one in said)
    return Session(id=f"session_{number}", turns=tuple(turn for turn in turns if turn.text.strip()))


def _with_photo(said: _Said) -> str:
    return f"{said.text} [shares a photo: {said.blip_caption}]" if said.blip_caption else said.text


def _locomo_evidence(given: Iterable[str]) -> tuple[str, ...]:
    """The ids of turns in a question's evidence; one text may name several, with zeros in front."""
    found = [f"D{int(session)}:{int(turn)}" for text in given for session, turn in _EVIDENCE.findall(text)]
    return tuple(dict.fromkeys(found))


# ── BEAM ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Message(msgspec.Struct):
    role: str
    content: str
    id: int | str = ""
    time_anchor: str | None = None
    has_answer: bool = False  # LongMemEval's


class _Batch(msgspec.Struct):
    turns: list[list[_Message]]


def load_beam(path: Path, seed: int = 0) -> Iterator[Case]:
    """The chats of a folder of BEAM: in each subfolder ``chat.json`` and ``probing_questions.json``.

    A batch is a session; its turns carry the day of its time anchor. Texts stay as they are. Abstention questions name
    no evidence.
    """
    del seed
    for file in sorted(_files(path, "*/chat.json"), key=lambda file: (len(file.parent.name), file.parent.name)):
        near = [file.with_name("probing_questions.json"), file.parent / "probing_questions" / "probing_questions.json"]
        questions = next((place for place in near if place.is_file()), near[0])
        yield _beam_case(file, questions)


def _beam_case(file: Path, questions: Path) -> Case:
    id = f"beam-{file.parent.name}"
    sessions = tuple(_beam_session(batch, n, file) for n, batch in enumerate(_decode(file, list[_Batch]), start=1))
    known = {turn.id for session in sessions for turn in session.turns}
    asked, dangling = [], 0
    for category, items in _decode(questions, dict[str, list[dict[str, Any]]]).items():
        for place, item in enumerate(items):
            named = tuple(dict.fromkeys(map(str, _leaves(item.get("source_chat_ids")))))
            kept = tuple(one for one in named if one in known)
            dangling += len(named) - len(kept)
            question = Question(
                id=f"{id}-{category}-{place}",
                text=_text_field(item, "question", questions),
                category=category,
                answer=str(next((item[name] for name in _BEAM_ANSWERS if name in item), "")),
                evidence=kept,
            )
            asked.append(question)
    return Case(id=id, sessions=sessions, questions=tuple(asked), dangling=dangling)


def _beam_session(batch: _Batch, number: int, file: Path) -> Session:
    messages = [message for group in batch.turns for message in group]
    anchor = next((message.time_anchor for message in messages if message.time_anchor), None)
    at = None if anchor is None else _time(anchor, _BEAM_DAY, f"batch {number} of {file.parent.name}")
    turns = (Turn(id=str(m.id), text=m.content, role=m.role, at=at) for m in messages if m.content.strip())
    return Session(id=f"batch_{number}", turns=tuple(turns))


def _leaves(value: Any) -> Iterator[int | str]:
    """The ids in a list, or in a mapping of lists, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value


# ── PrefEval ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Pair(msgspec.Struct):
    preference: str
    question: str


class _Filler(msgspec.Struct):
    conversation: list[_Message]


def load_prefeval(path: Path, seed: int = 0) -> Iterator[Case]:
    """The pairs of a folder of PrefEval: a case, and so a user, for each.

    The preference is one message among the user turns of the filler chats, at a place that the seed decides and that
    depends on nothing but the pair; it joins the chat that it falls into. Does the question find it?
    """
    folder = path if path.is_dir() else path.parent
    filler = _filler(_files(folder, _FILLER)[0])
    for file in _files(path, "*.json"):
        if file.name == _FILLER:
            continue
        for place, pair in enumerate(_decode(file, list[_Pair])):
            yield _prefeval_case(pair, file.stem, place, filler, seed)


def _filler(file: Path) -> tuple[Session, ...]:
    """The user turns of the filler chats, a session for each chat."""
    return tuple(
        Session(
            id=f"chat_{chat}",
            turns=tuple(
                Turn(id=f"{chat}:{place}", text=message.content)
                for place, message in enumerate(one.conversation, start=1)
                if message.role == "user" and message.content.strip()
            ),
        )
        for chat, one in enumerate(_decode(file, list[_Filler]), start=1)
    )


def _prefeval_case(pair: _Pair, topic: str, place: int, filler: Sequence[Session], seed: int) -> Case:
    id = f"{topic}-{place}"
    spot = random.Random(f"{seed} {id}").randrange(sum(len(chat.turns) for chat in filler))  # noqa: S311 (repeatable, not secret)
    question = Question(id=id, text=pair.question, category=topic, answer=pair.preference, evidence=(PREFERENCE,))
    turn = Turn(id=PREFERENCE, text=pair.preference)
    return Case(id=id, sessions=_placed(turn, spot, filler), questions=(question,))


def _placed(turn: Turn, spot: int, sessions: Sequence[Session]) -> tuple[Session, ...]:
    """The sessions with ``turn`` before the turn that stands at ``spot``, counted over all of them."""
    placed = []
    for session in sessions:
        size = len(session.turns)
        if 0 <= spot < size:
            turns = (*session.turns[:spot], turn, *session.turns[spot:])
            session = msgspec.structs.replace(session, turns=turns)
        spot -= size
        placed.append(session)
    return tuple(placed)


# ── LongMemEval ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Haystack(msgspec.Struct):
    question_id: str
    question_type: str
    question: str
    answer: str | int | float
    question_date: str
    haystack_session_ids: list[str]
    haystack_dates: list[str]
    haystack_sessions: list[list[_Message]]
    answer_session_ids: list[str] = []


def load_longmemeval(path: Path, seed: int = 0) -> Iterator[Case]:
    """The questions of LongMemEval's file (``longmemeval_s_cleaned.json``), each with a haystack of its own.

    The evidence are the turns with ``has_answer``, and the sessions of ``answer_session_ids``. Questions whose id ends
    in ``_abs`` ask for what was never said and name neither, as in the authors' own scoring of retrieval.
    """
    del seed
    for file in _files(path, "longmemeval*.json"):
        for raw in _decode(file, list[msgspec.Raw]):
            yield _longmemeval_case(_convert(raw, _Haystack, file.name))


def _longmemeval_case(given: _Haystack) -> Case:
    where = f"question {given.question_id}"
    if not len(given.haystack_session_ids) == len(given.haystack_dates) == len(given.haystack_sessions):
        raise MalformedRecord(f"{where} has not as many session ids and dates as sessions")
    evidence: list[str] = []
    sessions = []
    parts = zip(given.haystack_session_ids, given.haystack_dates, given.haystack_sessions, strict=True)
    for number, (id, date, messages) in enumerate(parts):
        at = _time(date, _LONGMEMEVAL_TIME, where)
        turns = {place: _numbered(m, f"{number}:{place}", at) for place, m in enumerate(messages) if m.content.strip()}
        evidence += [turn.id for place, turn in turns.items() if messages[place].has_answer]
        sessions.append(Session(id=id, turns=tuple(turns.values())))
    answerable = not given.question_id.endswith("_abs")
    question = Question(
        id=given.question_id,
        text=given.question,
        category=given.question_type,
        answer=str(given.answer),
        evidence=tuple(evidence) if answerable else (),
        sessions=tuple(dict.fromkeys(given.answer_session_ids)) if answerable else (),
        asked=_time(given.question_date, _LONGMEMEVAL_TIME, where),
    )
    return Case(id=given.question_id, sessions=tuple(sessions), questions=(question,))


def _numbered(message: _Message, id: str, at: datetime) -> Turn:
    return Turn(id=id, text=message.content, role=message.role, at=at)


# ── What they have in common ────────────────────────────────────────────────────────────────────────────────────────

DATASETS: Final = {
    "locomo": Dataset(
        title="LoCoMo",
        source="https://github.com/snap-research/locomo (data/locomo10.json)",
        pattern="locomo*.json",
        load=load_locomo,
        shown=("recall@1", "recall@10", "ndcg@10", "hit@10", "all@10", "recall≤1000"),
        headline="recall@10",
        apart=("adversarial",),
    ),
    "beam": Dataset(
        title="BEAM",
        source="https://github.com/mohammadtavakoli78/BEAM (chats/100K)",
        pattern="*/chat.json",
        load=load_beam,
        shown=("recall@1", "recall@10", "ndcg@10", "hit@10", "all@10", "recall≤2000"),
        headline="recall@10",
    ),
    "prefeval": Dataset(
        title="PrefEval",
        source="https://github.com/amazon-science/PrefEval (benchmark_dataset)",
        pattern=_FILLER,
        load=load_prefeval,
        shown=("hit@1", "hit@5", "hit@10", "ndcg@10", "recall≤500"),
        headline="hit@5",
    ),
    "longmemeval": Dataset(
        title="LongMemEval",
        source="https://huggingface.co/datasets/xiaowu0162/longmemeval-cleaned (longmemeval_s_cleaned.json)",
        pattern="longmemeval*.json",
        load=load_longmemeval,
        shown=("recall@5", "recall@10", "ndcg@10", "sessions@5", "sessions@10", "recall≤2000"),
        headline="recall@10",
    ),
}


def locate(name: str, data: Path) -> Path:
    """Where the data of a dataset is under ``data``: the file or folder itself, or the folder in it of that name."""
    dataset = DATASETS[name]
    for place in (data / name, data):
        if place.is_file() or next(place.glob(dataset.pattern), None):
            return place
    raise InvalidInput(
        f"there is no {dataset.title} in {data}: neither {dataset.pattern} nor {name}/{dataset.pattern}; "
        f"get it from {dataset.source}"
    )


def _files(path: Path, pattern: str) -> list[Path]:
    """``path`` itself, or what matches in the folder, in order of name."""
    found = [path] if path.is_file() else sorted(path.glob(pattern))
    if not found:
        raise InvalidInput(f"there is no {pattern} in {path}; name the folder that holds it")
    return found


def _decode(file: Path, kind: type[T]) -> T:
    return _convert(msgspec.Raw(file.read_bytes()), kind, file.name)


def _convert(raw: Any, kind: type[T], where: str) -> T:
    """What ``raw`` holds, as ``kind``."""
    if raw is None:
        raise MalformedRecord(f"{where} has no date")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise MalformedRecord(f"{where} cannot be read: {error}") from error


def _time(text: str, form: str, where: str) -> datetime:
    """``text`` as a time in UTC; benchmarks name no zone."""
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedRecord(f"{where} has the time {text!r}; it should look like {form!r}") from error


def _text_field(item: dict[str, Any], name: str, file: Path) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise MalformedRecord(f"a question in {file.name} of {file.parent.name} has no {name!r}")
    return value
