-- Who vouches for which version of a memory. A signature is of a version, which never changes, so a row is never changed.
CREATE TABLE signatures (
    mem INTEGER NOT NULL,
    version TEXT NOT NULL,
    key TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (mem, version, key)
) WITHOUT ROWID;
