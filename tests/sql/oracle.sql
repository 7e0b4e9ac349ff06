-- The definition of a version of a whole cache, spelled out over all rows: no index, no horizon.
CREATE FUNCTION public.oracle(cache text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET enable_indexscan = off SET enable_bitmapscan = off AS $$
    SELECT ((c.carry_n + sum(s.n)::bigint) << 23) | ((c.carry_nonce # bit_xor(s.nonce)) & 8388607)
    FROM bustard.cache AS c,
        (SELECT cell, n, nonce FROM bustard.base WHERE cell & 4095 <> 1
         UNION ALL SELECT cell, 1, nonce FROM bustard.event) AS s
    WHERE c.name = $1 AND s.cell <> 0 AND s.cell >> 12 = ANY (ARRAY[1, c.id] || c.wide || c.keyed)
    GROUP BY c.id
$$;
-- Caches for which the function, the view and the definition disagree.
CREATE VIEW public.disagreement AS
SELECT name FROM bustard.caches
WHERE version IS DISTINCT FROM bustard.get_version(name)
   OR version IS DISTINCT FROM public.oracle(name);
-- Reports a wrong grand total.
CREATE VIEW public.wrong_total AS
SELECT 1 FROM bustard.base WHERE cell <> 0 AND cell & 4095 <> 1
HAVING (sum(n), bit_xor(nonce)) <> (SELECT sum(n), bit_xor(nonce) FROM bustard.base WHERE cell = 0);
CREATE VIEW public.lie AS SELECT name FROM public.disagreement UNION ALL SELECT 'total' FROM public.wrong_total;
GRANT SELECT ON public.lie TO PUBLIC;
