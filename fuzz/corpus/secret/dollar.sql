SELECT 5 $ x, '$é €', $é$ PASSWORD $é$; CREATE ROLE app PASSWORD 'hunter2';
