-- The pieces of large mappings, which entries and other pieces name by the SHA-256 of the body. They stay, as entries do.
CREATE TABLE pieces (
    digest TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
