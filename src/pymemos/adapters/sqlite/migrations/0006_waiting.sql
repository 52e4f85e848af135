-- Full-text rows of the newest memories wait until the index gets some at once (ADR 0045): those above this number.
INSERT INTO settings (name, value) SELECT 'indexed_to', CAST(ifnull(max(mem), 0) AS TEXT) FROM memories;
