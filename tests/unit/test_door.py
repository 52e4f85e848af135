"""The one door: no public method, command or job reaches the store without a decision and an audit entry."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.unit.scheduling_kit import CALIBRATION

import pymemos.surfaces
from pymemos import MemOS, Receipt
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.erasure import Phase
from pymemos.cube.payload import Activation, ModelRef
from pymemos.errors import NotAllowed, UnknownMemory
from pymemos.facade.what_if import World
from pymemos.interface import upkeep
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.interface.transfer import from_line
from pymemos.settings import Settings
from pymemos.testing.doubles import WHEN, FailingEmbedder, FrozenClock
from pymemos.testing.scripted import ScriptedChat
from pymemos.testing.toy_engine import ToyEngine
from pymemos.testing.toy_tuner import ToyTuner
from pymemos.testing.witness import WitnessStore

METHODS = [name for name, _ in inspect.getmembers(MemOS, inspect.isfunction) if not name.startswith("_")]
MODEL = ModelRef(name="m", weights="w")
BLOB = b"tensor"
BEHIND_THE_FACADE = ("adapters", "infrastructure", "models", "operation")


class Place(NamedTuple):
    """Where a scenario happens: the facade, and ids of two texts, a tensor, a job, a fusion and an adapter of Ana."""

    mem: MemOS
    text: str
    tensor: str
    job: str
    other: str
    fused: str
    folder: Path
    lora: str


def notes(folder: Path) -> Path:
    """A folder with one note."""
    (folder / "notes").mkdir()
    (folder / "notes" / "tea.md").write_text("# Tea\n\nMint is best.\n", "utf-8")
    return folder / "notes"


def segment(at: Place) -> str:
    """A KV segment of Ana's."""
    return at.mem.encode([at.text], user_id="ana").ids[-1]


PAIRS = [(f"Splendid, dear friend {number}.", f"meh {number}") for number in range(6)]


def vector(at: Place) -> str:
    """A steering vector of Ana's."""
    return at.mem.steer_from(PAIRS, user_id="ana").id


FACT = "The capital of Zorvania is Quelmar."


def fact(at: Place) -> str:
    """A text of Ana's that an adapter can learn."""
    return at.mem.add(FACT, user_id="ana").ids[0]


def training(at: Place) -> str:
    """A training of Ana's that waits."""
    return at.mem.distil([fact(at)], user_id="ana")


def transforming(at: Place) -> str:
    """A transformation of Ana's that waits."""
    return at.mem.transform([fact(at)], "activation", user_id="ana").job or ""


class Scenario(NamedTuple):
    """One use of a method, and the operation that the audit log must name."""

    act: Callable[[Place], Any]
    operation: str


DENY = {"effect": "deny", "what": {"tags": "work"}}
SCENARIOS: dict[str, Scenario] = {
    "share": Scenario(lambda at: at.mem.share(at.text, to="users/bo"), "share"),
    "unshare": Scenario(lambda at: at.mem.unshare(at.mem.share(to="users/bo").name), "remove_access_policy"),
    "set_access_policy": Scenario(lambda at: at.mem.set_access_policy("p", DENY), "set_access_policy"),
    "remove_access_policy": Scenario(
        lambda at: (
            at.mem.set_access_policy("p", DENY, namespace="*"),
            at.mem.remove_access_policy("p", namespace="*"),
        ),
        "remove_store_policy",
    ),
    "access_policies": Scenario(lambda at: at.mem.access_policies(), "access_policies"),
    "assign_role": Scenario(lambda at: at.mem.assign_role("physician", "users/bo"), "assign_role"),
    "withdraw_role": Scenario(
        lambda at: (at.mem.assign_role("nurse", "users/bo"), at.mem.withdraw_role("nurse", "users/bo")), "withdraw_role"
    ),
    "access_report": Scenario(lambda at: at.mem.access_report(), "access_report"),
    "set_privacy_policy": Scenario(
        lambda at: at.mem.set_privacy_policy({"email": "tag"}, namespace="*"), "set_store_privacy_policy"
    ),
    "privacy_policy": Scenario(lambda at: at.mem.privacy_policy(user_id="ana"), "privacy_policy"),
    "scan_privacy": Scenario(lambda at: at.mem.scan_privacy(user_id="ana"), "tag_privacy"),
    "why": Scenario(lambda at: at.mem.why(at.text, user_id="bo"), "why"),
    "activate": Scenario(lambda at: at.mem.activate(at.text), "activate"),
    "archive": Scenario(lambda at: at.mem.archive(at.text), "archive"),
    "freeze": Scenario(lambda at: at.mem.freeze(at.text), "freeze"),
    "unfreeze": Scenario(lambda at: at.mem.unfreeze(at.text), "unfreeze"),
    "passages": Scenario(lambda at: at.mem.passages(at.text), "passages"),
    "schedule": Scenario(lambda at: at.mem.schedule(user_id="ana"), "list"),
    "move": Scenario(lambda at: at.mem.move(user_id="ana"), "survey"),
    "decisions": Scenario(lambda at: at.mem.decisions(at.text), "decisions"),
    "schedule_policy": Scenario(lambda at: at.mem.schedule_policy(user_id="ana"), "schedule_policy"),
    "set_schedule_policy": Scenario(
        lambda at: at.mem.set_schedule_policy("recency", user_id="ana"), "set_schedule_policy"
    ),
    "switch_task": Scenario(lambda at: at.mem.switch_task("travel", user_id="ana"), "note_task"),
    "swaps": Scenario(lambda at: at.mem.swaps(user_id="ana"), "swaps"),
    "sweep": Scenario(lambda at: at.mem.sweep(), "look_at_lives"),
    "lifecycle_policy": Scenario(lambda at: at.mem.lifecycle_policy(user_id="ana"), "lifecycle_policy"),
    "set_lifecycle_policy": Scenario(lambda at: at.mem.set_lifecycle_policy(None), "set_lifecycle_policy"),
    "add": Scenario(lambda at: at.mem.add("Ana likes tea.", user_id="ana"), "add"),
    "annotate": Scenario(lambda at: at.mem.annotate(at.text, note="heard twice"), "annotate"),
    "append": Scenario(lambda at: at.mem.append(at.text, "And coffee."), "update"),
    "audit_export": Scenario(lambda at: list(at.mem.audit_export()), "audit_export"),
    "audit_head": Scenario(lambda at: at.mem.audit_head(), "audit_head"),
    "audit_verify": Scenario(lambda at: at.mem.audit_verify(), "audit_verify"),
    "backup": Scenario(lambda at: at.mem.backup(at.folder / "copy.db"), "backup"),
    "control_job": Scenario(lambda at: at.mem.control_job(at.job, "cancel"), "control_job"),
    "delete": Scenario(lambda at: at.mem.delete(at.text), "delete"),
    "erase": Scenario(lambda at: at.mem.erase(at.text), "erase"),
    "erase_backup": Scenario(
        lambda at: at.mem.erase_backup(at.mem.backup(at.folder / "copy.db"), user_id="ana"), "erase_backup"
    ),
    "receipt": Scenario(lambda at: at.mem.receipt(at.mem.erase(at.text).id), "receipts"),
    "receipts": Scenario(lambda at: at.mem.receipts(), "receipts"),
    "diff": Scenario(lambda at: at.mem.diff(at.text, 1, 2), "diff"),
    "doctor": Scenario(lambda at: at.mem.doctor(), "doctor"),
    "enqueue": Scenario(lambda at: at.mem.enqueue("note", user_id="ana"), "enqueue"),
    "distil": Scenario(training, "distil"),
    "training": Scenario(lambda at: at.mem.training(training(at), user_id="ana"), "find_training"),
    "cancel_training": Scenario(lambda at: at.mem.cancel_training(training(at), user_id="ana"), "find_training"),
    "attach": Scenario(lambda at: at.mem.attach("What is the capital of Zorvania?", user_id="ana"), "find_adapters"),
    "adapter": Scenario(lambda at: at.mem.adapter(at.lora, user_id="ana"), "show_adapter"),
    "write_adapter": Scenario(
        lambda at: at.mem.write_adapter(at.lora, at.folder / "lora", user_id="ana"), "show_adapter"
    ),
    "transform": Scenario(transforming, "transform"),
    "transformation": Scenario(lambda at: at.mem.transformation(transforming(at), user_id="ana"), "find_transform"),
    "cancel_transformation": Scenario(
        lambda at: at.mem.cancel_transformation(transforming(at), user_id="ana"), "find_transform"
    ),
    "encode": Scenario(lambda at: at.mem.encode([at.text], user_id="ana"), "encode"),
    "inject": Scenario(lambda at: at.mem.inject([segment(at) and at.text], "Tea?", user_id="ana").close(), "inject"),
    "load": Scenario(lambda at: at.mem.load(segment(at), user_id="ana"), "segments"),
    "verify": Scenario(lambda at: at.mem.verify(segment(at), user_id="ana"), "segments"),
    "evict": Scenario(lambda at: at.mem.evict(segment(at), user_id="ana"), "segments"),
    "probe_blending": Scenario(lambda at: at.mem.probe_blending(cases=1), "probe_blending"),
    "steer_from": Scenario(lambda at: at.mem.steer_from(PAIRS, user_id="ana"), "keep_steering"),
    "steering": Scenario(lambda at: at.mem.steering([vector(at)], user_id="ana"), "use_steering"),
    "steering_effect": Scenario(
        lambda at: at.mem.steering_effect([("How?", "Well.", "meh")], [vector(at)], user_id="ana"), "use_steering"
    ),
    "export_lines": Scenario(lambda at: list(at.mem.export_lines(user_id="ana")), "export"),
    "chat": Scenario(lambda at: at.mem.chat("Does Ana like bread?", user_id="ana"), "chat"),
    "fuse": Scenario(lambda at: at.mem.fuse([at.text, at.other]), "fuse"),
    "compose": Scenario(lambda at: at.mem.compose("tea", ids=[at.text], user_id="ana"), "compose"),
    "merge": Scenario(lambda at: at.mem.merge(at.text, [at.other]), "merge"),
    "plan_merge": Scenario(lambda at: at.mem.plan_merge([at.text, at.other], user_id="ana"), "plan_merge"),
    "undo": Scenario(lambda at: at.mem.undo(at.fused), "undo"),
    "get": Scenario(lambda at: at.mem.get(at.text), "get"),
    "history": Scenario(lambda at: at.mem.history(at.text), "history"),
    "import_from": Scenario(lambda at: at.mem.import_from(notes(at.folder), kind="markdown", user_id="ana"), "add"),
    "import_records": Scenario(lambda at: at.mem.import_records([]), "import"),
    "jobs": Scenario(lambda at: at.mem.jobs(), "jobs"),
    "list": Scenario(lambda at: at.mem.list(user_id="ana"), "list"),
    "log": Scenario(lambda at: at.mem.log(), "log"),
    "open_blob": Scenario(lambda at: at.mem.open_blob(at.tensor), "get"),
    "provenance": Scenario(lambda at: at.mem.provenance(at.text), "provenance"),
    "reembed": Scenario(lambda at: at.mem.reembed(), "embed"),
    "restore": Scenario(lambda at: at.mem.restore(at.text, 1), "restore"),
    "restore_to": Scenario(
        lambda at: at.mem.restore_to(at.mem.snapshot("now", user_id="ana"), user_id="ana"), "restore_to"
    ),
    "search": Scenario(lambda at: at.mem.search("tea", user_id="ana"), "search"),
    "sign": Scenario(lambda at: at.mem.sign(at.text), "sign"),
    "signatures": Scenario(lambda at: at.mem.signatures(at.text), "signatures"),
    "keys": Scenario(lambda at: at.mem.keys(), "keys"),
    "rotate_key": Scenario(lambda at: at.mem.rotate_key(), "rotate_key"),
    "trust_key": Scenario(lambda at: at.mem.trust_key("00" * 32, "x"), "trust_key"),
    "distrust_key": Scenario(
        lambda at: at.mem.distrust_key(at.mem.trust_key("00" * 32, "x").fingerprint), "distrust_key"
    ),
    "snapshot": Scenario(lambda at: at.mem.snapshot("now", user_id="ana"), "snapshot"),
    "snapshots": Scenario(lambda at: at.mem.snapshots(user_id="ana"), "snapshots"),
    "tick": Scenario(lambda at: at.mem.tick(), "claim"),
    "update": Scenario(lambda at: at.mem.update(at.text, "Ana likes coffee."), "update"),
    "what_if": Scenario(lambda at: at.mem.what_if(user_id="ana"), "what_if"),
}
# Units that tell nobody anything: after these, what lies in memory of segments that are no more is let go of.
LETTING_GO = {"encode": 1, "inject": 1, "load": 2, "verify": 1, "evict": 1}
UNDECIDED: dict[str, tuple[Callable[[Place], Any], int, str]] = {
    "bind": (lambda at: at.mem.bind(user_id="ana"), 0, "makes a handle; whoever uses it is decided on then"),
    "calibrate": (lambda at: at.mem.calibrate(), 0, "measures the machine, and looks at no memory"),
    "detect": (lambda at: at.mem.detect("Write to bo@example.org."), 0, "looks at a text, and at no memory"),
    "placements": (lambda at: at.mem.placements(), 0, "tells what of one's own lies in memory, and looks at no store"),
    "put_blob": (lambda at: at.mem.put_blob(b"other"), 1, "writes bytes that nobody can find before add names them"),
    "verify_receipt": (
        lambda at: at.mem.verify_receipt(Receipt(id="x", at=WHEN, namespace="n", by="b", asked={}, phase=Phase.SIGNED)),
        0,
        "holds what the caller has against the key, and looks at no store",
    ),
    "next_due": (lambda at: at.mem.next_due(), 1, "tells a worker when to wake, and nothing about memories"),
    "close": (lambda at: at.mem.close(), 2, "writes down the reads that are not in the log yet, and signs its head"),
}
JOBS: dict[str, str] = {
    "reindex": "reindex",
    "embed": "embed",
    "sweep": "sweep",
    "scan_privacy": "tag_privacy",
    "scrub": "scrub",
    "move": "move",
    "free": "free",
}  # each kind of job of the system's own, and the operation of its effect
WITH_ARGUMENTS = ("distil", "transform")  # what they begin from: the tests of adapters and of pathways do them


class Witnessed(NamedTuple):
    """A place, and what can be seen of what happens there."""

    place: Place
    store: WitnessStore
    spans: list[str]


@pytest.fixture
def witnessed(tmp_path: Path) -> Iterator[Witnessed]:
    store, spans, embedder = WitnessStore(SqliteStore(tmp_path / "home")), [], FailingEmbedder()
    engine = ToyEngine()
    settings = Settings(
        home=tmp_path / "home", config_dir=tmp_path / "config", cache_dir=tmp_path / "cache", moves="on"
    )
    known = msgspec.structs.replace(CALIBRATION, model=engine.identity)
    keep(known, calibration_file(settings.cache_dir, engine.identity))
    with MemOS(
        settings=settings,
        store=store,
        clock=FrozenClock(),
        embedder=embedder,
        engine=engine,
        tuner=ToyTuner(engine.ref),
        chat=ScriptedChat(["Yes."]),
        on_span=lambda step, _: spans.append(step),
    ) as mem:
        assert mem._tools.heads is not None
        mem._tools.heads.pause = 600.0  # it looks at the store before it signs; here only what is witnessed does
        text = mem.add("Ana likes water.", user_id="ana").ids[0]
        mem.update(text, "Ana likes wine.")
        other = mem.add("Ana likes bread.", user_id="ana").ids[0]
        fused = mem.fuse([text, other]).id
        blob, size = mem.put_blob(BLOB)
        tensor = mem.add(Activation(form="kv", blob=blob, size=size, model=MODEL), user_id="ana").ids[0]
        mem.distil(mem.add(FACT, user_id="ana").ids, user_id="ana")
        mem.tick()
        [lora] = [cube.id for cube in mem.list(user_id="ana", filters={"kind": "parametric"})]
        job = mem.enqueue("note", user_id="ana") or ""
        for waiting in mem.jobs():
            if waiting.kind == "embed":  # what was written until now has no vectors, and nobody makes them
                mem.control_job(waiting.id, "cancel")
        place = Place(mem, text, tensor, job, other, fused, tmp_path, lora)
        embedder.down = False
        yield Witnessed(place, store, spans)


def logged(mem: MemOS) -> Counter[str]:
    """How often the log names each operation, this look at it included."""
    return Counter(record.operation for record in mem.log(limit=10_000)) + Counter(["log"])


def test_every_public_method_has_a_scenario_or_a_reason() -> None:
    assert sorted(METHODS) == sorted([*SCENARIOS, *UNDECIDED])


@pytest.mark.parametrize("method", sorted(SCENARIOS))
def test_a_method_that_opens_a_unit_is_decided_on_and_audited(witnessed: Witnessed, method: str) -> None:
    place, store, spans = witnessed
    before = logged(place.mem)
    store.seen.clear()
    spans.clear()

    SCENARIOS[method].act(place)

    decisions, units = spans.count("decide"), store.units
    assert decisions > 0
    assert spans.count("audit") == decisions
    others = 1 + LETTING_GO.get(method, 0)  # beside them only the writing down of reads
    assert decisions <= units <= decisions + others
    grown = logged(place.mem) - before
    assert grown[SCENARIOS[method].operation] > 0


@pytest.mark.parametrize("method", sorted(UNDECIDED))
def test_a_method_without_a_decision_is_listed_with_its_reason(witnessed: Witnessed, method: str) -> None:
    act, units, reason = UNDECIDED[method]
    witnessed.place.mem.get(witnessed.place.text)
    witnessed.store.seen.clear()
    witnessed.spans.clear()

    act(witnessed.place)

    assert witnessed.spans == []
    assert witnessed.store.units <= units
    assert reason


BY_ID: dict[str, Callable[[MemOS, Place], Any]] = {
    "annotate": lambda mem, at: mem.annotate(at.text, note="Eve was here."),
    "append": lambda mem, at: mem.append(at.text, "And coffee."),
    "delete": lambda mem, at: mem.delete(at.text),
    "diff": lambda mem, at: mem.diff(at.text, 1, 2),
    "load": lambda mem, at: mem.load(at.tensor),
    "verify": lambda mem, at: mem.verify(at.tensor),
    "evict": lambda mem, at: mem.evict(at.tensor),
    "steering": lambda mem, at: mem.steering([at.tensor]),
    "erase": lambda mem, at: mem.erase(at.text),
    "get": lambda mem, at: mem.get(at.text),
    "history": lambda mem, at: mem.history(at.text),
    "merge": lambda mem, at: mem.merge(at.text, [at.other]),
    "undo": lambda mem, at: mem.undo(at.text),
    "open_blob": lambda mem, at: mem.open_blob(at.tensor),
    "decisions": lambda mem, at: mem.decisions(at.text),
    "provenance": lambda mem, at: mem.provenance(at.text),
    "restore": lambda mem, at: mem.restore(at.text, 1),
    "update": lambda mem, at: mem.update(at.text, "Eve was here."),
}


@pytest.mark.parametrize("method", sorted(BY_ID))
def test_somebody_elses_id_is_as_good_as_unknown_and_the_attempt_is_recorded(witnessed: Witnessed, method: str) -> None:
    place = witnessed.place
    eve = place.mem.bind(user_id="eve")

    with pytest.raises(UnknownMemory) as foreign:
        BY_ID[method](eve, place)
    with pytest.raises(UnknownMemory) as unknown:
        BY_ID[method](eve, place._replace(text="nobody", tensor="nobody"))

    assert str(foreign.value) == str(unknown.value)
    refused = [record for record in place.mem.log(user_id="eve") if not record.allowed]
    assert [record.operation for record in refused] == [SCENARIOS[method].operation] * 2
    assert place.mem.get(place.text).text == "Ana likes wine."


STEWARDS = [
    "backup",
    "control_job",
    "doctor",
    "erase_backup",
    "import_records",
    "jobs",
    "reembed",
    "set_lifecycle_policy",
    "tick",
]


@pytest.mark.parametrize("method", STEWARDS)
def test_what_concerns_the_whole_store_is_refused_to_everybody_else_and_recorded(
    witnessed: Witnessed, method: str
) -> None:
    place = witnessed.place
    ana = place._replace(mem=place.mem.bind(user_id="ana"))

    with pytest.raises(NotAllowed):
        SCENARIOS[method].act(ana)

    refused = [record for record in place.mem.log(user_id="ana") if not record.allowed]
    assert [record.rule for record in refused] == ["steward-only"]
    assert "backup" not in witnessed.store.seen
    assert "check" not in witnessed.store.seen


def test_a_repeated_call_with_a_key_is_decided_on_and_audited_again(witnessed: Witnessed) -> None:
    mem = witnessed.place.mem
    first = mem.add("once", user_id="ana", idempotency_key="k")
    before = logged(mem)

    assert mem.add("once", user_id="ana", idempotency_key="k").ids == first.ids
    assert (logged(mem) - before)["add"] == 1


# Worlds: every call in one is decided on and recorded like any other, and none of them writes.


IN_A_WORLD: dict[str, Callable[[World, Place], Any]] = {
    "add": lambda world, at: world.add("Ana likes tea."),
    "append": lambda world, at: world.append(at.text, "And coffee."),
    "changes": lambda world, at: world.changes(),
    "delete": lambda world, at: world.delete(at.text),
    "diff": lambda world, at: world.diff(at.text, 1, 2),
    "get": lambda world, at: world.get(at.text),
    "history": lambda world, at: world.history(at.text),
    "list": lambda world, at: world.list(),
    "open_blob": lambda world, at: world.open_blob(at.tensor),
    "search": lambda world, at: world.search("tea"),
    "update": lambda world, at: world.update(at.text, "Ana likes coffee."),
}
OUTSIDE = {
    "bind": "makes a handle; whoever uses it is decided on then",
    "close": "lets go of memory, and touches no store",
    "put_blob": "is refused",
}


def test_every_method_of_a_world_has_a_scenario_or_a_reason() -> None:
    methods = [name for name, _ in inspect.getmembers(World, callable) if not name.startswith("_")]

    assert sorted(methods) == sorted([*IN_A_WORLD, *OUTSIDE])


@pytest.mark.parametrize("method", sorted(IN_A_WORLD))
def test_a_call_in_a_world_is_decided_on_and_audited_and_writes_nothing(witnessed: Witnessed, method: str) -> None:
    place, store, spans = witnessed
    world = place.mem.what_if(user_id="ana")
    before = logged(place.mem)
    store.seen.clear()
    spans.clear()

    IN_A_WORLD[method](world, place)

    assert (spans.count("decide"), spans.count("audit"), store.seen) == (1, 1, ["read"])
    assert logged(place.mem) - before == Counter({"in_what_if": 1, "log": 1})


@pytest.mark.parametrize("method", sorted(IN_A_WORLD.keys() & BY_ID.keys()))
def test_somebody_elses_id_is_unknown_in_a_world_too(witnessed: Witnessed, method: str) -> None:
    place = witnessed.place
    world = place.mem.what_if(user_id="eve")

    with pytest.raises(UnknownMemory):
        IN_A_WORLD[method](world, place)

    assert [record.operation for record in place.mem.log(user_id="eve") if not record.allowed] == ["in_what_if"]


# Jobs.


def test_every_kind_of_job_of_the_system_has_its_operation(witnessed: Witnessed) -> None:
    mem = witnessed.place.mem
    assert mem._activations is not None
    own = upkeep.own_jobs(mem._api, mem._tools, mem._activations.needed, mem._mover)

    assert sorted(own) == sorted([*JOBS, *WITH_ARGUMENTS])


@pytest.mark.parametrize("kind", sorted(JOBS))
def test_a_job_goes_through_the_door_as_the_systems_and_is_audited(witnessed: Witnessed, kind: str) -> None:
    place, store, spans = witnessed
    place.mem.enqueue(kind, user_id="ana")
    place.mem._api.buffer.flush()  # the reads of before, which a turn would write down first
    store.seen.clear()
    spans.clear()

    assert len(place.mem.tick().done) == 1

    assert spans.count("decide") == spans.count("audit") == store.units  # claim, effect, claim again
    (entry,) = place.mem.log(operation=JOBS[kind])
    assert (entry.caller.system, entry.namespace) == (True, "users/ana")
    assert {record.caller.system for record in place.mem.log(operation="claim")} == {True}


def test_every_record_of_the_import_is_decided_on_in_its_call(witnessed: Witnessed, tmp_path: Path) -> None:
    lines = list(witnessed.place.mem.export_lines())
    with MemOS(tmp_path / "other") as other:
        other.import_records(from_line(line) for line in lines)
        (entry,) = other.log(operation="import")

    assert entry.count == len(lines)


# Surfaces.


def _surfaces() -> list[Path]:
    return sorted(Path(pymemos.surfaces.__file__ or "").parent.rglob("*.py"))


@pytest.mark.parametrize("path", _surfaces(), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_surface_imports_nothing_behind_the_facade(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    imported = {name for node in ast.walk(tree) for name in _imported(node)}

    assert [name for name in imported if name.startswith(tuple(f"pymemos.{each}" for each in BEHIND_THE_FACADE))] == []


@pytest.mark.parametrize("path", _surfaces(), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_surface_reaches_into_nobodys_insides(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_private(node)]

    assert [f"{path.name}:{node.lineno} {node.attr}" for node in inside] == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _is_private(node: ast.Attribute) -> bool:
    own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    return node.attr.startswith("_") and not node.attr.startswith("__") and node.attr != "_asdict" and not own
