-- Every fixed query of the adapter, by name. Parameters are named; nothing is glued into these texts.

-- :namespace
-- One namespace with its totals.
SELECT ns, name, seq, at, memories, words, wiped FROM namespaces WHERE name = :name;

-- :namespaces
-- Every namespace, by name.
SELECT ns, name, seq, at, memories, words, wiped FROM namespaces ORDER BY name;

-- :advance
-- Raise a namespace's seq and time; the time is always later than the one before. (RETURNING costs more than reading the row.)
INSERT INTO namespaces (name, seq, at) VALUES (:name, 1, :now)
ON CONFLICT (name) DO UPDATE SET seq = seq + 1, at = max(excluded.at, at + 1);

-- :raise_namespace
-- The same where the writer knows what both were before.
UPDATE namespaces SET seq = ?, at = ? WHERE ns = ?;

-- :add_totals
-- Keep the BM25 totals of a namespace in step with its text rows.
UPDATE namespaces SET memories = memories + :memories, words = words + :words WHERE ns = :ns;

-- :owner_of
-- The namespace of a memory, deleted or not.
SELECT n.name FROM memories AS m JOIN namespaces AS n ON n.ns = m.ns WHERE m.id = :id AND m.erased IS NULL;

-- :place_of
-- The row number of a memory and what its next version needs.
SELECT mem, ns, revision, retired, valid_to FROM memories WHERE id = :id AND erased IS NULL;

-- :current
-- The current versions of some memories.
SELECT
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, NULL, v.known_from, NULL, v.valid_from,
    v.valid_to, v.document, u.state, u.uses, u.last_used, u.heat, u.extra
FROM json_each(:ids) AS wanted
CROSS JOIN memories AS v ON v.id = wanted.value
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE v.document IS NOT NULL
ORDER BY wanted.key;

-- :cubes
-- The current versions of the memories with some row numbers.
SELECT v.salt, v.version, v.content_hash, v.document, u.state, u.uses, u.last_used, u.heat, u.extra
FROM json_each(:keys) AS wanted
CROSS JOIN memories AS v ON v.mem = wanted.value
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE v.document IS NOT NULL
ORDER BY wanted.key;

-- :versions
-- Every version of a memory, oldest first.
SELECT
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, v.seq_to, v.known_from, v.known_to, v.valid_from,
    coalesce(v.closed_to, v.valid_to), v.document, u.state, u.uses, u.last_used, u.heat, u.extra
FROM versions AS v
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE v.mem = (SELECT mem FROM memories WHERE id = :id)
ORDER BY v.revision;

-- :known_ids
-- The ids of memories, deleted or not, in order.
SELECT m.id FROM memories AS m
WHERE
    (:names IS NULL OR m.ns IN (SELECT ns FROM namespaces WHERE name IN (SELECT value FROM json_each(:names))))
    AND m.id > :after AND m.erased IS NULL
ORDER BY m.id LIMIT :limit;

-- :keys_of
-- The row numbers of those of some memories that are there, deleted or not.
SELECT m.id, m.mem
FROM json_each(:ids) AS wanted CROSS JOIN memories AS m ON m.id = wanted.value
WHERE m.erased IS NULL;

-- :touched
-- The memories of a namespace that changed after a seq, deleted or not.
SELECT m.mem, m.id
FROM memories AS m
WHERE m.ns = (SELECT ns FROM namespaces WHERE name = :name) AND m.changed > :since AND m.erased IS NULL
ORDER BY m.mem;

-- :seq_at
-- The last seq of a namespace before the first that wrote or closed a version after a moment.
WITH stamps (seq, at) AS (
    SELECT v.seq_from, v.known_from FROM versions AS v WHERE v.ns = (SELECT ns FROM namespaces WHERE name = :name)
    UNION ALL
    SELECT v.seq_to, v.known_to FROM history AS v WHERE v.ns = (SELECT ns FROM namespaces WHERE name = :name)
)
SELECT ifnull(max(seq), 0) FROM stamps
WHERE seq < ifnull((SELECT min(seq) FROM stamps WHERE at > :moment), 9223372036854775807);

-- :text
-- The full-text row of a current version.
SELECT m.ns, t.terms, t.context, t.facets, t.context_of
FROM memories AS m
JOIN texts AS t ON t.mem = m.mem
WHERE m.id = :id;

-- :followers
-- The memories whose current full-text row carries words of another.
SELECT f.id
FROM texts AS t
JOIN memories AS f ON f.mem = t.mem
WHERE t.context_of = :id
ORDER BY f.id;

-- :last_turn
-- The newest current message of a session, by order of writing, with its full-text row.
SELECT
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, NULL, v.known_from, NULL, v.valid_from,
    v.valid_to, v.document, u.state, u.uses, u.last_used, u.heat, u.extra, v.ns, t.terms, t.context, t.facets, t.context_of
FROM memories AS v
LEFT JOIN texts AS t ON t.mem = v.mem
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE
    v.ns = (SELECT ns FROM namespaces WHERE name = :namespace)
    AND ifnull(v.session, char(0)) = ifnull(:session, char(0)) AND v.type = 'message' AND v.document IS NOT NULL
ORDER BY v.mem DESC
LIMIT 1;

-- :turn_before
-- The current message of its session that was written last before a memory.
SELECT
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, NULL, v.known_from, NULL, v.valid_from,
    v.valid_to, v.document, u.state, u.uses, u.last_used, u.heat, u.extra, v.ns, t.terms, t.context, t.facets, t.context_of
FROM memories AS v
LEFT JOIN texts AS t ON t.mem = v.mem
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE
    v.ns = (SELECT ns FROM memories WHERE id = :id)
    AND ifnull(v.session, char(0)) = (
        SELECT ifnull(session, char(0)) FROM versions
        WHERE mem = (SELECT mem FROM memories WHERE id = :id) ORDER BY revision DESC LIMIT 1
    )
    AND v.mem < (SELECT mem FROM memories WHERE id = :id) AND v.type = 'message' AND v.document IS NOT NULL
ORDER BY v.mem DESC
LIMIT 1;

-- :turn_behind
-- The current message of its session that was written first behind a memory.
SELECT
    v.id, v.salt, v.retired, v.version, v.content_hash, v.seq_from, NULL, v.known_from, NULL, v.valid_from,
    v.valid_to, v.document, u.state, u.uses, u.last_used, u.heat, u.extra, v.ns, t.terms, t.context, t.facets, t.context_of
FROM memories AS v
LEFT JOIN texts AS t ON t.mem = v.mem
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE
    v.ns = (SELECT ns FROM memories WHERE id = :id)
    AND ifnull(v.session, char(0)) = (
        SELECT ifnull(session, char(0)) FROM versions
        WHERE mem = (SELECT mem FROM memories WHERE id = :id) ORDER BY revision DESC LIMIT 1
    )
    AND v.mem > (SELECT mem FROM memories WHERE id = :id) AND v.type = 'message' AND v.document IS NOT NULL
ORDER BY v.mem ASC
LIMIT 1;

-- :by_source
-- The current memories whose first source is one of some messages, in order of writing.
SELECT m.source, m.id
FROM json_each(:sources) AS wanted
CROSS JOIN memories AS m
    ON m.ns = (SELECT ns FROM namespaces WHERE name = :namespace) AND m.source = wanted.value
WHERE m.source IS NOT NULL AND m.document IS NOT NULL AND m.session IS :session
ORDER BY m.mem;

-- :edges_from
-- The edges that leave a memory.
SELECT source, kind, target FROM edges
WHERE source = :id AND (:kind IS NULL OR kind = :kind)
ORDER BY source, kind, target;

-- :edges_to
-- The edges that reach a memory.
SELECT source, kind, target FROM edges
WHERE target = :id AND (:kind IS NULL OR kind = :kind)
ORDER BY source, kind, target;

-- :vectors
-- The vectors of a namespace that were added or removed after a seq.
SELECT m.id, v.part, v.embedder, v.vals, v.seq_from, v.seq_to
FROM (
    SELECT (vector >> 8) & 0xffffffff AS mem, vector & 0xff AS part, embedder, vals, seq_from, NULL AS seq_to
    FROM vectors
    WHERE vector >= (:ns << 40) AND vector < ((:ns + 1) << 40) AND seq_from > :since
    UNION ALL
    SELECT mem, part, embedder, vals, seq_from, seq_to
    FROM old_vectors
    WHERE ns = :ns AND (seq_to > :since OR seq_from > :since)
) AS v
JOIN memories AS m ON m.mem = v.mem
ORDER BY m.id, v.part, v.seq_from, v.seq_to IS NULL, v.seq_to;

-- :changes
-- What a search keeps in memory of the memories of a namespace that changed after a seq; nothing of those that are
-- gone, or in the vault alone.
SELECT
    v.mem, v.changed, v.salt, v.version, v.content_hash,
    CASE WHEN NOT v.frozen AND ifnull(u.state, 'generated') NOT IN ('archived', 'expired') THEN v.document END,
    coalesce(min(v.valid_to, v.expires), v.valid_to, v.expires),
    CASE WHEN t.terms <> '' THEN length(t.terms) - length(replace(t.terms, ' ', '')) + 1 END, t.length
FROM memories AS v
LEFT JOIN texts AS t ON t.mem = v.mem
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE v.ns = :ns AND v.changed > :since
ORDER BY v.mem;

-- :vectors_between
-- The vectors of a range of keys that one embedder made, in order of memory and part.
SELECT (vector >> 8) & 0xffffffff, vector & 0xff, vals FROM vectors
WHERE vector >= :first AND vector < :last AND embedder = :embedder
ORDER BY vector;

-- :vectors_by_key
-- The vectors of some memories of a namespace that one embedder made, in no order: to sort here would copy them.
SELECT v.vector, v.vals
FROM json_each(:keys) AS wanted
CROSS JOIN vectors AS v
    ON v.vector >= ((:ns << 40) | (wanted.value << 8)) AND v.vector < ((:ns << 40) | ((wanted.value + 1) << 8))
WHERE v.embedder = :embedder;

-- :vectors_of
-- The vectors of the current version of a memory.
SELECT v.vector & 0xff, v.embedder, v.vals
FROM memories AS m CROSS JOIN vectors AS v
ON v.vector >= ((m.ns << 40) | (m.mem << 8)) AND v.vector < ((m.ns << 40) | ((m.mem + 1) << 8))
WHERE m.id = :id
ORDER BY v.vector;

-- :touch
-- What a search keeps of a memory has changed.
UPDATE memories SET changed = :seq WHERE mem = :mem;

-- :touch_all
-- The same of many memories.
UPDATE memories SET changed = ? WHERE mem = ?;

-- :embedders
-- How many vectors each embedder made.
SELECT embedder, count(*) FROM vectors GROUP BY embedder ORDER BY embedder;

-- :replayed
-- The remembered result of a call.
SELECT digest, ids, at FROM idempotency WHERE caller = :caller AND key = :key;

-- :audit_tail
-- The last entry of a chain.
SELECT CAST(record AS BLOB) FROM audit WHERE chain = :chain ORDER BY n DESC LIMIT 1;

-- :audit_tails
-- The last entry of every chain, found chain by chain and not by reading all entries.
WITH RECURSIVE chains (chain) AS (
    SELECT min(chain) FROM audit
    UNION ALL
    SELECT (SELECT min(a.chain) FROM audit AS a WHERE a.chain > chains.chain) FROM chains WHERE chain IS NOT NULL
)
SELECT CAST(last.record AS BLOB)
FROM chains
CROSS JOIN audit AS last
ON last.chain = chains.chain AND last.n = (SELECT max(a.n) FROM audit AS a WHERE a.chain = chains.chain)
WHERE :chains IS NULL OR chains.chain IN (SELECT value FROM json_each(:chains))
ORDER BY chains.chain;

-- :audit
-- The newest entries that a question asks for.
SELECT CAST(record AS BLOB) FROM audit
WHERE
    (:chains IS NULL OR chain IN (SELECT value FROM json_each(:chains)))
    AND (:since IS NULL OR at >= :since)
    AND (:until IS NULL OR at < :until)
    AND (:caller IS NULL OR caller_namespace = :caller)
    AND (:operation IS NULL OR operation = :operation)
    AND (:memory IS NULL OR EXISTS (SELECT 1 FROM json_each(record, '$.memories') WHERE value = :memory))
    AND (
        :memory_kind IS NULL OR EXISTS (
            SELECT 1 FROM json_each(record, '$.memories') AS named CROSS JOIN memories AS m ON m.id = named.value
            WHERE m.document ->> '$.payload.kind' = :memory_kind OR EXISTS (
                SELECT 1 FROM history AS h WHERE h.mem = m.mem AND h.document ->> '$.payload.kind' = :memory_kind
            )
        )
    )
    AND (
        :memory_type IS NULL OR EXISTS (
            SELECT 1 FROM json_each(record, '$.memories') AS named CROSS JOIN memories AS m ON m.id = named.value
            WHERE (m.document IS NOT NULL AND m.type = :memory_type) OR EXISTS (
                SELECT 1 FROM history AS h WHERE h.mem = m.mem AND h.type = :memory_type
            )
        )
    )
ORDER BY at DESC, n DESC, chain DESC
LIMIT :limit;

-- :audit_page
-- The next entries that a question asks for, chain by chain.
SELECT CAST(record AS BLOB) FROM audit
WHERE
    (chain, n) > (CAST(:after_chain AS TEXT), :after_n)
    AND (:chains IS NULL OR chain IN (SELECT value FROM json_each(:chains)))
    AND (:since IS NULL OR at >= :since)
    AND (:until IS NULL OR at < :until)
    AND (:caller IS NULL OR caller_namespace = :caller)
    AND (:operation IS NULL OR operation = :operation)
    AND (:memory IS NULL OR EXISTS (SELECT 1 FROM json_each(record, '$.memories') WHERE value = :memory))
    AND (
        :memory_kind IS NULL OR EXISTS (
            SELECT 1 FROM json_each(record, '$.memories') AS named CROSS JOIN memories AS m ON m.id = named.value
            WHERE m.document ->> '$.payload.kind' = :memory_kind OR EXISTS (
                SELECT 1 FROM history AS h WHERE h.mem = m.mem AND h.document ->> '$.payload.kind' = :memory_kind
            )
        )
    )
    AND (
        :memory_type IS NULL OR EXISTS (
            SELECT 1 FROM json_each(record, '$.memories') AS named CROSS JOIN memories AS m ON m.id = named.value
            WHERE (m.document IS NOT NULL AND m.type = :memory_type) OR EXISTS (
                SELECT 1 FROM history AS h WHERE h.mem = m.mem AND h.type = :memory_type
            )
        )
    )
ORDER BY chain, n
LIMIT :limit;

-- :audit_rows
-- What lies in the log, believed in nothing: a value of another type than we write is NULL here.
SELECT
    CAST(chain AS BLOB),
    n,
    CASE typeof(at) WHEN 'integer' THEN at END,
    CASE typeof(caller_namespace) WHEN 'text' THEN CAST(caller_namespace AS BLOB) END,
    CASE typeof(operation) WHEN 'text' THEN CAST(operation AS BLOB) END,
    CASE typeof(record) WHEN 'text' THEN CAST(record AS BLOB) END
FROM audit
WHERE
    (chain, n) > (CAST(:after_chain AS TEXT), :after_n)
    AND (:chains IS NULL OR chain IN (SELECT value FROM json_each(:chains)))
    AND typeof(chain) = 'text' AND typeof(n) = 'integer' AND n > 0
ORDER BY chain, n
LIMIT :limit;

-- :audit_strays
-- How many rows no chain can hold.
SELECT count(*) FROM audit WHERE typeof(chain) <> 'text' OR typeof(n) <> 'integer' OR n < 1;

-- :job
-- An unfinished job.
SELECT record FROM jobs WHERE id = :id;

-- :jobs
-- Unfinished jobs in the order in which they would run.
SELECT record FROM jobs WHERE :state IS NULL OR state = :state ORDER BY priority DESC, due, job LIMIT :limit;

-- :next_due
-- When the next job becomes due.
SELECT min(due) FROM jobs
WHERE state <> 'dead' AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)));

-- :blobs
-- Every blob that a version refers to.
SELECT blob FROM memories WHERE blob IS NOT NULL AND document IS NOT NULL
UNION SELECT blob FROM history WHERE blob IS NOT NULL;

-- :setting
-- A value that the store keeps for the system.
SELECT value FROM settings WHERE name = :name;

-- :set_setting
-- Keep a value for the system.
INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- :insert_memory
-- The first version of a memory.
INSERT INTO memories (
    mem, id, ns, salt, changed, revision, version, content_hash, seq_from, known_from, valid_from, valid_to, type,
    agent, session, source, blob, document, frozen, expires
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- :insert_identity
-- A memory that was deleted before it came here: its versions are all history.
INSERT INTO memories (
    id, ns, salt, retired, revision, version, content_hash, seq_from, known_from, valid_from, type
) VALUES (:id, :ns, :salt, :retired, :revision, '', '', :seq, 0, 0, '');

-- :replace_current
-- The next version of a memory.
UPDATE memories SET
    revision = ?, version = ?, content_hash = ?, seq_from = ?, known_from = ?, valid_from = ?, valid_to = ?, type = ?,
    agent = ?, session = ?, source = ?, blob = ?, document = ?, frozen = ?, expires = ?, retired = NULL
WHERE mem = ?;

-- :move_to_history
-- The current version becomes history: its validity ends where its successor's begins, unless it ended before.
INSERT INTO history (
    mem, revision, ns, version, content_hash, seq_from, seq_to, known_from, known_to, valid_from, valid_to, closed_to,
    type, agent, session, blob, document, frozen, expires
)
SELECT
    mem, revision, ns, version, content_hash, seq_from, :seq, known_from, :at, valid_from, valid_to,
    CASE WHEN valid_to <= :closes THEN valid_to ELSE max(valid_from, :closes) END,
    type, agent, session, blob, document, frozen, expires
FROM memories WHERE mem = :mem;

-- :retire
-- A memory without a current version, and which its last one was.
UPDATE memories SET
    retired = :at, revision = :revision, document = NULL, blob = NULL, source = NULL, seq_from = :seq
WHERE mem = :mem;

-- :close_last
-- The last version of a deleted memory ends where the one begins that brings it back.
UPDATE history SET closed_to = CASE WHEN valid_to <= :closes THEN valid_to ELSE max(valid_from, :closes) END
WHERE mem = :mem AND revision = :revision;

-- :insert_history
-- A superseded version, as another store knew it.
INSERT INTO history (
    mem, revision, ns, version, content_hash, seq_from, seq_to, known_from, known_to, valid_from, valid_to, closed_to,
    type, agent, session, blob, document, frozen, expires
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- :forget_versions
-- Make room for the versions of a memory as another store knew it.
DELETE FROM history WHERE mem = :mem;

-- :set_usage
-- What another store had observed.
INSERT INTO usage (mem, state, uses, last_used, heat, extra)
VALUES (:mem, :state, :uses, :last_used, :heat, :extra)
ON CONFLICT (mem) DO UPDATE SET
    state = excluded.state, uses = excluded.uses, last_used = excluded.last_used, heat = excluded.heat,
    extra = excluded.extra;

-- :insert_text
-- The full-text row of a current version.
INSERT INTO texts (mem, context_of, ends, length, terms, context, facets) VALUES (?, ?, ?, ?, ?, ?, ?);

-- :index_text
-- The same row in the index.
INSERT INTO texts_index (rowid, terms, context, facets) VALUES (?, ?, ?, ?);

-- :indexed_to
-- The newest memory whose full-text row the index has; those above it wait.
SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'indexed_to';

-- :set_indexed_to
-- The index has the full-text rows up to this memory.
UPDATE settings SET value = CAST(? AS TEXT) WHERE name = 'indexed_to';

-- :waiting_texts
-- The full-text rows that the index does not have yet.
SELECT mem, terms, context, facets FROM texts
WHERE mem > (SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'indexed_to')
ORDER BY mem;

-- :waiting_of
-- The same of one namespace.
SELECT t.mem, t.terms, t.context, t.facets
FROM texts AS t CROSS JOIN memories AS m ON m.mem = t.mem
WHERE t.mem > (SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'indexed_to') AND m.ns = ?
ORDER BY t.mem;

-- :stored_text
-- A full-text row as it is stored.
SELECT context_of, length, terms, context, facets FROM texts WHERE mem = :mem;

-- :unindex_text
-- Take a row out of the index; FTS5 wants the words that were put in.
INSERT INTO texts_index (texts_index, rowid, terms, context, facets) VALUES ('delete', ?, ?, ?, ?);

-- :delete_text
-- Take a full-text row out.
DELETE FROM texts WHERE mem = :mem;

-- :insert_old_text
-- The full-text row of a superseded version.
-- Its number is none that the index still has of an erased row.
INSERT INTO old_texts (text, mem, revision, context_of, length, terms, context, facets)
VALUES (
    1 + max(
        ifnull((SELECT max(text) FROM old_texts), 0),
        ifnull((SELECT max(row) FROM scrubs WHERE place = 'old_texts' AND row IS NOT NULL), 0)
    ), ?, ?, ?, ?, ?, ?, ?
);

-- :index_old_text
-- The same row in the index of the history.
INSERT INTO old_texts_index (rowid, terms, context, facets) VALUES (?, ?, ?, ?);

-- :move_vectors
-- The vectors of a memory become history.
INSERT INTO old_vectors (ns, seq_to, mem, part, seq_from, embedder, vals)
SELECT :ns, :seq, :mem, vector & 0xff, seq_from, embedder, vals
FROM vectors
WHERE vector >= ((:ns << 40) | (:mem << 8)) AND vector < ((:ns << 40) | ((:mem + 1) << 8));

-- :delete_vectors
-- Take the vectors of a memory out of the current ones.
DELETE FROM vectors WHERE vector >= ((:ns << 40) | (:mem << 8)) AND vector < ((:ns << 40) | ((:mem + 1) << 8));

-- :insert_vector
-- One vector of a current version.
INSERT INTO vectors (vector, seq_from, embedder, vals) VALUES ((:ns << 40) | (:mem << 8) | :part, :seq, :embedder, :vals);

-- :link
-- Add an edge.
INSERT INTO edges (source, kind, target) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- :usage_of
-- What was observed of some memories.
SELECT m.id, m.mem, u.state, u.uses, u.last_used, u.heat
FROM json_each(:ids) AS wanted
CROSS JOIN memories AS m ON m.id = wanted.value
LEFT JOIN usage AS u ON u.mem = m.mem
WHERE m.erased IS NULL;

-- :use
-- What was observed of a memory after its use.
INSERT INTO usage (mem, uses, last_used, heat) VALUES (?, ?, ?, ?)
ON CONFLICT (mem) DO UPDATE SET uses = excluded.uses, last_used = excluded.last_used, heat = excluded.heat;

-- :set_state
-- Put a memory into another state.
INSERT INTO usage (mem, state) VALUES (?, ?) ON CONFLICT (mem) DO UPDATE SET state = excluded.state;

-- :journal
-- Write a change of state down.
INSERT INTO journal (mem, at, before, after, cause, author) VALUES (?, ?, ?, ?, ?, ?);

-- :states_of
-- The states of some current memories, and where they live.
SELECT m.id, m.mem, n.name, ifnull(u.state, 'generated')
FROM json_each(:ids) AS wanted
CROSS JOIN memories AS m ON m.id = wanted.value
CROSS JOIN namespaces AS n ON n.ns = m.ns
LEFT JOIN usage AS u ON u.mem = m.mem
WHERE m.document IS NOT NULL;

-- :state_changes
-- The journal of one memory.
SELECT j.at, j.before, j.after, j.cause, j.author
FROM journal AS j
WHERE j.mem = (SELECT mem FROM memories WHERE id = :id)
ORDER BY j.entry;

-- :lives
-- What a sweep needs to know of the memories that have not expired, in order of id.
SELECT v.id, n.name, v.revision, u.state, u.uses, u.last_used, u.heat, v.document, octet_length(v.document)
FROM memories AS v
CROSS JOIN namespaces AS n ON n.ns = v.ns
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE
    v.document IS NOT NULL AND ifnull(u.state, 'generated') <> 'expired'
    AND (:names IS NULL OR n.name IN (SELECT value FROM json_each(:names)))
    AND v.id > :after
ORDER BY v.id LIMIT :limit;

-- :lives_of
-- The same of some memories, expired or not.
SELECT v.id, n.name, v.revision, u.state, u.uses, u.last_used, u.heat, v.document, octet_length(v.document)
FROM json_each(:ids) AS wanted
CROSS JOIN memories AS v ON v.id = wanted.value
CROSS JOIN namespaces AS n ON n.ns = v.ns
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE v.document IS NOT NULL
ORDER BY wanted.key;

-- :remember
-- Keep the result of a call.
INSERT INTO idempotency (caller, key, digest, ids, at) VALUES (:caller, :key, :digest, :ids, :at)
ON CONFLICT (caller, key) DO UPDATE SET digest = excluded.digest, ids = excluded.ids, at = excluded.at;

-- :forget_replays
-- Drop results that are too old.
DELETE FROM idempotency WHERE at < :before;

-- :next_memory
-- The row number that the next memory will have.
SELECT coalesce(max(mem), 0) + 1 FROM memories;

-- :append_audit
-- The next entry of a chain.
INSERT INTO audit (chain, n, at, caller_namespace, operation, record) VALUES (?, ?, ?, ?, ?, ?);

-- :snapshots
-- The named moments of a namespace.
SELECT name, at, author FROM snapshots WHERE namespace = :namespace ORDER BY at, name;

-- :put_snapshot
-- Name a moment.
INSERT INTO snapshots (namespace, name, at, author) VALUES (:namespace, :name, :at, :author);

-- :make_room
-- A parked job does not hold its dedup key.
DELETE FROM jobs WHERE kind = :kind AND dedup_key = :dedup_key AND state = 'dead';

-- :enqueue
-- A new job, unless one with its dedup key waits or runs.
INSERT INTO jobs (id, kind, dedup_key, state, priority, due, record)
VALUES (:id, :kind, :dedup_key, :state, :priority, :due, :record)
ON CONFLICT (kind, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING;

-- :due_job
-- The next job to lease.
SELECT record FROM jobs
WHERE state <> 'dead' AND due <= :now AND kind IN (SELECT value FROM json_each(:kinds))
ORDER BY priority DESC, due, job
LIMIT 1;

-- :replace_job
-- A job as it stands now.
UPDATE jobs SET state = :state, priority = :priority, due = :due, record = :record WHERE id = :id;

-- :remove_job
-- A finished job.
DELETE FROM jobs WHERE id = :id;

-- :signatures
-- The signatures of a memory's versions.
SELECT s.version, s.key, s.signature
FROM memories AS m JOIN signatures AS s ON s.mem = m.mem
WHERE m.id = :id ORDER BY s.version, s.key;

-- :put_signature
-- Keep a signature of a version.
INSERT INTO signatures (mem, version, key, signature)
SELECT mem, :version, :key, :signature FROM memories WHERE id = :id
ON CONFLICT DO NOTHING;

-- :last_rule_change
-- The newest line of the log of rules.
SELECT entry, id, namespace, name, at, author, document FROM rules ORDER BY entry DESC LIMIT 1;

-- :rule_changes
-- The log of rules behind an entry.
SELECT entry, id, namespace, name, at, author, document FROM rules WHERE entry > :since ORDER BY entry;

-- :put_rule
-- Append to the log of rules.
INSERT INTO rules (id, namespace, name, at, author, document)
VALUES (:id, :namespace, :name, :at, :author, :document);

-- :note_derivation
-- A memory was made from others; of some of them it may be unknown where they live.
INSERT INTO derivations (mem, ns, far)
SELECT m.mem, m.ns, max(p.ns IS NOT m.ns OR coalesce(d.far, 0))
FROM memories AS m
JOIN edges AS e ON e.source = m.id AND e.kind = 'derived_from'
LEFT JOIN memories AS p ON p.id = e.target AND p.erased IS NULL
LEFT JOIN derivations AS d ON d.mem = p.mem
WHERE m.id = :id
GROUP BY m.mem
ON CONFLICT (mem) DO UPDATE SET far = max(far, excluded.far);

-- :spread_far
-- What was made from a memory with far sources has them too.
WITH RECURSIVE made (id) AS (
    SELECT m.id FROM memories AS m JOIN derivations AS d ON d.mem = m.mem WHERE m.id = :id AND d.far
    UNION
    SELECT e.source FROM made CROSS JOIN edges AS e ON e.target = made.id AND e.kind = 'derived_from'
)
UPDATE derivations SET far = 1
WHERE NOT far AND mem IN (SELECT m.mem FROM made JOIN memories AS m ON m.id = made.id);

-- :erased
-- Those of some ids whose memories were erased.
SELECT m.id FROM json_each(:ids) AS wanted CROSS JOIN memories AS m ON m.id = wanted.value
WHERE m.erased IS NOT NULL
ORDER BY wanted.key;

-- :erased_by
-- The ids of what an erasure took, in order.
SELECT m.id FROM memories AS m
WHERE m.erased = (SELECT erasure FROM erasures WHERE id = :erasure) AND m.id > :after
ORDER BY m.id LIMIT :limit;

-- :derivatives
-- What was ever made from some memories, through all generations, and where it lives.
WITH RECURSIVE made (id) AS (
    SELECT e.source
    FROM json_each(:ids) AS wanted CROSS JOIN edges AS e ON e.target = wanted.value AND e.kind = 'derived_from'
    UNION
    SELECT e.source FROM made CROSS JOIN edges AS e ON e.target = made.id AND e.kind = 'derived_from'
)
SELECT m.id, n.name
FROM made
JOIN memories AS m ON m.id = made.id
JOIN namespaces AS n ON n.ns = m.ns
WHERE m.erased IS NULL AND m.id NOT IN (SELECT value FROM json_each(:ids))
ORDER BY m.id;

-- :receipt
-- The receipt of an erasure.
SELECT document FROM erasures WHERE id = :id;

-- :receipts
-- The receipts of some or all namespaces, newest first.
SELECT document FROM erasures
WHERE
    (:names IS NULL OR namespace IN (SELECT value FROM json_each(:names)))
    AND (:before IS NULL OR erasure < (SELECT erasure FROM erasures WHERE id = :before))
ORDER BY erasure DESC LIMIT :limit;

-- :put_receipt
-- The receipt of an erasure as it stands now.
INSERT INTO erasures (id, namespace, document) VALUES (:id, :namespace, :document)
ON CONFLICT (id) DO UPDATE SET document = excluded.document;
