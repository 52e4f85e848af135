"""Arguments of callers, checked: texts, messages in OpenAI form, times, names and labels."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from pymemos.cube import filters
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import aware
from pymemos.cube.header import MANIFESTS, Lifespan, Origin, Priority, SemanticType, Stage, Trust
from pymemos.cube.ids import is_id
from pymemos.cube.policy import check_namespace
from pymemos.errors import EmptyScope, InvalidInput, TextTooLong
from pymemos.infrastructure import analysis
from pymemos.interface.requests import Labels, Message, Pin
from pymemos.operation.budgets import Budgets
from pymemos.operation.lifecycle import LifecyclePolicy
from pymemos.operation.strategies import SchedulePolicy, StrategyName
from pymemos.ports import Record

Member = TypeVar("Member", bound=StrEnum)
Planning = SchedulePolicy | Mapping[str, Any] | str  # a policy, its fields, or a strategy's name
When = datetime | str | float  # an aware datetime, ISO 8601 text with a zone, or Unix seconds

_OURS = frozenset({"role", "content", "id", "name", "timestamp", "metadata"})
_ROLES = ("user", "assistant", "system", "tool")  # those of OpenAI's form; any other name is a role as well
NAME_LIMIT = 256  # characters of a user id, session id, tag or other name
QUERY_LIMIT = 32_000  # characters, some ten pages: looking for as many different words takes a third of a second
DEPTH_LIMIT = 100  # of lists and mappings inside metadata
BATCH_LIMIT = 100_000  # messages in one atomic call
PRIORITIES = 1_000_000  # of jobs: so far above and below the usual one
TYPES = tuple(one for one in SemanticType if one not in MANIFESTS)  # the manifests are the system's own
MAKERS = {"episode": "add makes itself of a conversation", "view": "compose makes"}
WORDS_LIMIT = 10_000  # characters of the context and the note of a provenance
LINK_LIMIT = 2_000  # characters of a link
LINKS_LIMIT = 100  # of a version
SPACES_LIMIT = 100  # of a view
PARENTS_LIMIT = 1_000  # of a memory
PROVENANCE = ("trigger", "context", "model", "links", "note")
LONGEST_LIFE_S = 100 * 366 * 86_400  # seconds: whoever wants longer sets no end
EXACT, BLEND = MODES = ("exact", "blend")  # how a prompt is put together of what is stored
MOST_BUDGET = 10**15  # of anything that a plan may take: whoever wants more sets no limit
MOST_ATTEMPTS = 40  # at a job: the later ones are an hour apart
LAST_TURN = datetime(9999, 1, 1, tzinfo=UTC)
INT64 = 1 << 63  # whole numbers of 64 bits are below it, and not below its negative


def parse_content(given: Any, *, text_limit: int) -> tuple[tuple[Message, ...], tuple[int, ...]]:
    """A text as one message, or messages from a list of mappings, each checked; and the places of those skipped."""
    if isinstance(given, str):
        return (Message(content=check_text(given, "the text", limit=text_limit)),), ()
    return parse_messages(given, text_limit=text_limit)


def parse_messages(given: Any, *, text_limit: int) -> tuple[tuple[Message, ...], tuple[int, ...]]:
    """Messages from a list of mappings, each checked; an error names the message by its place.

    Beside them the places of those that say nothing, as an assistant's that only calls tools: they are left out.
    """
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, Iterable):
        raise InvalidInput(f"add takes a text or a list of messages, not {type(given).__name__}")
    messages, skipped = [], []
    for place, one in enumerate(given):
        if (plain := _plain_message(one, text_limit)) is not None:
            messages.append(plain)
        elif _says_nothing(one):
            skipped.append(place)
        else:
            messages.append(_message(one, place, text_limit))
    if not messages:
        what = "no message says anything (content is None)" if skipped else "the list of messages is empty"
        raise InvalidInput(f"{what}; pass at least one message with a text")
    if len(messages) > BATCH_LIMIT:
        raise TextTooLong(f"{len(messages)} messages in one call; pass at most {BATCH_LIMIT} at a time")
    return tuple(messages), tuple(skipped)


def check_text(text: Any, name: str, *, limit: int) -> str:
    """``text`` if it is text that can be stored."""
    if not isinstance(text, str):
        raise InvalidInput(f"{name} is {type(text).__name__}; pass text")
    if not text.strip():
        raise InvalidInput(f"{name} is empty; pass some text")
    if len(text) > limit:
        raise TextTooLong(f"{name} has {len(text):,} characters, the limit is {limit:,}; split it, or raise text_limit")
    return _encodable(text, name)


def check_query(query: Any) -> str:
    """A question that can be looked for in reasonable time."""
    if isinstance(query, str) and len(query) > QUERY_LIMIT:
        raise TextTooLong(
            f"the query has {len(query):,} characters, the limit is {QUERY_LIMIT:,}; ask with the part that matters"
        )
    return check_text(query, "the query", limit=QUERY_LIMIT)


def optional_text(text: Any, name: str, *, limit: int) -> str | None:
    """A text that may be left out, or be empty."""
    return None if text is None or text == "" else check_text(text, name, limit=limit)


def check_name(value: Any, name: str) -> str:
    """``value`` if it can name a user, an agent, a session, a tag."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is {value!r}; pass text")
    if not value.strip() or len(value) > NAME_LIMIT:
        raise InvalidInput(f"{name} must hold 1 to {NAME_LIMIT} characters, not {len(value)}")
    if "\0" in value:  # to a store it may be the end of a text, or stand for no name at all
        raise InvalidInput(f"{name} {value!r} holds a NUL character at {value.index(chr(0))}; pass a name without it")
    return _encodable(value, name)


def check_id(value: Any, name: str = "id") -> str:
    """``value`` if it can be looked up, whether or not there is such a thing."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is {value!r}; pass text")
    return _encodable(value, name)


def optional_id(value: Any, name: str) -> str | None:
    """An id, or another text to look up, that may be left out."""
    return None if value is None else check_id(value, name)


def parse_choice(id: Any, given: Any, *identities: Any) -> tuple[str | None, filters.Filter | None]:
    """What a call takes away: the memory of an id, or what a filter selects; never all there is by an oversight.

    A filter without a condition, as a program makes it of none, names nothing where none of ``identities`` does.
    """
    if id is not None and given is not None:
        raise InvalidInput("an id names one memory, and a filter others; pass one of them")
    where = None if given is None else filters.parse(given)
    names_all = where is None or filters.simplified(where) == filters.EVERYTHING
    if id is None and names_all and all(one is None for one in identities):
        raise EmptyScope()
    return optional_id(id, "id"), where


def check_version(value: Any, name: str) -> int | str:
    """A version of a memory by its number or its hash."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidInput(f"{name} is {value!r}; pass a revision (a number) or a version (its hash)")
    return value


def optional_version(value: Any, name: str) -> int | str | None:
    """A version that may be left out."""
    return None if value is None else check_version(value, name)


def check_path(value: Any, name: str) -> str:
    """Where a file or a folder lies; a store tells by itself which names its files cannot have."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(path, str) or not path:
        raise InvalidInput(f"{name} is {value!r}; pass a path, as text or as a Path")
    if "\0" in path:
        raise InvalidInput(f"{name} {path!r} holds a NUL character; pass a path without it")
    return _encodable(path, name, os.fsencode)


def check_blob(source: Any) -> Any:
    """The bytes of a blob, or a file that gives them."""
    readable = isinstance(source, bytes | bytearray | memoryview) or callable(getattr(source, "read", None))
    if not readable or isinstance(source, io.TextIOBase):
        raise InvalidInput(f"a blob is bytes, or a file that was opened to read bytes, not {type(source).__name__}")
    return source


def check_records(memories: Any) -> tuple[tuple[Record, ...], ...]:
    """Memories as ``from_line`` reads them: each a tuple of its versions."""
    if isinstance(memories, str | bytes) or not isinstance(memories, Iterable):
        raise InvalidInput(f"import_records takes what from_line read, not {type(memories).__name__}")
    given = tuple(memories)
    for memory in given:
        if not isinstance(memory, tuple) or not memory or not all(isinstance(record, Record) for record in memory):
            raise InvalidInput(f"import_records takes what from_line read, not {type(memory).__name__}; read the lines")
    return given


def check_ids(values: Any, name: str, *, least: int) -> tuple[str, ...]:
    """The ids of memories, each once; one text alone is a mistake that is easily made."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{name} is {values!r}; pass a list of ids")
    given = tuple(dict.fromkeys(check_id(value, f"an id in {name}") for value in values))
    if not least <= len(given) <= PARENTS_LIMIT:
        raise InvalidInput(f"{name} has {len(given)} different ids; pass {least} to {PARENTS_LIMIT}")
    return given


def check_names(values: Any, name: str) -> tuple[str, ...]:
    """A list of names; one text alone is a mistake that is easily made."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{name} is {values!r}; pass a list of texts")
    return tuple(dict.fromkeys(check_name(value, name) for value in values))


def check_spaces(values: Any) -> tuple[str, ...]:
    """Namespaces that a view shows; each is looked at on its own."""
    names = check_names(values, "namespaces")
    if len(names) > SPACES_LIMIT:
        raise InvalidInput(f"{len(names)} namespaces; a view shows at most {SPACES_LIMIT}")
    return tuple(map(check_namespace, names))


def check_view_name(value: Any) -> str:
    """A name that cannot be taken for an id."""
    name = check_name(value, "name")
    if is_id(name):
        raise InvalidInput(f"{name!r} looks like an id; give the view another name")
    return name


def check_filters(value: Any) -> dict[str, Any]:
    """A filter that can be read, as it is kept: plain JSON."""
    filters.parse(value)
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value, enc_hook=dict))
    filters.parse(kept)  # what JSON cannot say, such as a number that is none, is told now and not when it is read
    return kept


def check_time(value: Any, name: str) -> datetime:
    """An aware UTC time from a datetime, ISO 8601 text or Unix seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidInput(f"{name} is {value!r}, which is no time in Unix seconds") from error
    return aware(value, name)


def check_metadata(value: Any, name: str = "metadata") -> dict[str, Any]:
    """Metadata that comes back as it was given: JSON with text keys and numbers of 64 bits."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name} is {value!r}; pass a mapping")
    return {_key(key, name): _json(item, f"{name}.{key}", 1) for key, item in value.items()}


def parse_labels(
    *,
    timestamp: When | None = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    entities: Sequence[str] | None = None,
    type: SemanticType | str | None = None,
    origin: Origin | str | None = None,
    language: str | None = None,
    priority: Priority | str | None = None,
    sensitivity: Sequence[str] | None = None,
    valid_from: When | None = None,
    valid_to: When | None = None,
    lifespan: Lifespan | Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    trust: Trust | str | None = None,
) -> Labels:
    """What a caller says about memories, each value checked."""
    labels = Labels(
        semantic_type=None if type is None else check_type(type),
        tags=None if tags is None else check_names(tags, "tags"),
        entities=None if entities is None else check_names(entities, "entities"),
        metadata=None if metadata is None else check_metadata(metadata),
        language=None if language is None else analysis.check_language(check_name(language, "language")),
        priority=None if priority is None else check_member(Priority, priority, "priority"),
        sensitivity=None if sensitivity is None else check_names(sensitivity, "sensitivity"),
        origin=None if origin is None else check_member(Origin, origin, "origin"),
        valid_from=optional_time(valid_from, "valid_from"),
        valid_to=optional_time(valid_to, "valid_to"),
        timestamp=optional_time(timestamp, "timestamp"),
        lifespan=None if lifespan is None else check_lifespan(lifespan),
        provenance=None if provenance is None else check_provenance(provenance),
        trust=None if trust is None else check_member(Trust, trust, "trust"),
    )
    if labels.valid_from and labels.valid_to and labels.valid_from >= labels.valid_to:
        raise InvalidInput(
            f"valid_to {labels.valid_to.isoformat()} is not after valid_from {labels.valid_from.isoformat()}"
        )
    return labels


def check_provenance(given: Any) -> dict[str, Any]:
    """Why a memory exists, as a caller says it: the fields that are given; None takes back what was said."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"provenance is {given!r}; pass a mapping such as {{'trigger': 'a correction'}}")
    unknown = [name for name in given if name not in PROVENANCE]
    if unknown:
        raise InvalidInput(f"provenance has no {unknown[0]!r}; it has {', '.join(PROVENANCE)}")
    return {name: _provenance_field(name, value) for name, value in given.items()}


def check_planning(given: Any) -> SchedulePolicy:
    """By which policy to plan: a strategy's name, a mapping with it, its labels and budgets, or the policy itself."""
    named = {"strategy": given} if isinstance(given, str) else given
    if isinstance(named, SchedulePolicy):
        named = msgspec.structs.asdict(named)
    if not isinstance(named, Mapping) or not set(named) <= set(SchedulePolicy.__struct_fields__):
        raise InvalidInput(
            f"a schedule policy is {given!r}; pass a strategy's name, or a mapping with it, labels and budgets"
        )
    strategy = check_member(StrategyName, named.get("strategy", StrategyName.SIMILARITY), "strategy")
    labels = check_names(named.get("labels", ()), "labels")
    if strategy is StrategyName.LABELS and not labels:
        raise InvalidInput("the strategy 'labels' needs some; pass {'strategy': 'labels', 'labels': ['work']}")
    return SchedulePolicy(strategy=strategy, labels=labels, budgets=check_budgets(named.get("budgets", {})))


def check_budgets(given: Any) -> Budgets:
    """What a plan may take: a mapping with some of tokens, seconds, device_bytes and memories; None is no limit."""
    named = msgspec.structs.asdict(given) if isinstance(given, Budgets) else given
    if not isinstance(named, Mapping):
        raise InvalidInput(f"budgets is {given!r}; pass a mapping such as {{'seconds': 0.5, 'memories': 10}}")
    chosen = {name: value for name, value in named.items() if value is not None}
    odd = set(chosen) - set(Budgets.__struct_fields__) | chosen.keys() & {"calls"}
    if odd:
        raise InvalidInput(
            f"budgets has no {min(map(str, odd))!r}; it has tokens, seconds, device_bytes and memories "
            "(calls follow from access policies that limit them)"
        )
    for name, value in chosen.items():
        is_number = isinstance(value, int if name != "seconds" else int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= MOST_BUDGET:
            kind = "number" if name == "seconds" else "whole number"
            raise InvalidInput(f"the budget of {name} is {value!r}; pass a {kind} from 0 to {MOST_BUDGET:g}, or None")
    return Budgets(**chosen)


def check_links(values: Any, name: str = "links") -> tuple[str, ...]:
    """Links to what a memory cites: texts such as URLs, of one line each; nothing opens them."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{name} is {values!r}; pass a list of texts")
    links = tuple(dict.fromkeys(_check_link(value) for value in values))
    if len(links) > LINKS_LIMIT:
        raise InvalidInput(f"{len(links)} links; a memory keeps at most {LINKS_LIMIT}")
    return links


def parse_parents(values: Any) -> tuple[Pin, ...]:
    """What a memory is made from: ids, which stand for what is current, or cubes or pins, for just what was read."""
    if isinstance(values, str | MemCube | Parent) or not isinstance(values, Iterable):
        raise InvalidInput("parents is a list of ids, or of the cubes that were read")
    pins: dict[str, Pin] = {}
    for value in values:
        read = isinstance(value, MemCube | Parent)
        pin = Pin(id=value.id, version=value.version) if read else Pin(id=check_name(value, "a parent"))
        if pins.setdefault(pin.id, pin) != pin:
            raise InvalidInput(f"parents names {pin.id!r} twice, in two versions; name the one that was read")
    if len(pins) > PARENTS_LIMIT:
        raise InvalidInput(f"{len(pins)} parents; a memory has at most {PARENTS_LIMIT}: make it in steps")
    return tuple(pins.values())


def _provenance_field(name: str, value: Any) -> Any:
    if name == "links":
        return () if value is None else check_links(value, name)
    if value is None:
        return None
    if name in ("context", "note"):
        return check_text(value, name, limit=WORDS_LIMIT)
    return check_name(value, name)


def _check_link(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LINK_LIMIT or not value.isprintable():
        shown = repr(value)[:NAME_LIMIT]
        raise InvalidInput(f"a link is {shown}; pass one line of 1 to {LINK_LIMIT} characters that can be printed")
    return _encodable(value, "a link")


def check_turn(value: Any, name: str) -> datetime | None:
    """The time of a turn that may be left out, with room behind it for leases and pauses."""
    moment = optional_time(value, name)
    if moment is not None and moment >= LAST_TURN:
        raise InvalidInput(f"{name} is {moment.isoformat()}; pass a time before the year {LAST_TURN.year}")
    return moment


def optional_time(value: When | None, name: str) -> datetime | None:
    """A time that may be left out."""
    return None if value is None else check_time(value, name)


def check_limit(value: Any) -> int:
    """How many results may be asked for at once."""
    return check_number(value, "limit", least=1, most=10_000)


def check_number(value: Any, name: str, *, least: int, most: int) -> int:
    """A whole number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(f"{name} is {shown(value)}; pass a number from {least} to {most}")
    return value


def shown(value: Any) -> str:
    """A value as an error repeats it: Python writes no number of thousands of digits."""
    return f"a number of {value.bit_length():,} bits" if isinstance(value, int) and abs(value) > INT64 else repr(value)


def check_member(kind: type[Member], value: Any, name: str) -> Member:
    """The member of an enumeration that ``value`` names."""
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidInput(f"{name} is {value!r}; use one of {', '.join(kind)}") from error


def check_type(value: Any) -> SemanticType:
    """What a caller may say that a memory is about."""
    if value in TYPES:
        return SemanticType(value)
    own = f", which {MAKERS[value]}" if isinstance(value, str) and value in MAKERS else ""
    raise InvalidInput(f"type is {str(value)!r}{own}; use one of {', '.join(TYPES)}")


def check_stages(values: Any) -> tuple[Stage, ...] | None:
    """Where memories may stand, by name; None leaves it to the default."""
    if values is None:
        return None
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"states is {values!r}; pass a list, such as ['archived']")
    named = {check_member(Stage, value, "states") for value in values}
    return tuple(stage for stage in Stage if stage in named)


def check_lifespan(value: Any) -> Lifespan:
    """How long memories are kept: an instant, seconds to live, seconds in which half of their weight decays."""
    given = msgspec.structs.asdict(value) if isinstance(value, Lifespan) else value
    if not isinstance(given, Mapping) or not given.keys() <= _SPANS.keys() | {"extra"}:
        raise InvalidInput(f"lifespan is {value!r}; pass a mapping with some of {', '.join(_SPANS)}")
    wanted = {name: read for name, read in _SPANS.items() if given.get(name) is not None}
    return Lifespan(**{name: read(given[name], f"lifespan.{name}") for name, read in wanted.items()})


def _seconds(value: Any, name: str) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_LIFE_S:
        raise InvalidInput(f"{name} is {value!r}; pass seconds, more than 0 and at most {LONGEST_LIFE_S:,}")
    return float(seconds)


def check_policy(policy: Any) -> LifecyclePolicy:
    """A policy whose numbers make sense."""
    if not isinstance(policy, LifecyclePolicy):
        raise InvalidInput(f"the policy is {type(policy).__name__}; pass a LifecyclePolicy")
    for name in policy.__struct_fields__:
        value = getattr(policy, name)
        whole = name.startswith("quota")
        if value is None and (whole or name == "archive_after_days"):
            continue
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not 0 <= value <= INT64:
            raise InvalidInput(f"{name} is {value!r}; pass a {'whole ' if whole else ''}number from 0 on")
    return policy


def check_tensor_labels(labels: Labels) -> Labels:
    """``labels`` if they fit a tensor: a message is a text that was said."""
    if labels.semantic_type is SemanticType.MESSAGE:
        fitting = ", ".join(one for one in TYPES if one is not SemanticType.MESSAGE)
        raise InvalidInput(f"type is 'message', but a tensor is no text that was said; use one of {fitting}")
    return labels


def _says_nothing(given: Any) -> bool:
    """Whether a message has no content, as OpenAI's form allows; beside calls of tools it may be missing or empty."""
    if not isinstance(given, Mapping):
        return False
    content = given.get("content")
    if content and isinstance(content, str) and not content.isspace():
        return False
    calls = bool(given.get("tool_calls") or given.get("function_call"))
    if content is None:
        return calls or "content" in given
    return calls and (content == [] or isinstance(content, str))


def _plain_message(given: Any, text_limit: int) -> Message | None:
    """The message that is a text with a usual role and nothing else, as nearly all are: told at once, or None."""
    if type(given) is not dict or len(given) != 2:
        return None
    content, role = given.get("content"), given.get("role")
    if type(content) is not str or not content.isascii() or len(content) > text_limit or not content.strip():
        return None
    return Message(content=content, role=role) if role in _ROLES else None


def _message(given: Any, place: int, text_limit: int) -> Message:
    where = f"message {place}"
    if isinstance(given, str):
        return Message(content=check_text(given, where, limit=text_limit))
    if not isinstance(given, Mapping):
        raise InvalidInput(
            f"{where} is {type(given).__name__}; pass mappings such as {{'role': 'user', 'content': 'Hi'}}"
        )
    if "content" not in given:
        raise InvalidInput(f"{where} has no 'content'; it has {sorted(map(str, given))}")
    id, time, metadata = given.get("id"), given.get("timestamp"), given.get("metadata")
    return Message(
        content=check_text(_text_of(given["content"], where), f"content of {where}", limit=text_limit),
        role=_name(given.get("role"), "role", where),
        id=_name(str(id) if isinstance(id, int) else id, "id", where),
        name=_name(given.get("name"), "name", where),
        timestamp=None if time is None else check_time(time, f"timestamp of {where}"),
        metadata={} if metadata is None else check_metadata(metadata, f"metadata of {where}"),
        rest={} if given.keys() <= _OURS else check_metadata(_rest(given), where),
    )


def _name(value: Any, field: str, where: str) -> str | None:
    return None if value is None else check_name(value, f"{field} of {where}")


def _rest(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in _OURS}


def _text_of(content: Any, where: str) -> Any:
    """The text of a message's content: itself, or its text parts joined."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    if len(texts) != len(content):
        raise InvalidInput(f"{where} has parts that are not text; keep their descriptions as text")
    return "\n".join(str(text) for text in texts)


def _key(key: Any, name: str) -> str:
    if not isinstance(key, str):
        raise InvalidInput(f"{name} has the key {key!r}; keys are texts")
    return _encodable(key, name)


def _json(value: Any, name: str, depth: int) -> Any:
    if depth > DEPTH_LIMIT:
        raise InvalidInput(f"{name[:NAME_LIMIT]} is nested more than {DEPTH_LIMIT} deep; keep it flatter, or as text")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _encodable(value, name)
    if isinstance(value, int) and -INT64 <= value < INT64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping):
        return {_key(key, name): _json(item, f"{name}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item, name, depth + 1) for item in value]
    raise InvalidInput(f"{name} is {shown(value)}; JSON holds texts, finite numbers of 64 bits, flags, lists, mappings")


def _encodable(text: str, name: str, encode: Callable[[str], bytes] = str.encode) -> str:
    if text.isascii():
        return text
    try:
        encode(text)
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name} holds half of a surrogate pair at {error.start}, or a byte that is not UTF-8; pass valid Unicode"
        ) from error
    return text


_SPANS: dict[str, Callable[[Any, str], Any]] = {"expires": check_time, "ttl_s": _seconds, "half_life_s": _seconds}


def check_mode(mode: Any) -> str:
    """How a prompt is put together of what is stored: "exact" or "blend"."""
    if mode not in MODES:
        raise InvalidInput(f"mode is {mode!r}; use one of {', '.join(MODES)}")
    return str(mode)
