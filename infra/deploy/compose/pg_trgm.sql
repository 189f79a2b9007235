-- Prefect's server searches names with it, and its own user need not be one that may make extensions.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
