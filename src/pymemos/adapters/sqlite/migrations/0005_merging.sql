-- How the full-text indexes are kept: segments are merged eight at a time instead of four, and leaves are of half a page.
-- Each row is then rewritten less often; a search took no longer, as measured (ADR 0012).
INSERT INTO texts_index (texts_index, rank) VALUES ('automerge', 8);
INSERT INTO texts_index (texts_index, rank) VALUES ('pgsz', 2000);
INSERT INTO old_texts_index (old_texts_index, rank) VALUES ('automerge', 8);
