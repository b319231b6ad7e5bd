-- name: create_migrations
CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL);

-- name: newest_migration
SELECT max(number) FROM migrations;

-- name: add_migration
INSERT INTO migrations (number, name, at) VALUES (:number, :name, :at);
