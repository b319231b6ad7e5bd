-- The chain. What a version or a decision is stands here only; the tables below say where.
CREATE TABLE entries (
    seq BIGINT PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE versions (
    key TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    entry BIGINT NOT NULL,
    collected BIGINT NOT NULL
);

CREATE INDEX versions_of_node ON versions (node, entry);

CREATE TABLE decisions (
    key TEXT PRIMARY KEY,
    candidate TEXT NOT NULL,
    entry BIGINT NOT NULL
);

CREATE INDEX decisions_of_candidate ON decisions (candidate, entry);

CREATE TABLE environments (
    name TEXT PRIMARY KEY,
    base TEXT,
    entry BIGINT NOT NULL
);

CREATE TABLE pointers (
    environment TEXT NOT NULL,
    node TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (environment, node)
);

CREATE TABLE starts (
    environment TEXT NOT NULL,
    node TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (environment, node)
);

CREATE TABLE pointer_changes (
    environment TEXT NOT NULL,
    entry BIGINT NOT NULL,
    node TEXT NOT NULL,
    previous TEXT,
    key TEXT,
    reason TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (environment, entry, node)
);

CREATE TABLE holds (
    environment TEXT NOT NULL,
    node TEXT NOT NULL,
    reason TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (environment, node)
);

CREATE TABLE exclusions (
    environment TEXT NOT NULL,
    node TEXT NOT NULL,
    batch TEXT NOT NULL,
    PRIMARY KEY (environment, node, batch)
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    summary TEXT NOT NULL,
    entry BIGINT NOT NULL
);

CREATE INDEX runs_by_age ON runs (entry);

CREATE INDEX runs_in_flight ON runs (entry) WHERE state = 'running';

-- `again` tells two records of one number apart: an attempt that ended is never written over.
CREATE TABLE attempts (
    run TEXT NOT NULL,
    node TEXT NOT NULL,
    number BIGINT NOT NULL,
    again BIGINT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    error TEXT,
    PRIMARY KEY (run, node, number, again)
);

-- A lease that is free keeps its fence, so that the next holder gets a higher one; `owner` is null.
CREATE TABLE leases (
    environment TEXT NOT NULL,
    node TEXT NOT NULL,
    owner TEXT,
    run TEXT NOT NULL,
    fence BIGINT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (environment, node)
);

CREATE TABLE signals (
    id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL,
    consumed BIGINT NOT NULL
);

CREATE INDEX signals_waiting ON signals (kind, subject, id) WHERE consumed = 0;
