-- Access rules, and which memories were made from others: what governance narrows searches by.

-- The log of rules; nothing is changed here. The last entry of a name in a namespace is what holds; without a document
-- the rule was taken away.
CREATE TABLE rules (
    entry INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    document TEXT
);

-- Memories that were ever made from others. `far`: some of the sources, or of theirs, may live in another namespace. Only
-- these have to be looked at for somebody who may read the whole namespace.
CREATE TABLE derivations (
    mem INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    far INTEGER NOT NULL
);
CREATE INDEX derivations_by_namespace ON derivations (ns, far);

INSERT INTO derivations (mem, ns, far)
SELECT m.mem, m.ns, max(p.ns IS NOT m.ns)
FROM edges AS e
JOIN memories AS m ON m.id = e.source
LEFT JOIN memories AS p ON p.id = e.target
WHERE e.kind = 'derived_from'
GROUP BY m.mem;

WITH RECURSIVE made (mem) AS (
    SELECT mem FROM derivations WHERE far
    UNION
    SELECT m.mem
    FROM made
    JOIN memories AS s ON s.mem = made.mem
    JOIN edges AS e ON e.target = s.id AND e.kind = 'derived_from'
    JOIN memories AS m ON m.id = e.source
)
UPDATE derivations SET far = 1 WHERE mem IN (SELECT mem FROM made);
