-- name: count_ledgers
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'migrations';

-- name: live_versions
SELECT entries.body
FROM json_each(:keys) AS wanted
JOIN versions ON versions.key = wanted.value
JOIN entries ON entries.seq = versions.entry
WHERE versions.collected = 0;

-- name: pieces
SELECT digest, body FROM pieces WHERE digest IN (SELECT value FROM json_each(:digests));

-- name: decisions_of
SELECT entries.body
FROM decisions
JOIN entries ON entries.seq = decisions.entry
WHERE decisions.candidate IN (SELECT value FROM json_each(:candidates))
ORDER BY decisions.entry;
