-- Erasure: what is sealed at once and scrubbed by a job (ADR 0029).

-- Which erasure a memory went with. Its row stays, without anything that it said: so its keys are never used again, other
-- processes learn that it is gone, and nobody brings it back.
ALTER TABLE memories ADD COLUMN erased INTEGER;
CREATE INDEX memories_by_erasure ON memories (erased) WHERE erased IS NOT NULL;

-- The seq of the last erasure in a namespace: whoever keeps something of it in memory from before lets go of it.
ALTER TABLE namespaces ADD COLUMN wiped INTEGER NOT NULL DEFAULT 0;

-- One row per erasure with its receipt, as it stands.
CREATE TABLE erasures (
    erasure INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    document TEXT NOT NULL
);

-- What waits to be scrubbed; no read looks here. `place` is the index whose row `row` is (NULL once it is out of it),
-- or `bytes`, which nothing but the verification looks for, or `blob`, the name of a file, or `whole`, the mark that
-- nothing of this was removed yet.
CREATE TABLE scrubs (
    scrub INTEGER PRIMARY KEY,
    erasure INTEGER NOT NULL,
    place TEXT NOT NULL,
    row INTEGER,
    terms TEXT,
    context TEXT,
    facets TEXT,
    bytes BLOB
);
CREATE INDEX scrubs_by_erasure ON scrubs (erasure, row);
CREATE INDEX scrubs_by_row ON scrubs (place, row) WHERE row IS NOT NULL;
