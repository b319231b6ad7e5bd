-- name: count_ledgers
SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'migrations';

-- name: live_versions
SELECT entries.body
FROM jsonb_array_elements_text(CAST(:keys AS jsonb)) AS wanted (key)
JOIN versions ON versions.key = wanted.key
JOIN entries ON entries.seq = versions.entry
WHERE versions.collected = 0;

-- name: pieces
SELECT digest, body FROM pieces WHERE digest IN (SELECT jsonb_array_elements_text(CAST(:digests AS jsonb)));

-- name: decisions_of
SELECT entries.body
FROM decisions
JOIN entries ON entries.seq = decisions.entry
WHERE decisions.candidate IN (SELECT jsonb_array_elements_text(CAST(:candidates AS jsonb)))
ORDER BY decisions.entry;
