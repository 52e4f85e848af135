"""The command chat through the real command line: an endpoint on this machine answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from tests.contracts.chat_server import ChatServer, chat_server

from pymemos import MemOS
from pymemos.settings import Settings, read_config
from pymemos.surfaces.cli import main

ANSWER = "You live in Lisbon."


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(lambda _: ANSWER) as server:
        yield server


@pytest.fixture
def cli(tmp_path, server):
    """Runs ``pymemos`` on a store of its own with the server as its chat model; gives the result of click's runner."""

    def run(*arguments, typed="", **environ):
        own = {
            "PYMEMOS_CONFIG_DIR": str(tmp_path / "config"),
            "PYMEMOS_HOME": str(tmp_path / "home"),
            "PYMEMOS_EMBEDDER": "none",
            "PYMEMOS_CHAT": f"{server.url}#m",
            "PYMEMOS_CHAT_KEY": "secret",
        }
        return CliRunner().invoke(main, [str(one) for one in arguments], input=typed, env={**own, **environ})

    return run


def prompt(server: ChatServer, call: int = -1) -> str:
    return "\n".join(one["content"] for one in server.requests[call]["messages"])


class TestOnce:
    def test_the_answer_is_all_that_stands_on_stdout(self, cli, server):
        asked = cli("chat", "--once", "Where do I live?")

        assert (asked.exit_code, asked.stdout) == (0, f"{ANSWER}\n")
        assert server.keys == ["Bearer secret"]

    def test_a_program_gets_the_plan(self, cli):
        cli("add", "I live in Lisbon.", "--user", "ana")

        answer = json.loads(cli("chat", "--once", "Lisbon?", "--user", "ana", "--json").stdout)

        assert (answer["text"], answer["finish"], len(answer["kept"])) == (ANSWER, "stop", 2)
        [used] = answer["plan"]["used"]
        assert (used["tier"], answer["plan"]["tiers"]) == ("text", {"text": 1})
        assert answer["usage"]["prompt"] > 0

    def test_it_is_read_from_a_pipe(self, cli, server):
        cli("chat", "--once", "-", typed="Where do I live?\n")

        assert prompt(server).endswith("Where do I live?")

    def test_the_conversation_goes_on_in_the_next_run(self, cli, server):
        cli("chat", "--once", "My cat is called Mia.", "--user", "ana")
        cli("chat", "--once", "And how is she?", "--user", "ana")

        assert [one["role"] for one in server.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]

    def test_memories_of_one_session_are_found_in_another(self, cli, server):
        cli("chat", "--once", "My cat is called Mia.", "--user", "ana", "--session", "one")
        cli("chat", "--once", "What is my cat called?", "--user", "ana", "--session", "two")

        assert "user: My cat is called Mia." in prompt(server)

    def test_nothing_is_kept_where_that_is_asked(self, cli):
        cli("chat", "--once", "My cat is called Mia.", "--forgetful")

        assert cli("list").stdout == ""

    def test_options_reach_the_model(self, cli, server):
        cli("chat", "--once", "Hi.", "--system", "Be brief.", "--max-tokens", 5, "--temperature", 0.3)

        [body] = server.requests
        assert (body["max_tokens"], body["temperature"]) == (5, 0.3)
        assert prompt(server).startswith("Be brief.")

    def test_a_model_that_fails_is_told_and_nothing_kept(self, cli, server):
        server.refusals = [(401, "no such key", {})]

        asked = cli("chat", "--once", "My cat is called Mia.")

        assert asked.exit_code == 1
        assert "status 401: no such key" in asked.stderr
        assert cli("list").stdout == ""

    def test_without_a_model_it_is_said_what_to_run(self, cli):
        asked = cli("chat", "--once", "Hi.", PYMEMOS_CHAT=None)

        assert asked.exit_code == 1
        assert "pymemos models use --chat" in asked.stderr


class TestConversation:
    def test_lines_are_questions_until_the_end(self, cli, server):
        talked = cli("chat", typed="Hello!\n\nWhere do I live?\n")

        assert (talked.exit_code, talked.stdout) == (0, f"{ANSWER}\n{ANSWER}\n")
        assert len(server.requests) == 2

    def test_why_lists_the_memories_of_the_last_answer(self, cli):
        id = cli("add", "I live in Lisbon.").stdout.strip()

        talked = cli("chat", typed="Lisbon?\n/why\n/quit\nnever asked\n")

        place, shown, tier, why, text = talked.stdout.splitlines()[1].split("\t")
        assert (place, shown, tier, text) == ("1", id, "text", "I live in Lisbon.")
        assert "lisbon" in why
        assert len(talked.stdout.splitlines()) == 2

    def test_plan_says_what_it_cost(self, cli):
        talked = cli("chat", typed="Lisbon?\n/plan\n")

        assert "tokens read" in talked.stdout
        assert "first word after" in talked.stdout

    def test_what_is_forgotten_is_gone_from_the_conversation_too(self, cli, server):
        cli("add", "I live in Lisbon.")

        talked = cli("chat", typed="Where do I live, Lisbon?\n/why\n/forget 1\nWhere do I live?\n")

        assert "Forgotten, with the answers made from it" in talked.stdout
        assert "I live in Lisbon." not in prompt(server)
        assert ANSWER not in prompt(server)

    def test_the_next_question_is_of_the_task_that_is_named(self, cli, tmp_path):
        own = Settings(home=tmp_path / "home", config_dir=tmp_path / "config")
        with MemOS(settings=own, embedder="none") as mem:
            mem.set_schedule_policy("recency", task="cooking", user_id="ana")

        typed = "/task\nHi.\n/plan\n/task cooking\nHi.\n/plan\n"
        told = cli("chat", "--task", "mail", "--user", "ana", typed=typed).stdout

        before, after = told.split("The task is cooking.")
        assert "The task is mail." in before
        assert ("planned by recency" in before, "planned by recency" in after) == (False, True)

    def test_a_plan_keeps_to_budgets_that_are_written_as_json(self, cli):
        cli("add", "I live in Lisbon.")
        cli("add", "Lisbon is hot.")

        policy = json.dumps({"budgets": {"memories": 1}})
        answer = json.loads(cli("chat", "--once", "Lisbon?", "--schedule", policy, "--json").stdout)

        assert 1 == len(answer["plan"]["used"])
        assert ["the budget of memories is 1"] == [one["why"] for one in answer["plan"]["left_out"]]
        assert "no strategy; use one of similarity" in cli("chat", "--once", "Lisbon?", "--schedule", "fastest").stderr

    def test_memories_are_searched_and_listed(self, cli):
        cli("add", "I live in Lisbon.")
        cli("add", "I like tea.")

        talked = cli("chat", typed="/memories tea\n/memories\n")

        assert [line.split("\t")[-1] for line in talked.stdout.splitlines()] == [
            "I like tea.",
            "I live in Lisbon.",
            "I like tea.",
        ]

    def test_an_error_ends_the_turn_and_not_the_conversation(self, cli, server):
        server.refusals = [(401, "no such key", {})]

        talked = cli("chat", typed="Hello!\nHello again!\n")

        assert (talked.exit_code, talked.stdout) == (0, f"{ANSWER}\n")
        assert "no such key" in talked.stderr

    @pytest.mark.parametrize("which", ["9" * 5_000, "0", "7", "²"], ids=range(4))
    def test_what_is_no_number_of_the_list_is_looked_up_as_an_id(self, cli, which):
        talked = cli("chat", typed=f"/forget {which}\nHello!\n")

        assert (talked.exit_code, talked.stdout) == (0, f"{ANSWER}\n")
        assert "error:" in talked.stderr

    @pytest.mark.parametrize("line", ["/why", "/plan", "/forget", "/nothing"])
    def test_a_command_that_has_nothing_to_say_says_that(self, cli, line):
        talked = cli("chat", typed=f"{line}\n")

        assert (talked.exit_code, talked.stdout) == (0, "")
        assert talked.stderr

    def test_every_command_is_in_the_help(self, cli):
        helped = cli("chat", typed="/help\n").stdout

        assert [name in helped for name in ("/why", "/plan", "/memories", "/task", "/forget", "/help", "/quit")] == [
            True
        ] * 7


@pytest.mark.slow
class TestInterrupted:
    @pytest.fixture
    def chat(self, server, tmp_path):
        """Begins a chat in a process of its own, whose answers wait until they are let go."""
        server.hush = threading.Event()
        own = {
            "PYMEMOS_CONFIG_DIR": str(tmp_path / "config"),
            "PYMEMOS_HOME": str(tmp_path / "home"),
            "PYMEMOS_EMBEDDER": "none",
            "PYMEMOS_CHAT": f"{server.url}#m",
        }

        def begin(*arguments, typed=""):
            talk = subprocess.Popen(
                [sys.executable, "-m", "pymemos", "chat", *arguments],
                env={**os.environ, **own},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            talk.stdin.write(typed)
            talk.stdin.flush()
            while not server.requests:
                time.sleep(0.01)
            talk.send_signal(signal.SIGINT)
            time.sleep(0.2)
            server.hush.set()
            return talk

        return begin

    @pytest.mark.parametrize("form", [[], ["--json"]], ids=["streamed", "json"])
    def test_an_answer_is_stopped_and_the_conversation_goes_on(self, chat, form):
        talk = chat(*form, typed="Tell me everything.\n")

        said, told = talk.communicate("/memories\nAnd now?\n", timeout=20)

        assert talk.returncode == 0
        assert ANSWER in said.splitlines()[-1]
        assert "Stopped; nothing was kept of it." in told
        assert "everything" not in said

    @pytest.mark.parametrize("form", [[], ["--json"]], ids=["streamed", "json"])
    def test_one_question_that_is_stopped_ends_as_interrupted(self, chat, form):
        talk = chat(*form, "--once", "Tell me everything.")
        talk.communicate(timeout=20)

        assert talk.returncode == 130


class TestModels:
    def test_a_chat_model_is_used_from_now_on(self, cli, server, tmp_path):
        used = cli("models", "use", "--chat", f"{server.url}#m", PYMEMOS_CHAT=None)

        assert used.exit_code == 0, used.stderr
        assert read_config(tmp_path / "config") == {"chat": f"{server.url}#m"}
        assert cli("chat", "--once", "Hi.", PYMEMOS_CHAT=None).stdout == f"{ANSWER}\n"
        assert f"{server.url}#m\tchat\tused" in cli("models", "list", PYMEMOS_CHAT=None).stdout

    def test_one_that_does_not_answer_is_not_kept(self, cli, tmp_path):
        used = cli("models", "use", "--chat", "http://127.0.0.1:9/v1#m")

        assert used.exit_code == 1
        assert read_config(tmp_path / "config") == {}

    def test_none_is_a_choice(self, cli, tmp_path):
        assert cli("models", "use", "--chat", "none").exit_code == 0
        assert read_config(tmp_path / "config") == {"chat": "none"}


def test_a_strategy_that_there_is_not_is_told_which_there_are(cli):
    result = cli("chat", "--once", "Hello?", "--schedule", "bogus")

    assert result.exit_code == 2
    assert "'bogus' is no strategy; use one of similarity, recency" in " ".join(result.stderr.split())
