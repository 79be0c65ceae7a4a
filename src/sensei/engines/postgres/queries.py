"""The questions put to PostgreSQL's system catalogs: a fixed number of them, however many tables there are."""

from __future__ import annotations


def no_extension(catalog: str, oid: str) -> str:
    """Write the condition that an object came with no extension."""
    return (
        f"NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{catalog}'::regclass"
        f" AND e.objid = {oid} AND e.deptype = 'e')"
    )


SCHEMAS = r"""
SELECT oid::bigint, nspname FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname !~ '^sensei_'
ORDER BY nspname COLLATE "C"
"""

#: oid, schema, name, relkind, rows, bytes, comment. A partitioned table counts what its partitions hold.
TABLES = f"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT sum(greatest(l.reltuples, 0)) FROM pg_partition_tree(c.oid) t
                  JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
            ELSE c.reltuples END::bigint,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT sum(pg_table_size(t.relid)) FROM pg_partition_tree(c.oid) t WHERE t.isleaf)
            ELSE pg_table_size(c.oid) END::bigint,
       obj_description(c.oid, 'pg_class')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relnamespace = ANY(?::oid[]) AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
  AND {no_extension("pg_class", "c.oid")}
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

#: Every type but rows of tables.
TYPES = f"""
SELECT t.oid::bigint, t.typname, format_type(t.oid, NULL),
       n.nspname IN ('pg_catalog', 'information_schema') AND {no_extension("pg_type", "t.oid")},
       t.typtype, t.typbasetype::bigint, t.typtypmod,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE '' END,
       t.typnotnull, pg_get_expr(t.typdefaultbin, 0),
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype <> 'c' OR EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
"""

#: table, name, type, modifier, native, not null, default or generation, identity, generated, collation, comment
COLUMNS = """
SELECT a.attrelid::bigint, a.attname, a.atttypid::bigint, a.atttypmod, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
       CASE WHEN a.attcollation <> t.typcollation
            THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
       col_description(a.attrelid, a.attnum)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation co ON co.oid = a.attcollation
LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
WHERE c.relnamespace = ANY(?::oid[]) AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""


def constraints(version: int) -> str:
    """table, name, type, columns, referenced schema, table, columns, actions, match, deferrable, deferred, validated,
    nulls distinct, expression, definition, the columns of ON DELETE SET NULL (…)."""
    distinct = "NOT i.indnullsnotdistinct" if version >= 150000 else "true"
    columns = (
        "ARRAY(SELECT a.attname::text FROM unnest(k.{key}) WITH ORDINALITY u(n, o) JOIN pg_attribute a"
        " ON a.attrelid = k.{of} AND a.attnum = u.n ORDER BY u.o)"
    )
    return f"""
SELECT k.conrelid::bigint, k.conname, k.contype, {columns.format(key="conkey", of="conrelid")},
       rn.nspname, r.relname, {columns.format(key="confkey", of="confrelid")},
       k.confdeltype, k.confupdtype, k.confmatchtype, k.condeferrable, k.condeferred, k.convalidated,
       coalesce({distinct}, true), pg_get_expr(k.conbin, k.conrelid), pg_get_constraintdef(k.oid),
       {columns.format(key="confdelsetcols", of="conrelid") if version >= 150000 else "'{}'::text[]"}
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u')
LEFT JOIN pg_class r ON r.oid = k.confrelid
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relnamespace = ANY(?::oid[]) AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
  AND k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0
ORDER BY k.conrelid, k.contype, k.conname COLLATE "C"
"""


def indexes(version: int) -> str:
    """One row for each element: index, table, name, position, key elements, column, expression, options, collation,
    operator class, unique, predicate, method, nulls distinct, valid, definition."""
    distinct = "NOT i.indnullsnotdistinct" if version >= 150000 else "true"
    return f"""
SELECT i.indexrelid::bigint, i.indrelid::bigint, ic.relname, p.n, i.indnkeyatts, a.attname,
       CASE WHEN i.indkey[p.n - 1] = 0 THEN pg_get_indexdef(i.indexrelid, p.n, false) END,
       CASE WHEN p.n <= i.indnkeyatts THEN i.indoption[p.n - 1] ELSE 0 END,
       CASE WHEN p.n <= i.indnkeyatts AND i.indcollation[p.n - 1] <> coalesce(a.attcollation, i.indcollation[p.n - 1])
            THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
       CASE WHEN p.n <= i.indnkeyatts AND NOT o.opcdefault
            THEN quote_ident(opn.nspname) || '.' || quote_ident(o.opcname) END,
       i.indisunique, pg_get_expr(i.indpred, i.indrelid), am.amname, {distinct}, i.indisvalid,
       pg_get_indexdef(i.indexrelid)
FROM pg_index i
JOIN pg_class ic ON ic.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_am am ON am.oid = ic.relam
CROSS JOIN LATERAL generate_series(1, i.indnatts) p(n)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.n - 1] AND a.attnum <> 0
LEFT JOIN pg_collation co ON p.n <= i.indnkeyatts AND co.oid = i.indcollation[p.n - 1]
LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
LEFT JOIN pg_opclass o ON p.n <= i.indnkeyatts AND o.oid = i.indclass[p.n - 1]
LEFT JOIN pg_namespace opn ON opn.oid = o.opcnamespace
WHERE c.relnamespace = ANY(?::oid[]) AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, ic.relname COLLATE "C", p.n
"""


#: schema, name, type, start, increment, minimum, maximum, cycle, cache, last value, owner's schema, table, column
SEQUENCES = f"""
SELECT n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
       s.seqcycle, s.seqcache,
       CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid) END,
       tn.nspname, t.relname, a.attname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
     AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid
LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relnamespace = ANY(?::oid[]) AND c.relkind = 'S' AND {no_extension("pg_class", "c.oid")}
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

#: What expressions can name beside the system's own, as they print it but for quotes.
NAMES = """
SELECT n.nspname || '.' || x.name FROM (
  SELECT pronamespace, proname FROM pg_proc UNION SELECT typnamespace, typname FROM pg_type
  UNION SELECT oprnamespace, oprname FROM pg_operator UNION SELECT collnamespace, collname FROM pg_collation
  UNION SELECT opcnamespace, opcname FROM pg_opclass
) x(namespace, name) JOIN pg_namespace n ON n.oid = x.namespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
"""

EXTRAS = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, current_setting('server_version')
FROM pg_database WHERE datname = current_database()
"""

IDENTITY = """
SELECT oid::bigint, datname::text,
       has_function_privilege('pg_control_system()', 'EXECUTE')
FROM pg_database WHERE datname = current_database()
"""

#: What hangs on the tables from outside of them, in words.
DEPENDENTS = """
WITH own AS (SELECT unnest(?::oid[]) AS oid),
parts AS (SELECT oid FROM own UNION
          SELECT t.relid FROM own JOIN pg_class c ON c.oid = own.oid AND c.relkind = 'p',
          LATERAL pg_partition_tree(own.oid) t WHERE t.relid IS NOT NULL),
inside AS (SELECT oid FROM parts UNION SELECT unnest(?::oid[]))
SELECT DISTINCT w FROM (
  SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'rule of table ' END
         || c.oid::regclass::text AS w
  FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  JOIN pg_class c ON c.oid = r.ev_class
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM parts)
    AND c.oid NOT IN (SELECT oid FROM inside)
  UNION ALL
  SELECT 'foreign key ' || quote_ident(k.conname) || ' of table ' || k.conrelid::regclass::text
  FROM pg_constraint k
  WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM parts) AND k.conrelid NOT IN (SELECT oid FROM inside)
    AND k.conparentid = 0
  UNION ALL
  SELECT 'policy ' || quote_ident(p.polname) || ' of table ' || p.polrelid::regclass::text
  FROM pg_depend d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM parts)
    AND p.polrelid NOT IN (SELECT oid FROM inside)
  UNION ALL
  SELECT CASE f.prokind WHEN 'p' THEN 'procedure ' ELSE 'function ' END || f.oid::regprocedure::text
  FROM pg_depend d JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
  WHERE (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM parts))
     OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN
         (SELECT t.oid FROM pg_type t WHERE t.typrelid IN (SELECT oid FROM parts)))
  UNION ALL
  SELECT 'publication ' || quote_ident(b.pubname)
  FROM pg_publication_rel r JOIN pg_publication b ON b.oid = r.prpubid WHERE r.prrelid IN (SELECT oid FROM parts)
  UNION ALL
  SELECT 'child table ' || h.inhrelid::regclass::text
  FROM pg_inherits h WHERE h.inhparent IN (SELECT oid FROM parts) AND h.inhrelid NOT IN (SELECT oid FROM inside)
  UNION ALL
  SELECT 'column ' || quote_ident(a.attname) || ' of ' || a.attrelid::regclass::text || ' uses its row type'
  FROM pg_type t JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
  WHERE t.typrelid IN (SELECT oid FROM parts) AND a.attrelid NOT IN (SELECT oid FROM inside)
  UNION ALL
  SELECT 'default of ' || ad.adrelid::regclass::text || ' uses a sequence that '
         || own_seq.refobjid::regclass::text || ' owns'
  FROM pg_depend own_seq
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = own_seq.objid
       AND d.classid = 'pg_attrdef'::regclass
  JOIN pg_attrdef ad ON ad.oid = d.objid
  WHERE own_seq.classid = 'pg_class'::regclass AND own_seq.refclassid = 'pg_class'::regclass
    AND own_seq.deptype IN ('a', 'i') AND own_seq.refobjsubid > 0
    AND own_seq.refobjid IN (SELECT oid FROM parts) AND ad.adrelid NOT IN (SELECT oid FROM inside)
) x ORDER BY w
"""
