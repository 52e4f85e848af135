"""The demonstration: its story holds together, its questions are answered, and what it shows can be repeated."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from pymemos import MemOS
from pymemos.settings import from_environment
from pymemos.surfaces.cli import main
from pymemos.surfaces.cli.demo import _opened
from pymemos.surfaces.cli.demo_stage import Stage
from pymemos.surfaces.cli.demo_story import StoryClock, load
from pymemos.surfaces.cli.demo_tour import FIRST, USER, Place, Tour, quoted

STORY = load()
SAID = {turn.id: (turn, at) for session in STORY.sessions for turn, at in session.dated()}
LEXICAL = {"PYMEMOS_EMBEDDER": "none"}
PROGRAM = [sys.executable, "-m", "pymemos"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Everything that the demonstration shows, as JSON; its store stays for other questions."""
    home = tmp_path_factory.mktemp("demo") / "store"
    result = CliRunner(env=LEXICAL).invoke(main, ["demo", "--json", "--home", str(home)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the demonstration prints in a pipe, on 80 columns."""
    home = tmp_path_factory.mktemp("demo") / "store"
    result = CliRunner(env={**LEXICAL, "COLUMNS": "80"}).invoke(main, ["demo", "--home", str(home)])
    assert result.exit_code == 0, result.output
    return result.stdout


class TestStory:
    def test_is_a_conversation_of_a_dozen_sessions_over_seven_months(self):
        first, last = (STORY.sessions[place].timestamp for place in (0, -1))

        assert (12, True) == (len(STORY.sessions), 140 <= len(SAID) <= 170)
        assert 200 <= (last - first).days <= 220

    def test_names_every_message_once_and_in_the_order_of_time(self):
        assert sum(len(session.turns) for session in STORY.sessions) == len(SAID)
        assert all(earlier < later for (_, earlier), (_, later) in pairwise(SAID.values()))

    def test_is_told_by_two_people(self):
        assert set(STORY.people) == {turn.name for turn, _ in SAID.values()}

    def test_asks_for_what_was_said(self):
        assert [] == [id for question in STORY.questions for id in question.evidence if id not in SAID]

    def test_asks_a_dozen_questions_of_many_kinds(self):
        kinds = {question.kind for question in STORY.questions}

        assert 12 == len(STORY.questions)
        assert {"fact", "preference", "when", "two steps", "changed", "disputed", "unknown"} == kinds

    def test_changes_after_the_last_session_what_was_said_in_one(self):
        end = STORY.sessions[-1].ends

        assert all(change.turn in SAID and change.at > end for change in STORY.changes)

    def test_holds_no_text_twice(self):
        assert len({turn.text for turn, _ in SAID.values()}) == len(SAID)


class TestAnswers:
    @pytest.mark.parametrize("question", STORY.questions, ids=lambda question: question.ask)
    def test_the_evidence_is_among_the_first_hits(self, told, question):
        [answer] = [answer for answer in told["answers"] if answer["question"] == question.ask]

        assert [] == [id for id, rank in answer["evidence"].items() if rank is None or rank > FIRST]

    def test_most_evidence_is_near_the_top(self, told):
        ranks = [rank for answer in told["answers"] for rank in answer["evidence"].values()]

        assert sum(rank <= 3 for rank in ranks) > len(ranks) / 2

    def test_every_hit_says_why(self, told):
        assert all(hit["why"] for answer in told["answers"] for hit in answer["hits"])


class TestChanges:
    def test_the_newest_version_answers_and_the_older_one_can_be_asked_for(self, told):
        plan = told["changes"][0]

        then, now = plan["seen"]

        assert ("twentieth" in then["content"], "twenty-seventh" in now["content"]) == (True, True)
        assert [1, 2] == [version["revision"] for version in plan["versions"]]
        assert ("-My first show", "+My first show") == tuple(line[:14] for line in plan["diff"].splitlines()[3:])

    def test_what_was_true_and_what_was_known_are_two_questions(self, told):
        true, known, now = (seen["content"] for seen in told["changes"][1]["seen"])

        assert true == now
        assert ("mites" in true, "mites" in known, "chicken" in known) == (True, False, True)

    def test_a_correction_of_what_never_was_true_leaves_no_moment_to_the_first_version(self, told):
        first, second = told["changes"][1]["versions"]

        assert first["valid_from"] == first["valid_to"] == second["valid_from"]
        assert first["known_to"] == second["known_from"]

    def test_every_session_was_known_on_its_own_evening(self, told):
        with MemOS(told["home"]) as mem:
            for session in STORY.sessions:
                [record] = mem.history(_id_of(mem, session.turns[0].text), user_id=USER)
                assert abs(record.known_from - session.ends) < timedelta(minutes=1)


class TestProof:
    def test_the_code_that_is_shown_is_five_lines_and_works_again(self, told):
        code = told["python"]["code"]

        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert 5 == len(code.splitlines())
        assert "Wren flies to Gdynia on 25 September, seat 7A." in run.stdout
        assert run.stdout.splitlines()[0] == told["python"]["output"].splitlines()[0]

    def test_the_store_is_sound_and_can_be_carried_away(self, told):
        proof = told["proof"]

        assert (True, True) == (proof["sound"], proof["same"])
        assert proof["memories"] > told["messages"] == len(SAID)

    @pytest.mark.parametrize("name", ["remember", "ask", *(change.turn for change in STORY.changes), "python", "log"])
    def test_a_command_that_is_shown_works(self, told, name):
        run = subprocess.run(told["commands"][name], capture_output=True, text=True, check=True)

        assert run.stdout.strip()

    def test_the_doctor_finds_nothing(self, told):
        assert 0 == subprocess.run(told["commands"]["doctor"], stdout=subprocess.DEVNULL, check=False).returncode

    def test_times_are_measured(self, told):
        assert {"add", "search", "update", "history", "diff", "export", "import", "doctor"} <= set(told["milliseconds"])
        assert min(told["milliseconds"].values()) > 0 < told["bytes"]


class TestPage:
    def test_shows_questions_evidence_and_where_the_store_lies(self, printed):
        flat = " ".join(re.sub("[│ ]+", " ", printed).split())

        assert [] == [question.ask for question in STORY.questions if question.ask not in flat]
        assert "Her name is Semaphore, because of the ears." in flat
        assert "No hit has the word shoe." in flat
        assert "rm -r" in printed

    def test_says_once_that_it_runs_on_words_alone_and_how_to_add_a_model(self, told, printed):
        assert not told["by_meaning"]
        assert 1 == printed.count("models prepare minilm")

    def test_stays_within_80_columns_except_for_names_of_folders(self, printed):
        wide = [line for line in map(str.rstrip, printed.splitlines()) if len(line) > 80 and "/store" not in line]

        assert [] == [line for line in wide if "pymemos" not in line]

    def test_has_no_colours_in_a_pipe(self, printed):
        assert "\x1b" not in printed

    def test_commands_go_on_behind_a_backslash_that_ends_its_line(self, printed):
        assert [] == [line for line in printed.splitlines() if line.rstrip().endswith("\\") and line.endswith(" ")]

    def test_has_no_colours_on_a_terminal_that_wants_none(self, tmp_path):
        shown = _on_a_terminal(["demo", "--fast", "--home", str(tmp_path / "store")], {"NO_COLOR": "1"})

        assert "\x1b[1m" in shown
        assert [] == re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", shown)

    def test_needs_no_unicode(self, tmp_path):
        command = [*PROGRAM, "demo", "--home", str(tmp_path / "store")]

        run = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)

        assert (0, b"") == (run.returncode, run.stderr)
        assert run.stdout.isascii()

    @pytest.mark.parametrize(
        "word", ["What is Wren's shoe size?", 'say "hi"', "it's $HOME", "plain", "two words", "a!b'"]
    )
    def test_a_shell_reads_a_quoted_word_as_it_was(self, word):
        run = subprocess.run(["sh", "-c", f"printf %s {quoted(word)}"], capture_output=True, text=True, check=True)

        assert word == run.stdout

    def test_a_shell_reads_a_long_command_as_it_was(self, capsys):
        words = ["printf", r"%s\n", *(f"--option-{place}" for place in range(12)), "Where's the dog?"]
        Stage(STORY.people, fast=True).commands(words)

        run = subprocess.run(["sh", "-c", capsys.readouterr().out], capture_output=True, text=True, check=True)

        assert words[2:] == run.stdout.splitlines()


class TestPlace:
    def test_a_folder_that_holds_something_is_refused(self, tmp_path):
        (tmp_path / "mine").touch()

        result = CliRunner().invoke(main, ["demo", "--home", str(tmp_path)])

        assert (2, True) == (result.exit_code, "not empty" in result.stderr)

    def test_who_breaks_it_off_leaves_nothing_behind(self, tmp_path):
        before, place = _keys_and_heads(), Place(tmp_path / "store", temporary=True)
        made: list[str] = []

        with pytest.raises(KeyboardInterrupt):
            _break_off(place, made)

        assert any(file.endswith(".key") for file in made)
        assert (False, before) == (place.home.exists(), _keys_and_heads())

    def test_the_last_command_leaves_nothing_behind(self, tmp_path):
        before, place = _keys_and_heads(), Place(tmp_path / "store", temporary=True)
        with _opened(place) as tour:
            next(tour.remember())
            assert tour.prove().same

        subprocess.run(place.removal(), check=True)

        assert (False, before) == (place.home.exists(), _keys_and_heads())

    def test_the_clock_stands_where_the_story_stands(self):
        clock, then = StoryClock(), STORY.sessions[0].ends
        clock.turn_to(then)

        assert timedelta() <= clock() - then < timedelta(seconds=10)

    def test_a_released_clock_tells_the_real_time(self):
        clock = StoryClock()
        clock.turn_to(STORY.sessions[0].ends)
        clock.release()

        assert abs(clock() - datetime.now(clock().tzinfo)) < timedelta(seconds=10)


def test_plays_without_the_command_line(tmp_path):
    clock = StoryClock()
    with MemOS(tmp_path / "store", clock=clock) as mem:
        tour = Tour(mem, Place(tmp_path / "store", temporary=False), STORY, clock)

        assert len(SAID) == sum(one.messages for one in tour.remember())


def _break_off(place: Place, made: list[str]) -> None:
    with _opened(place) as tour:
        next(tour.remember())
        made += place.removal()
        raise KeyboardInterrupt


def _keys_and_heads() -> list[Path]:
    folder = from_environment(os.environ, Path.home()).config_dir
    return sorted([*folder.glob("*.key"), *folder.glob("*.head")])


def _id_of(mem: MemOS, text: str) -> str:
    return next(cube.id for cube in mem.list(user_id=USER, limit=1000) if cube.text == text)


def _on_a_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """What a command prints when a person reads along."""
    reader, writer = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    with subprocess.Popen([*PROGRAM, *arguments], stdout=writer, stderr=writer, env=env) as process:
        os.close(writer)
        pieces = []
        while piece := _read(reader):
            pieces.append(piece)
    os.close(reader)
    assert process.returncode == 0
    return b"".join(pieces).decode()


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 65536)
    except OSError:  # how a terminal says that nobody writes to it any more
        return b""
