DO $a$ BEGIN EXECUTE 'ALTER ROLE app PASSWORD ''hunter2'''; END $a$;
SELECT dblink('postgres://u:hunter2@h/d', $$SELECT 1$$), crypt('pw', gen_salt('bf'));
-- token 'abc'
/* secret 'x' */ INSERT INTO api_key VALUES (U&'d\0061t', B'1', x'ff', N'n');
