-- How many items of a storage rules have added, for the limit of these. The other
-- dialect's folder has the same tables and columns; a test compares them. Their
-- author begins with "rule:"; a removed item has none.

-- +goose Up

ALTER TABLE list_storages ADD COLUMN by_rules BIGINT NOT NULL DEFAULT 0;

UPDATE list_storages SET by_rules =
    (SELECT COUNT(*) FROM list_items i WHERE i.storage = list_storages.id AND left(i.author, 5) = 'rule:');

-- Once per statement, since a row that is updated a thousand times in one
-- transaction becomes slow to find.

-- +goose StatementBegin
CREATE FUNCTION list_items_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE list_storages s SET by_rules = s.by_rules + d.n
    FROM (SELECT storage, COUNT(*) AS n FROM after_it WHERE left(author, 5) = 'rule:' GROUP BY storage) d WHERE s.id = d.storage;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION list_items_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE list_storages s SET by_rules = s.by_rules + d.n
    FROM (SELECT storage, SUM(n) AS n FROM (
            SELECT storage, 1 AS n FROM after_it WHERE left(author, 5) = 'rule:'
            UNION ALL SELECT storage, -1 FROM before_it WHERE left(author, 5) = 'rule:') c
        GROUP BY storage HAVING SUM(n) <> 0) d
    WHERE s.id = d.storage;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION list_items_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE list_storages s SET by_rules = s.by_rules - d.n
    FROM (SELECT storage, COUNT(*) AS n FROM before_it WHERE left(author, 5) = 'rule:' GROUP BY storage) d WHERE s.id = d.storage;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER list_items_inserted AFTER INSERT ON list_items
    REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION list_items_inserted();
CREATE TRIGGER list_items_updated AFTER UPDATE ON list_items
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION list_items_updated();
CREATE TRIGGER list_items_deleted AFTER DELETE ON list_items
    REFERENCING OLD TABLE AS before_it FOR EACH STATEMENT EXECUTE FUNCTION list_items_deleted();
