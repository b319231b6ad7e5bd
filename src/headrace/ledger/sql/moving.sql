-- Environments: pointers, starts, holds, exclusions.

-- name: environment
SELECT base FROM environments WHERE name = :environment;

-- name: environments
SELECT name FROM environments;

-- name: add_environment
INSERT INTO environments (name, base, entry) VALUES (:environment, :base, :entry);

-- name: copy_pointers
INSERT INTO pointers (environment, node, key)
SELECT :environment, node, key FROM pointers WHERE environment = :base;

-- name: copy_starts
INSERT INTO starts (environment, node, key)
SELECT :environment, node, key FROM pointers WHERE environment = :base;

-- name: copy_holds
INSERT INTO holds (environment, node, reason, since)
SELECT :environment, node, reason, since FROM holds WHERE environment = :base;

-- name: copy_exclusions
INSERT INTO exclusions (environment, node, batch)
SELECT :environment, node, batch FROM exclusions WHERE environment = :base;

-- name: pointers
SELECT node, key FROM pointers WHERE environment = :environment ORDER BY node;

-- name: starts
SELECT node, key FROM starts WHERE environment = :environment ORDER BY node;

-- name: holds
SELECT node, reason, since FROM holds WHERE environment = :environment ORDER BY node;

-- name: exclusions
SELECT node, batch FROM exclusions WHERE environment = :environment ORDER BY node, batch;

-- name: set_pointer
INSERT INTO pointers (environment, node, key) VALUES (:environment, :node, :key)
ON CONFLICT (environment, node) DO UPDATE SET key = excluded.key;

-- name: remove_pointer
DELETE FROM pointers WHERE environment = :environment AND node = :node;

-- name: add_pointer_change
INSERT INTO pointer_changes (environment, entry, node, previous, key, reason, run)
VALUES (:environment, :entry, :node, :previous, :key, :reason, :run);

-- name: history
SELECT change.entry, change.environment, change.node, change.previous, change.key, change.reason, change.run, entries.at
FROM pointer_changes AS change JOIN entries ON entries.seq = change.entry
WHERE change.environment = :environment
ORDER BY change.entry, change.node;

-- name: history_of_node
SELECT change.entry, change.environment, change.node, change.previous, change.key, change.reason, change.run, entries.at
FROM pointer_changes AS change JOIN entries ON entries.seq = change.entry
WHERE change.environment = :environment AND change.node = :node
ORDER BY change.entry;

-- name: set_start
INSERT INTO starts (environment, node, key) VALUES (:environment, :node, :key)
ON CONFLICT (environment, node) DO UPDATE SET key = excluded.key;

-- name: remove_start
DELETE FROM starts WHERE environment = :environment AND node = :node;

-- name: remove_starts
DELETE FROM starts WHERE environment = :environment;

-- name: set_hold
INSERT INTO holds (environment, node, reason, since) VALUES (:environment, :node, :reason, :since)
ON CONFLICT (environment, node) DO UPDATE SET reason = excluded.reason, since = excluded.since;

-- name: remove_hold
DELETE FROM holds WHERE environment = :environment AND node = :node;

-- name: add_exclusion
INSERT INTO exclusions (environment, node, batch) VALUES (:environment, :node, :batch);

-- name: remove_exclusion
DELETE FROM exclusions WHERE environment = :environment AND node = :node AND batch = :batch;
