"""The benchmark of the core: import, installation, adding, searching, the door and opening."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks._bare import Bare
from benchmarks._texts import Texts, conversation, zipf_sizes
from benchmarks.report import ROOT, Row, Skip
from pymemos import MemCube, MemOS
from pymemos.cube.wire import document

USERS, MEMORIES = 1_000, 100_000
BATCH = 1_000
HEAVY = frozenset({"torch", "transformers", "fastapi"})
Question = tuple[str, str, list[str]]  # a user, the question in words, the words that count


class Workshop:
    """What measures share: a folder on the disk of the checkout, and a large store that is built when it is needed.

    Not the system's folder for temporary files, which may be memory, where a write costs nothing.
    """

    def __init__(self) -> None:
        (ROOT / ".cache").mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".cache"))
        os.environ["PYMEMOS_CONFIG_DIR"] = str(self.folder / "config")
        os.environ["PYMEMOS_EMBEDDER"] = "none"  # the core is measured by words alone
        self.spans: list[float] = []
        self._opened: list[MemOS | Bare] = []

    def path(self, name: str) -> Path:
        """A place in the folder."""
        return self.folder / name

    def environment(self) -> dict[str, str]:
        """For processes of ours: they find this checkout, installed or not, and may keep bytecode.

        An installed package has its bytecode. Where the environment forbids writing any, a process would compile all
        that it imports, and the compiler would be timed; so there is a cache in the folder, which a first run fills.
        """
        ours = {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
        }
        return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | ours

    def open(self, name: str) -> MemOS:
        """A store whose spans are noted."""
        return self.keep(MemOS(self.path(name), on_span=lambda _, seconds: self.spans.append(seconds)))

    def keep(self, mem: MemOS) -> MemOS:
        """Close it with the workshop."""
        self._opened.append(mem)
        return mem

    def bare(self, name: str) -> Bare:
        """A bare database."""
        self._opened.append(bare := Bare(self.path(name)))
        return bare

    @cached_property
    def large(self) -> tuple[MemOS, Bare, list[Question]]:
        """A store and a bare database with the same memories, and questions of users drawn by what they hold."""
        texts, sizes = Texts(), zipf_sizes(USERS, MEMORIES)
        held = [texts.messages(size) for size in sizes]
        mem, bare = self.open("large"), self.bare("bare.db")
        for number, messages in enumerate(held):
            for start in range(0, len(messages), BATCH):
                batch = messages[start : start + BATCH]
                mem.add(conversation(batch), user_id=f"user{number}")
                bare.add(f"user{number}", batch)
        totals, questions = list(accumulate(sizes)), []
        for _ in range(300):
            user = texts.draw(totals)
            questions.append((f"user{user}", *texts.question(texts.pick(held[user]))))
        return mem, bare, questions

    def close(self) -> None:
        """Close what is open and remove the folder."""
        for one in self._opened:
            one.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# Import and installation.


def import_cpu(shop: Workshop) -> Iterable[Row]:
    """What importing costs, in seconds of processor time."""
    yield _cpu_row(shop, "import_cpu_s", ["-c", "from pymemos import MemOS"], 0.2)


def help_cpu(shop: Workshop) -> Iterable[Row]:
    """What the command line costs before it does anything."""
    yield _cpu_row(shop, "help_cpu_s", ["-m", "pymemos", "--help"], 0.3)


def _cpu_row(shop: Workshop, metric: str, arguments: list[str], reach: float) -> Row:
    environment = shop.environment()
    heavy = _heavy_modules(arguments, environment)  # and warms the caches of files and bytecode
    bare, ours = [], []
    for _ in range(7):
        bare.append(_cpu_seconds(["-c", "pass"], environment))
        ours.append(_cpu_seconds(arguments, environment))
    row = Row.at_most(metric, max(0.0, median(ours) - median(bare)), "s", reach)
    return Row(metric, row.value, f"s, loads {', '.join(sorted(heavy))}", reach, met=False) if heavy else row


def _cpu_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _heavy_modules(arguments: list[str], environment: dict[str, str]) -> frozenset[str]:
    command = [sys.executable, "-X", "importtime", *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Skip(f"python {' '.join(arguments)} fails: {_last_line(run.stderr)}")
    return HEAVY & set(re.findall(r"\|\s*(\w+)\s*$", run.stderr, re.MULTILINE))


def installation(shop: Workshop) -> Iterable[Row]:
    """What an empty environment holds once pymemos is installed, pip and setuptools apart."""
    python = _installed(shop.path("venv"))
    code = (
        "import importlib.metadata as m, json, sysconfig;"
        "print(json.dumps([[d.name for d in m.distributions()], sysconfig.get_path('purelib')]))"
    )
    run = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    names, site = json.loads(run.stdout)
    tools = re.compile(r"(pip|setuptools|wheel)\b|_distutils_hack|pkg_resources|distutils-precedence")
    files = [path for path in Path(site).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files if not tools.match(path.relative_to(site).parts[0]))
    yield Row.at_most("base_distributions", len([name for name in names if not tools.fullmatch(name)]), "", 12)
    yield Row.at_most("base_mb", size / 1e6, "MB", 110)


def _installed(folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", str(ROOT)]
    try:
        run = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired as error:
        raise Skip("pip did not finish in five minutes") from error
    if run.returncode != 0:
        raise Skip(f"pip cannot install here: {_last_line(run.stderr)}")
    return python


# Adding.


def adding(shop: Workshop) -> Iterable[Row]:
    """Durable adds of one message, in turns with the least that durability costs on this disk.

    Beside it what a durable insert of the text alone takes in a bare database, which the disk moves too.
    """
    mem, bare, texts = shop.open("adding"), shop.bare("bare-adding.db"), Texts().messages(500)
    adds: list[float] = []
    syncs: list[float] = []
    inserts: list[float] = []
    with open(shop.path("synced"), "wb", buffering=0) as file:
        for number, text in enumerate(texts):
            with _timed(syncs):
                file.write(b"x" * 4096)
                os.fsync(file.fileno())
            with _timed(adds):
                mem.add([{"role": "user", "content": text}], user_id=f"user{number % 20}")
            with _timed(inserts):
                bare.add(f"user{number % 20}", [text])
    add, sync = median(adds[100:]), median(syncs[100:])
    yield Row.at_most("add_p50_vs_fsync", add / sync, "× fsync", 2)
    yield Row.plain("add_p50_ms", add * 1e3, "ms")
    yield Row.plain("fsync_p50_ms", sync * 1e3, "ms")
    yield Row.plain("add_p50_vs_bare", add / median(inserts[100:]), "× a bare insert of the text")


def four_processes(shop: Workshop) -> Iterable[Row]:
    """Four writing processes, between two runs of one."""
    before, _ = _writers(shop, "one", 1)
    four, longest = _writers(shop, "four", 4)
    after, _ = _writers(shop, "another", 1)
    one = (before + after) / 2
    yield Row.at_least("adds_4proc_s", four / one, "× one process", 0.8)
    yield Row.at_most("adds_4proc_max_wait_s", longest, "s", 0.5)
    yield Row.plain("adds_4proc_rate", four, "adds/s")
    yield Row.plain("adds_1proc_rate", one, "adds/s")


def _writers(shop: Workshop, home: str, count: int, adds: int = 1_000) -> tuple[float, float]:
    """Adds a second of all of them together, and the longest add."""
    command = [sys.executable, "-m", "benchmarks._adding", str(shop.path(home))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT, "env": shop.environment()}
    running = [subprocess.Popen([*command, f"user{n}", str(adds)], **pipes) for n in range(count)]  # type: ignore[call-overload]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [json.loads(process.communicate()[0]) for process in running]
    took = max(end["end"] for end in ends) - min(end["start"] for end in ends)
    return count * adds / took, max(end["longest"] for end in ends)


def bulk(shop: Workshop) -> Iterable[Row]:
    """A hundred lists of a thousand messages, one transaction each, in turns with a bare database with the same rows.

    A row of ours is the document with its hashes and ids, and an index entry with the turn before and the day; what a
    bare table of texts alone would take is reported beside it, and the ratio while both are small.
    """
    mem, bare, texts = shop.open("bulk"), shop.bare("bulk.db"), Texts()
    ours: list[float] = []
    theirs: list[float] = []
    texts_alone: list[float] = []
    for number in range(MEMORIES // BATCH):
        batch = texts.messages(BATCH)
        messages = conversation(batch)
        with _timed(texts_alone):
            bare.add(f"user{number}", batch)
        with _timed(ours):
            added = mem.add(messages, user_id=f"user{number}")
        rows = [(_bare_row(cube), cube.text) for cube in added.cubes]
        with _timed(theirs):
            bare.add_rows(rows)
    yield Row.at_least("bulk_vs_bare", median(theirs[1:]) / median(ours[1:]), "× bare", 0.4)
    yield Row.plain("bulk_vs_bare_first_15k", median(theirs[1:15]) / median(ours[1:15]), "× bare")
    yield Row.plain("bulk_vs_bare_texts", median(texts_alone[1:]) / median(ours[1:]), "× bare")
    yield Row.plain("bulk_rate", BATCH / median(ours[1:]), "memories/s")


def _bare_row(cube: MemCube) -> tuple[object, ...]:
    hashes = (cube.version, cube.content_hash)
    kind = cube.header.descriptive.semantic_type.value
    return (cube.id, cube.namespace, cube.salt, cube.revision, *hashes, kind, document(cube).decode())


# Searching.


def searching(shop: Workshop) -> Iterable[Row]:
    """Questions of users drawn by what they hold, in turns with the bare database."""
    mem, bare, questions = shop.large
    ours: list[float] = []
    theirs: list[float] = []
    for user in dict.fromkeys(user for user, _, _ in questions):  # each once: a user's columns are read at the first
        mem.search("anything", user_id=user)
    for user, question, words in questions:
        with _timed(theirs):
            found = bare.search(user, words)
        with _timed(ours):
            hits = mem.search(question, user_id=user)
        assert len(hits) >= len(found) > 0
    yield Row.at_most("search_lexical_p50_ms", median(ours[50:]) * 1e3, "ms", 2)
    yield Row.at_most("search_vs_bare", median(ours[50:]) / median(theirs[50:]), "× bare", 4)
    yield Row.plain("search_bare_p50_ms", median(theirs[50:]) * 1e3, "ms")


def door(shop: Workshop) -> Iterable[Row]:
    """Which share of a call deciding and auditing take."""
    mem, _, questions = shop.large
    search = [_door_share(shop, partial(mem.search, question, user_id=user)) for user, question, _ in questions]
    small, texts = shop.open("door"), Texts().messages(300)
    add = [
        _door_share(shop, partial(small.add, [{"role": "user", "content": text}], user_id=f"user{number % 20}"))
        for number, text in enumerate(texts)
    ]
    shares = median(search[50:]), median(add[50:])
    yield Row.at_most("door_overhead", max(shares), "of a call", 0.15)
    yield Row.plain("door_overhead_search", shares[0], "of a search")
    yield Row.plain("door_overhead_add", shares[1], "of an add")


def _door_share(shop: Workshop, call: Callable[[], object]) -> float:
    took: list[float] = []
    shop.spans.clear()
    with _timed(took):
        call()
    return sum(shop.spans) / took[0]


def opening(shop: Workshop) -> Iterable[Row]:
    """A fresh process that opens the large store and asks one question; the files are in the system's cache."""
    _, _, questions = shop.large
    times = []
    for user, question, _ in questions[:9]:
        command = [sys.executable, "-m", "benchmarks._opening", str(shop.path("large")), user, question]
        run = subprocess.run(command, cwd=ROOT, env=shop.environment(), capture_output=True, text=True, check=True)
        times.append(float(run.stdout))
    yield Row.at_most("open_ms", median(times), "ms", 150)


# Tools.


def _last_line(text: str) -> str:
    """The last thing that a program said, without folders."""
    lines = text.strip().splitlines() or [""]
    return lines[-1].replace(str(ROOT), "the checkout").strip()[:200]


@contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times.append(time.perf_counter() - started)


MEASURES = {
    ("import_cpu_s",): import_cpu,
    ("help_cpu_s",): help_cpu,
    ("base_distributions", "base_mb"): installation,
    ("add_p50_vs_fsync",): adding,
    ("adds_4proc_s", "adds_4proc_max_wait_s"): four_processes,
    ("bulk_vs_bare",): bulk,
    ("search_lexical_p50_ms", "search_vs_bare"): searching,
    ("door_overhead",): door,
    ("open_ms",): opening,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    shop = Workshop()
    try:
        report.main("core", {metrics: partial(run, shop) for metrics, run in MEASURES.items()}, arguments)
    finally:
        shop.close()


if __name__ == "__main__":
    main()
