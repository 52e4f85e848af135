"""The named queries of ``queries.sql``, read once."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- :(\w+)\n((?:(?!^-- :).*\n?)*)", re.MULTILINE)
QUERIES: dict[str, str] = {
    name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
    for name, body in _NAMED.findall(files(__package__).joinpath("queries.sql").read_text("utf-8"))
}
