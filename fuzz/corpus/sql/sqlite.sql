PRAGMA foreign_keys = on; CREATE TABLE [a;b] (`c;` TEXT, "d" BLOB DEFAULT x'00');
CREATE TEMP TRIGGER t AFTER DELETE ON a BEGIN DELETE FROM b; SELECT CASE WHEN 1 THEN 2 END; END;
/* open at the end: ; ' -- +goose Down
.read a.sql
-- bustard: register cache "two words" on a, b.c
