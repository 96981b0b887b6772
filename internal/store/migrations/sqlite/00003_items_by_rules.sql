-- How many items of a storage rules have added, for the limit of these. The other
-- dialect's folder has the same tables and columns; a test compares them. Their
-- author begins with "rule:"; a removed item has none.

-- +goose Up

ALTER TABLE list_storages ADD COLUMN by_rules INTEGER NOT NULL DEFAULT 0;

UPDATE list_storages SET by_rules =
    (SELECT COUNT(*) FROM list_items i WHERE i.storage = list_storages.id AND substr(i.author, 1, 5) = 'rule:');

-- +goose StatementBegin
CREATE TRIGGER list_items_inserted AFTER INSERT ON list_items WHEN substr(NEW.author, 1, 5) = 'rule:'
BEGIN
    UPDATE list_storages SET by_rules = by_rules + 1 WHERE id = NEW.storage;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER list_items_updated AFTER UPDATE OF author ON list_items
WHEN (substr(NEW.author, 1, 5) = 'rule:') <> (substr(OLD.author, 1, 5) = 'rule:')
BEGIN
    UPDATE list_storages SET by_rules = by_rules + CASE substr(NEW.author, 1, 5) WHEN 'rule:' THEN 1 ELSE -1 END WHERE id = NEW.storage;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER list_items_deleted AFTER DELETE ON list_items WHEN substr(OLD.author, 1, 5) = 'rule:'
BEGIN
    UPDATE list_storages SET by_rules = by_rules - 1 WHERE id = OLD.storage;
END;
-- +goose StatementEnd
