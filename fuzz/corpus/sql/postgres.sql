-- bustard: depends on forum V1
CREATE TABLE a (x int DEFAULT 1, "y;" text); -- it's
/* /* nested; */ ' */ SELECT E'it'
  -- a comment
  '\'s; a', U&'d\0061', B'01', X'1F', N'n', $a$ ; $$ ' $a$, $1;
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
CREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; SELECT 2);
SET standard_conforming_strings = off; SELECT 'it\'s';
-- bustard: down
DROP TABLE a;
COPY a FROM stdin;
1	2
\.
