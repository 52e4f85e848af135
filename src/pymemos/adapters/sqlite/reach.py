"""What a reach hides: memories that were made from something outside it, as SQL (ADR 0026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from pymemos.adapters.sqlite.selection import Parameters, is_current, where
from pymemos.cube.call import Reach, Selection
from pymemos.cube.filters import EVERYTHING

_ANY_FAR = "SELECT EXISTS (SELECT 1 FROM derivations AS d WHERE {spaces} AND d.far)"

# The sources of derived memories, theirs, and so on. A look at what is current goes by what current versions declare,
# a look back by every source that there ever was.
_SOURCES_NOW = """
    SELECT d.mem, pin.value ->> '$.id', d.ns
    FROM derivations AS d CROSS JOIN memories AS m ON m.mem = d.mem
    CROSS JOIN json_each(m.document, '$.parents') AS pin
    WHERE {start} AND m.document IS NOT NULL
    UNION
    SELECT up.mem, pin.value ->> '$.id', m.ns
    FROM up CROSS JOIN memories AS m ON m.id = up.id CROSS JOIN json_each(m.document, '$.parents') AS pin
    WHERE m.document IS NOT NULL"""
_SOURCES_EVER = """
    SELECT d.mem, e.target, d.ns
    FROM derivations AS d CROSS JOIN memories AS m ON m.mem = d.mem
    CROSS JOIN edges AS e ON e.source = m.id AND e.kind = 'derived_from'
    WHERE {start}
    UNION
    SELECT up.mem, e.target, m.ns
    FROM up CROSS JOIN memories AS m ON m.id = up.id
    CROSS JOIN edges AS e ON e.source = m.id AND e.kind = 'derived_from'"""
_HIDDEN = """
WITH RECURSIVE up (mem, id, home) AS ({sources})
SELECT DISTINCT up.mem
FROM up LEFT JOIN memories AS v ON v.id = up.id LEFT JOIN usage AS u ON u.mem = v.mem
WHERE NOT CASE
    WHEN v.mem IS NULL THEN up.home IN ({whole})
    WHEN v.document IS NULL THEN v.ns IN ({whole})
    ELSE {readable}
END
ORDER BY up.mem"""


def hidden(
    connection: apsw.Connection, selection: Selection, spaces: Sequence[int] | None, known: Mapping[str, int]
) -> list[int]:
    """The keys of memories in ``spaces`` whose sources the reach does not admit; ``known`` numbers its namespaces."""
    if selection.reach is None:
        return []
    parameters = Parameters()
    place = "1" if spaces is None else f"d.ns IN ({', '.join(parameters.add(ns) for ns in spaces)})"
    if _reads_whole(selection):
        if not connection.execute(_ANY_FAR.format(spaces=place), parameters).get:
            return []
        place += " AND d.far"
    sources = (_SOURCES_NOW if is_current(selection) else _SOURCES_EVER).format(start=place)
    whole = [known[name] for name, rule in selection.reach.parts if rule == EVERYTHING and name in known]
    query = _HIDDEN.format(
        sources=sources,
        whole=", ".join(parameters.add(ns) for ns in whole),
        readable=_readable(selection.reach, known, parameters),
    )
    return [row[0] for row in connection.execute(query, parameters)]


def _reads_whole(selection: Selection) -> bool:
    """Whether the reach holds all of the selection's namespaces, so that only sources elsewhere can be out of it."""
    if selection.namespaces is None or selection.reach is None:
        return False
    return all(selection.reach.of(name) == EVERYTHING for name in selection.namespaces)


def _readable(reach: Reach, known: Mapping[str, int], parameters: Parameters) -> str:
    branches = [
        f"WHEN {parameters.add(known[name])} THEN {where(rule, parameters)}"
        for name, rule in reach.parts
        if name in known
    ]
    return f"CASE v.ns {' '.join(branches)} ELSE 0 END" if branches else "0"
