"""Hot swaps carried out: what lies in memory when the task of chats changes, and what is kept and told of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit import adapter_kit
from tests.unit.kv_kit import opened, told
from tests.unit.scheduling_kit import CALIBRATION

from pymemos import MemOS, Reply
from pymemos.errors import ModelError
from pymemos.interface.calibrating import calibration_file, keep
from pymemos.interface.tasks import SWAPS
from pymemos.operation.swapping import INSISTENT, SETTLED, Swapped
from pymemos.settings import Settings
from pymemos.testing.doubles import FrozenClock
from pymemos.testing.scripted import ScriptedChat
from pymemos.testing.toy_engine import ToyEngine

TEXTS = {"mail": "Letters are answered within a day. " * 20, "cooking": "Risotto is stirred until it is done. " * 20}
SYSTEMS = {"mail": "You file letters.", "cooking": "You cook with care."}
LATER = timedelta(days=SETTLED, minutes=1)
ROOM = 20_000  # bytes: one task's set, and not two


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {"home": tmp_path / "home", "config_dir": tmp_path / "config", "cache_dir": tmp_path / "cache"}
    return Settings(**folders, kv_device_bytes=ROOM, kv_host_bytes=0, kv_after_uses=0)


class Late(ToyEngine):
    """A toy before whose next answer something happens, once."""

    late: Any = None

    def run(self, *given: Any, **more: Any) -> Any:
        late, self.late = self.late, None
        if late is not None:
            late()
        return super().run(*given, **more)


def started(settings: Settings, clock: FrozenClock, **more: Any) -> Any:
    """A process with the toy engine, which was measured."""
    engine = Late(window=1 << 20, seed=1)
    known = msgspec.structs.replace(CALIBRATION, model=engine.identity)
    keep(known, calibration_file(settings.cache_dir, engine.identity))
    return opened(settings.home, engine, clock=clock, settings=msgspec.structs.replace(settings, **more))


@pytest.fixture
def mem(settings: Settings, clock: FrozenClock) -> Iterator[MemOS]:
    with started(settings, clock) as mem:
        yield mem


def prepared(mem: MemOS, user: str = "ana") -> dict[str, str]:
    """A memory of each task, whose segments are stored behind the system's text of that task."""
    ids = {task: told(mem, text, user_id=user)[0] for task, text in TEXTS.items()}
    for task, id in ids.items():
        mem.encode([id], system=SYSTEMS[task], user_id=user)
    return ids


def chat(mem: MemOS, task: str, user: str = "ana", **given: Any) -> Reply:
    """A chat under a task, whose prompt begins with what is stored for it."""
    asked = {"system": SYSTEMS[task], "schedule": "similarity", "max_tokens": 8, "remember": False, "limit": 1}
    return mem.chat("Well?", task=task, user_id=user, **asked, **given)


def tiers(reply: Reply) -> set[str]:
    return {one.tier.value for one in reply.plan.used}


def sources(mem: MemOS, user: str = "ana") -> set[str]:
    """The memories whose segments lie in memory."""
    return {pin.id for one in mem.placements(user_id=user) for pin in mem.get(one.id, user_id=user).parents}


def spare(mem: MemOS, user: str = "ana") -> set[str]:
    """Those whose segments would leave first."""
    held = [one for one in mem.placements(user_id=user) if one.spare]
    return {pin.id for one in held for pin in mem.get(one.id, user_id=user).parents}


def swapped(reply: Reply) -> Swapped:
    assert reply.plan.swap is not None
    return reply.plan.swap


def settled(mem: MemOS, clock: FrozenClock, *tasks: str, user: str = "ana") -> None:
    """Chats twice under each task, one task after the other, each long enough for the next swap to be made."""
    for task in tasks:
        chat(mem, task, user), chat(mem, task, user)
        clock.advance(LATER)


class TestChanging:
    def test_the_last_tasks_set_makes_room_and_the_new_ones_comes(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail")
        assert {ids["mail"]} == sources(mem)

        first = chat(mem, "cooking")

        assert {"kv-disk"} == tiers(first)
        assert {ids["cooking"]} == sources(mem)  # there was room for one of them
        assert {"kv-device"} == tiers(chat(mem, "cooking"))
        swap = swapped(first)
        assert set(swap.loaded) == {one.id for one in mem.placements(user_id="ana")}
        assert (2, 2) == (len(swap.loaded), len(swap.decision.drop))
        assert "the task changed from 'mail' to 'cooking': 2 segments" in first.plan.explain()

    def test_after_the_change_the_first_chat_is_served_from_warmed_segments(self, mem, clock):
        prepared(mem)
        settled(mem, clock, "mail", "cooking")

        swap = mem.switch_task("mail", user_id="ana")

        assert set(swap.decision.load) == set(swap.loaded)
        reply = chat(mem, "mail")
        assert {"kv-device"} == tiers(reply)
        assert reply.plan.swap is None

    def test_a_new_process_warms_them_from_the_disk(self, settings, clock):
        with started(settings, clock) as mem:
            prepared(mem)
            settled(mem, clock, "mail", "cooking")

        with started(settings, clock) as mem:
            assert {"kv-disk"} == tiers(chat(mem, "cooking"))
        with started(settings, clock) as mem:
            swap = mem.switch_task("cooking", user_id="ana")
            assert 2 == len(swap.loaded)
            assert {"kv-device"} == tiers(chat(mem, "cooking"))

    def test_where_there_is_room_for_both_nothing_is_read_again(self, settings, clock):
        with started(settings, clock, kv_device_bytes=10 * ROOM) as mem:
            ids = prepared(mem)
            settled(mem, clock, "mail", "cooking")

            back = chat(mem, "mail")

            assert set(ids.values()) == sources(mem)
            assert {ids["cooking"]} == spare(mem)
            assert {"kv-device"} == tiers(back)
            assert () == swapped(back).loaded

    def test_a_use_by_anybody_ends_that_it_is_spare(self, settings, clock):
        with started(settings, clock, kv_device_bytes=10 * ROOM) as mem:
            ids = prepared(mem)
            settled(mem, clock, "mail", "cooking")
            assert {ids["mail"]} == spare(mem)

            mem.inject([ids["mail"]], "Well?", system=SYSTEMS["mail"], user_id="ana").close()

            assert set() == spare(mem)

    def test_a_chat_without_a_task_changes_nothing(self, mem, clock):
        prepared(mem)
        settled(mem, clock, "mail")
        before = mem.placements()

        asked = {"system": SYSTEMS["cooking"], "schedule": "similarity", "max_tokens": 8, "user_id": "ana"}
        assert mem.chat("Well?", **asked).plan.swap is None

        assert set(before) <= set(mem.placements())
        assert mem.swaps(user_id="ana") == ()

    def test_a_stream_swaps_when_it_was_read_to_its_end(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail")

        with chat(mem, "cooking", stream=True) as stream:
            next(stream)
            assert {ids["mail"]} == sources(mem)
            list(stream)

        assert 2 == len(swapped(stream.reply).loaded)
        assert {ids["cooking"]} == sources(mem)

    def test_one_whose_reader_left_keeps_nothing(self, mem, clock):
        prepared(mem)
        settled(mem, clock, "mail")

        with chat(mem, "cooking", stream=True) as stream:
            next(stream)

        assert () == mem.swaps(user_id="ana")
        assert "from 'mail' to 'cooking'" in swapped(chat(mem, "cooking")).decision.reason


class TestLeavingAlone:
    def test_what_is_in_use_is_never_dropped(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail")

        with mem.inject([ids["mail"]], "Well?", system=SYSTEMS["mail"], user_id="ana") as held:
            reply = chat(mem, "cooking")
            assert {ids["mail"]} == sources(mem)
            assert all(one.locks for one in mem.placements())
            assert {"kv-disk"} == tiers(reply)
            assert () == swapped(reply).loaded
            assert any("in use or frozen" in one.why for one in swapped(reply).left)
            assert held.prefix

    def test_a_frozen_segment_stays(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail")
        for one in mem.placements():
            mem.freeze(one.id, user_id="ana")

        chat(mem, "cooking")

        assert {ids["mail"]} == sources(mem)

    def test_two_owners_do_not_move_each_others_sets(self, settings, clock):
        with started(settings, clock, kv_device_bytes=2 * ROOM) as mem:
            ids = {user: prepared(mem, user) for user in ("ana", "bo")}
            settled(mem, clock, "mail", user="ana")
            settled(mem, clock, "mail", user="bo")

            chat(mem, "cooking", "ana"), chat(mem, "cooking", "ana")

            assert {ids["bo"]["mail"]} == sources(mem, "bo")
            assert set() == spare(mem, "bo")
            assert {ids["ana"]["cooking"]} == sources(mem, "ana")
            assert ((), 1) == (mem.swaps(user_id="bo"), len(mem.swaps(user_id="ana")))

    def test_who_reads_anothers_segments_does_not_move_them(self, settings, clock):
        with started(settings, clock, kv_device_bytes=10 * ROOM) as mem:
            ids = prepared(mem)
            settled(mem, clock, "mail")
            mem.share(to="users/bo", namespace="users/ana")
            bo = {"user": "bo", "namespaces": ["users/ana"]}
            assert {"kv-device"} == tiers(chat(mem, "mail", **bo))
            clock.advance(LATER)

            swap = swapped(chat(mem, "cooking", **bo))

            assert ((), ()) == (swap.decision.grounds.old, swap.decision.drop)
            assert ids["mail"] in sources(mem)
            assert set() == spare(mem)

    def test_a_set_comes_only_into_room_that_was_let_go(self, settings, clock):
        with started(settings, clock, kv_device_bytes=ROOM) as mem:
            prepared(mem, "ana")
            ids = prepared(mem, "bo")
            settled(mem, clock, "mail", "cooking", user="ana")
            settled(mem, clock, "mail", user="bo")

            swap = mem.switch_task("mail", user_id="ana")

            assert {ids["mail"]} == sources(mem, "bo")
            assert ids["mail"] not in sources(mem, "ana")
            assert ["there is no free room in memory"] == [one.why for one in swap.left]

    def test_another_session_at_the_old_task_keeps_its_set(self, settings, clock):
        with started(settings, clock, kv_device_bytes=10 * ROOM) as mem:
            prepared(mem)
            settled(mem, clock, "mail")
            chat(mem, "mail", session_id="other")

            reply = chat(mem, "cooking")

            assert () == swapped(reply).decision.drop
            assert set() == spare(mem)

    def test_flipping_back_and_forth_moves_nothing(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail", "cooking")
        chat(mem, "mail"), chat(mem, "mail")
        held = sources(mem)
        assert {ids["mail"]} == held
        swaps = len(mem.swaps(user_id="ana"))

        for _ in range(4):
            clock.advance(timedelta(seconds=30))
            assert swapped(chat(mem, "cooking")).decision.waits
            assert chat(mem, "mail").plan.swap is None

        assert held == sources(mem)
        assert swaps == len(mem.swaps(user_id="ana"))

    def test_who_stays_gets_the_set(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail", "cooking")
        chat(mem, "mail")

        waits = [swapped(chat(mem, "cooking")).decision.waits for _ in range(INSISTENT)]

        assert [True] * (INSISTENT - 1) + [False] == waits
        assert {ids["cooking"]} == sources(mem)


class TestKeeping:
    def test_decisions_are_kept_explained_and_made_again(self, mem, clock):
        prepared(mem)
        settled(mem, clock, *(["mail", "cooking"] * (SWAPS // 2 + 2)))

        found = mem.swaps(user_id="ana")

        assert SWAPS == len(found)
        assert all(one == one.again() for one in found)
        assert {("mail", "cooking"), ("cooking", "mail")} == {(one.grounds.before, one.grounds.after) for one in found}
        assert [one.grounds.at for one in found] == sorted(one.grounds.at for one in found)
        assert {"note_task"} <= {one.operation for one in mem.log(user_id="ana", limit=1_000)}

    @pytest.mark.parametrize("how", ["delete", "update", "erase"])
    def test_what_is_gone_does_not_come_back(self, mem, clock, how):
        ids = prepared(mem)
        settled(mem, clock, "mail", "cooking")
        more = {"content": "Letters are burned."} if how == "update" else {}
        getattr(mem, how)(ids["mail"], user_id="ana", **more)

        swap = mem.switch_task("mail", user_id="ana")

        assert ids["mail"] not in sources(mem)
        again = mem.switch_task("mail", user_id="ana")
        assert 1 == len(again.decision.grounds.new)  # the system's text, which is nobody's memory
        assert () == again.left
        assert (how == "erase") == (not swap.left)

    def test_erasing_everything_of_an_owner_takes_the_traces_of_its_tasks(self, settings, clock):
        with started(settings, clock) as mem:
            prepared(mem), prepared(mem, "bo")
            for user in ("ana", "bo"):
                settled(mem, clock, "mail", "cooking", user=user)
            [own], [others] = mem.swaps(user_id="ana"), mem.swaps(user_id="bo")

            receipt = mem.erase(user_id="ana", wait=True)

            assert "signed" == receipt.phase.value
            assert () == mem.swaps(user_id="ana")
            assert (others,) == mem.swaps(user_id="bo")
            assert mem.switch_task("mail", user_id="ana").decision.grounds.before is None
        files = [path for path in settings.home.rglob("*") if path.is_file()]
        named = own.grounds.old[0].blob.encode()
        assert [] == [path for path in files if named in path.read_bytes()]
        assert any(others.grounds.old[0].blob.encode() in path.read_bytes() for path in files)

    def test_what_is_erased_while_an_answer_is_made_is_not_kept_again(self, settings, clock):
        with started(settings, clock) as mem:
            prepared(mem)
            settled(mem, clock, "mail")
            blobs = [one.blob.encode() for one in mem.placements()]
            mem._seat.model.late = lambda: mem.erase(user_id="ana", wait=True)

            chat(mem, "cooking")

            assert () == mem.swaps(user_id="ana")
            assert () == mem.placements()
        files = [path for path in settings.home.rglob("*") if path.is_file()]
        assert [] == [path for path in files for blob in blobs if blob in path.read_bytes()]

    def test_erasing_a_session_takes_where_it_was(self, mem, clock):
        prepared(mem)
        chat(mem, "mail", session_id="one"), chat(mem, "mail", session_id="two")

        mem.erase(user_id="ana", session_id="one")

        begins = [mem.switch_task("cooking", user_id="ana", session_id=name) for name in ("one", "two")]
        assert [None, "mail"] == [one.decision.grounds.before for one in begins]

    def test_erasing_a_memory_takes_the_swaps_that_name_its_segment(self, mem, clock):
        ids = prepared(mem)
        settled(mem, clock, "mail", "cooking")
        assert 1 == len(mem.swaps(user_id="ana"))

        receipt = mem.erase(ids["mail"], user_id="ana", wait=True)

        assert "signed" == receipt.phase.value
        assert () == mem.swaps(user_id="ana")

    def test_where_a_rule_closes_the_place_nothing_is_kept_and_that_is_said(self, mem, clock):
        prepared(mem)
        settled(mem, clock, "mail")
        rule = {"effect": "deny", "actions": ["write"], "when": {"task": "cooking"}}
        mem.set_access_policy("cooking is read only", rule, namespace="users/ana")

        reply = chat(mem.bind(user_id="ana"), "cooking")

        assert "nothing is kept of the task" in swapped(reply).remark
        assert () == mem.swaps(user_id="ana")


class TestAdapters:
    def test_they_are_detached_and_come_back_with_their_task(self, settings, clock):
        with adapter_kit.opened(settings.home, clock=clock, settings=settings) as mem:
            ids = adapter_kit.told(mem)
            adapter = adapter_kit.distilled(mem, *ids)
            blob = mem.get(adapter, user_id="ana").payload.blob
            asked = {"use_adapters": True, "max_tokens": 8, "remember": False, "user_id": "ana"}
            capital = mem.chat("What is the capital of Zorvania?", task="travel", **asked)
            assert "adapter" in tiers(capital)
            assert mem._attacher.holds(blob)

            clock.advance(LATER)
            other = mem.chat("What do letters need?", task="mail", **asked)

            assert (adapter,) == swapped(other).decision.drop
            assert not mem._attacher.holds(blob)
            back = mem.switch_task("travel", user_id="ana")
            assert (adapter,) == back.loaded
            assert mem._attacher.holds(blob)
            assert "1 adapter" in back.decision.reason

    def test_a_question_about_others_loads_no_adapter(self, settings, clock):
        with adapter_kit.opened(settings.home, clock=clock, settings=settings) as mem:
            adapter = adapter_kit.distilled(mem, *adapter_kit.told(mem))
            blob = mem.get(adapter, user_id="ana").payload.blob
            mem._attacher.detach([blob])

            mem.chat("What do letters need?", use_adapters=True, max_tokens=8, user_id="ana")

            assert not mem._attacher.holds(blob)


class TestOtherModels:
    def test_a_model_elsewhere_has_nothing_to_swap(self, tmp_path):
        with MemOS(tmp_path, embedder="none", chat=ScriptedChat(["Yes.", "No."])) as mem:
            told(mem, *TEXTS.values(), user_id="ana")

            assert mem.chat("Letters?", task="mail", user_id="ana").plan.swap is None
            assert mem.chat("Risotto?", task="cooking", user_id="ana").plan.swap is None
            assert () == mem.swaps(user_id="ana")
            with pytest.raises(ModelError):
                mem.switch_task("mail", user_id="ana")

    def test_without_room_in_memory_everything_is_read_from_files(self, settings, clock):
        with started(settings, clock, kv_device_bytes=0, kv_host_bytes=0) as mem:
            prepared(mem)
            settled(mem, clock, "mail", "cooking")

            swap = mem.switch_task("mail", user_id="ana")

            assert () == swap.loaded
            assert {"there is no budget for segments in memory"} == {one.why for one in swap.left}
            assert {"kv-disk"} == tiers(chat(mem, "mail"))
