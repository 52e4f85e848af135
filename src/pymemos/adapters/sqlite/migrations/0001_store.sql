-- The first schema. Times are microseconds since 1970 in UTC; ids are UUIDv7 as text; seqs count units per namespace.
-- A version lives in exactly one of two places: `memories` while it is current, `history` once it is superseded or
-- deleted, and its full text and vectors move with it. So ordinary search never pays for old versions.

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Names for moments that one can return to: of a namespace, or of the whole store, which has no name.
CREATE TABLE snapshots (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (namespace, name)
) WITHOUT ROWID;

CREATE TABLE namespaces (
    ns INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    memories INTEGER NOT NULL DEFAULT 0,
    words INTEGER NOT NULL DEFAULT 0
);

-- One row per memory, with its current version; `document` is NULL once the memory is deleted.
-- `salt` outlives the versions: destroying it makes their hashes confirm nothing (erasure).
CREATE TABLE memories (
    mem INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    ns INTEGER NOT NULL,
    salt BLOB NOT NULL,
    retired INTEGER,
    revision INTEGER NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    seq_from INTEGER NOT NULL,
    known_from INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    type TEXT NOT NULL,
    agent TEXT,
    session TEXT,
    source TEXT,
    blob TEXT,
    document TEXT,
    frozen INTEGER NOT NULL DEFAULT 0,
    expires INTEGER, -- NULL: never, or not while it is frozen
    changed INTEGER NOT NULL DEFAULT 0 -- the seq of the last change of what a search keeps of it in memory
);
CREATE UNIQUE INDEX memories_by_namespace ON memories (ns, id);
CREATE INDEX memories_by_change ON memories (ns, changed);
-- The expression, because 'session IS ?' makes SQLite plan anew for every value; no session is named by a NUL.
CREATE INDEX memories_by_turn ON memories (ns, ifnull(session, char(0)))
WHERE type = 'message' AND document IS NOT NULL;
CREATE INDEX memories_by_source ON memories (ns, source) WHERE source IS NOT NULL AND document IS NOT NULL;
CREATE INDEX memories_by_blob ON memories (blob) WHERE blob IS NOT NULL;

-- `valid_to` is what the version itself declared, `closed_to` what it is since its successor was written.
CREATE TABLE history (
    mem INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    ns INTEGER NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    seq_from INTEGER NOT NULL,
    seq_to INTEGER NOT NULL,
    known_from INTEGER NOT NULL,
    known_to INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to INTEGER,
    closed_to INTEGER,
    type TEXT NOT NULL,
    agent TEXT,
    session TEXT,
    blob TEXT,
    document TEXT NOT NULL,
    frozen INTEGER NOT NULL,
    expires INTEGER,
    PRIMARY KEY (mem, revision)
) WITHOUT ROWID;
CREATE INDEX history_by_namespace ON history (ns);
CREATE INDEX history_by_blob ON history (blob) WHERE blob IS NOT NULL;

-- What the system observed; a memory without a row was never used. Apart, so that a use rewrites no document.
CREATE TABLE usage (
    mem INTEGER PRIMARY KEY,
    state TEXT NOT NULL DEFAULT 'generated',
    uses INTEGER NOT NULL DEFAULT 0,
    last_used INTEGER,
    heat REAL NOT NULL DEFAULT 0,
    extra TEXT -- fields of a newer writer, as JSON
);

-- Every change of state with its cause and author. Nothing is changed here: it tells what stood where at any time.
CREATE TABLE journal (
    entry INTEGER PRIMARY KEY,
    mem INTEGER NOT NULL,
    at INTEGER NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    cause TEXT NOT NULL,
    author TEXT NOT NULL
);
CREATE INDEX journal_by_memory ON journal (mem, entry);

CREATE VIEW versions AS
SELECT
    mem, id, ns, salt, retired, revision, version, content_hash, seq_from, NULL AS seq_to, known_from,
    NULL AS known_to, valid_from, valid_to, NULL AS closed_to, type, agent, session, document,
    frozen, expires
FROM memories
WHERE document IS NOT NULL
UNION ALL
SELECT
    h.mem, m.id, h.ns, m.salt, m.retired, h.revision, h.version, h.content_hash, h.seq_from, h.seq_to, h.known_from,
    h.known_to, h.valid_from, h.valid_to, h.closed_to, h.type, h.agent, h.session, h.document,
    h.frozen, h.expires
FROM history AS h
JOIN memories AS m ON m.mem = h.mem;

-- Full text. Every term is written `<namespace in hex>_<term>`: the index's own vocabulary then counts per namespace,
-- a query reads only its own namespace's postings, and nobody's words move anybody else's scores (ADR 0012). What the
-- tokenizer would split or fold is escaped as `_` and two hexadecimal digits.
-- `ends` repeats the memory's valid_to, so that an ordinary search reads nothing but this narrow row of a candidate.
CREATE TABLE texts (
    mem INTEGER PRIMARY KEY,
    context_of TEXT,
    ends INTEGER,
    length INTEGER NOT NULL,
    terms TEXT NOT NULL,
    context TEXT NOT NULL,
    facets TEXT NOT NULL
);
CREATE INDEX texts_by_context ON texts (context_of) WHERE context_of IS NOT NULL;
CREATE VIRTUAL TABLE texts_index USING fts5 (
    terms, context, facets,
    content = 'texts', content_rowid = 'mem', columnsize = 0, tokenize = "ascii tokenchars '_-'"
);
INSERT INTO texts_index (texts_index, rank) VALUES ('secure-delete', 1);
INSERT INTO texts_index (texts_index, rank) VALUES ('pgsz', 1000); -- smaller leaves: fewer bytes in each commit
CREATE VIRTUAL TABLE texts_places USING fts5vocab (texts_index, instance);

CREATE TABLE old_texts (
    text INTEGER PRIMARY KEY,
    mem INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    context_of TEXT,
    length INTEGER NOT NULL,
    terms TEXT NOT NULL,
    context TEXT NOT NULL,
    facets TEXT NOT NULL,
    UNIQUE (mem, revision)
);
CREATE INDEX old_texts_by_context ON old_texts (context_of) WHERE context_of IS NOT NULL;
CREATE VIRTUAL TABLE old_texts_index USING fts5 (
    terms, context, facets,
    content = 'old_texts', content_rowid = 'text', columnsize = 0, tokenize = "ascii tokenchars '_-'"
);
INSERT INTO old_texts_index (old_texts_index, rank) VALUES ('secure-delete', 1);
CREATE VIRTUAL TABLE old_texts_places USING fts5vocab (old_texts_index, instance);

-- Vectors, clustered by namespace: the key is namespace << 40 | memory << 8 | part, so that a namespace is one range.
CREATE TABLE vectors (
    vector INTEGER PRIMARY KEY,
    seq_from INTEGER NOT NULL,
    embedder TEXT NOT NULL,
    vals BLOB NOT NULL
);
CREATE TABLE old_vectors (
    ns INTEGER NOT NULL,
    seq_to INTEGER NOT NULL,
    mem INTEGER NOT NULL,
    part INTEGER NOT NULL,
    seq_from INTEGER NOT NULL,
    embedder TEXT NOT NULL,
    vals BLOB NOT NULL
);
CREATE INDEX old_vectors_by_seq ON old_vectors (ns, seq_to);

-- The graph. Targets may be memories of another store, so both ends are ids.
CREATE TABLE edges (
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, kind, target)
) WITHOUT ROWID;
CREATE INDEX edges_reversed ON edges (target, kind, source);

-- One hash chain per namespace; no content, no query text.
CREATE TABLE audit (
    chain TEXT NOT NULL,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL,
    caller_namespace TEXT NOT NULL,
    operation TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (chain, n)
) WITHOUT ROWID;

CREATE TABLE idempotency (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    ids TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (at);

CREATE TABLE jobs (
    job INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    dedup_key TEXT,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    due INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE UNIQUE INDEX jobs_by_dedup_key ON jobs (kind, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX jobs_by_due ON jobs (due) WHERE state <> 'dead';
