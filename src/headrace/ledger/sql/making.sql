-- Entries, versions and decisions.

-- name: head
SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1;

-- name: add_entry
INSERT INTO entries (seq, at, kind, body, previous, hash)
VALUES (:seq, :at, :kind, :body, :previous, :hash);

-- name: all_entries
SELECT seq, at, kind, body, previous, hash FROM entries ORDER BY seq;

-- name: entries_after
SELECT seq, at, kind, body FROM entries WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: add_version
INSERT INTO versions (key, node, entry, collected) VALUES (:key, :node, :entry, 0)
ON CONFLICT (key) DO NOTHING;

-- name: revive_version
UPDATE versions SET node = :node, entry = :entry, collected = 0 WHERE key = :key;

-- name: version
SELECT entries.body, versions.collected
FROM versions JOIN entries ON entries.seq = versions.entry
WHERE versions.key = :key;

-- name: versions
SELECT entries.body
FROM versions JOIN entries ON entries.seq = versions.entry
WHERE versions.collected <= :collected
ORDER BY versions.entry;

-- name: versions_of_node
SELECT entries.body
FROM versions JOIN entries ON entries.seq = versions.entry
WHERE versions.node = :node AND versions.collected <= :collected
ORDER BY versions.entry;

-- name: newest_versions
SELECT entries.body
FROM versions JOIN entries ON entries.seq = versions.entry
WHERE versions.node = :node AND versions.collected = 0
ORDER BY versions.entry DESC LIMIT :limit;

-- name: collect_version
UPDATE versions SET collected = 1 WHERE key = :key AND collected = 0;

-- name: add_decision
INSERT INTO decisions (key, candidate, entry) VALUES (:key, :candidate, :entry)
ON CONFLICT (key) DO NOTHING;

-- name: decision
SELECT entries.body
FROM decisions JOIN entries ON entries.seq = decisions.entry
WHERE decisions.key = :key;

-- name: add_piece
INSERT INTO pieces (digest, body) VALUES (:digest, :body)
ON CONFLICT (digest) DO NOTHING;

-- name: all_pieces
SELECT digest, body FROM pieces;
