-- Runs, attempts, leases, signals.

-- name: run
SELECT id, environment, owner, state, started_at, ended_at, summary FROM runs WHERE id = :run;

-- name: runs_beginning
SELECT id, environment, owner, state, started_at, ended_at, summary FROM runs
WHERE substr(id, 1, :length) = :run
ORDER BY entry DESC LIMIT 9;

-- name: runs
SELECT id, environment, owner, state, started_at, ended_at, summary FROM runs
WHERE (CAST(:environment AS TEXT) IS NULL OR environment = :environment)
    AND (CAST(:state AS TEXT) IS NULL OR state = :state)
ORDER BY entry DESC LIMIT :limit;

-- name: runs_in_flight
SELECT id, environment, owner, state, started_at, ended_at, summary FROM runs
WHERE state = 'running' AND (CAST(:environment AS TEXT) IS NULL OR environment = :environment)
ORDER BY entry DESC LIMIT :limit;

-- name: add_run
INSERT INTO runs (id, environment, owner, state, started_at, ended_at, summary, entry)
VALUES (:id, :environment, :owner, :state, :started_at, :ended_at, :summary, :entry);

-- name: end_run
UPDATE runs SET state = :state, ended_at = :ended_at, summary = :summary WHERE id = :run;

-- name: change_attempt
UPDATE attempts SET state = :state, ended_at = :ended_at, error = :error
WHERE run = :run AND node = :node AND number = :number AND state = 'running';

-- name: add_attempt
INSERT INTO attempts (run, node, number, again, key, state, started_at, ended_at, error)
SELECT :run, :node, :number, count(*), :key, :state, :started_at, CAST(:ended_at AS TEXT), CAST(:error AS TEXT)
FROM attempts WHERE run = :run AND node = :node AND number = :number;

-- name: add_first_attempt
INSERT INTO attempts (run, node, number, again, key, state, started_at, ended_at, error)
VALUES (:run, :node, :number, 0, :key, :state, :started_at, :ended_at, :error)
ON CONFLICT (run, node, number, again) DO NOTHING;

-- name: end_attempts
UPDATE attempts SET state = :state, ended_at = :ended_at WHERE run = :run AND state = 'running';

-- name: attempts
SELECT run, node, key, number, state, started_at, ended_at, error FROM attempts
WHERE run = :run
ORDER BY started_at, node, number, again;

-- name: take_lease
INSERT INTO leases (environment, node, owner, run, fence, since)
VALUES (:environment, :node, :owner, :run, 1, :since)
ON CONFLICT (environment, node) DO UPDATE
SET owner = excluded.owner, run = excluded.run, fence = leases.fence + 1, since = excluded.since
WHERE leases.owner IS NULL OR leases.owner = CAST(:from_dead AS TEXT)
RETURNING fence;

-- name: lease
SELECT environment, node, owner, run, fence, since FROM leases
WHERE environment = :environment AND node = :node AND owner IS NOT NULL;

-- name: leases
SELECT environment, node, owner, run, fence, since FROM leases
WHERE owner IS NOT NULL AND (CAST(:environment AS TEXT) IS NULL OR environment = :environment)
ORDER BY environment, node;

-- name: drop_lease
UPDATE leases SET owner = NULL
WHERE environment = :environment AND node = :node AND owner = :owner AND fence = :fence;

-- name: drop_leases_of_run
UPDATE leases SET owner = NULL WHERE run = :run AND owner IS NOT NULL;

-- name: newest_signal
SELECT coalesce(max(id), 0) FROM signals;

-- name: add_signal
INSERT INTO signals (id, kind, subject, body, at, consumed) VALUES (:id, :kind, :subject, :body, :at, 0);

-- name: consume_signal
UPDATE signals SET consumed = 1 WHERE id = :id AND consumed = 0;

-- name: signals
SELECT id, kind, subject, body, at FROM signals
WHERE kind = :kind AND subject = :subject AND consumed = 0
ORDER BY id;
