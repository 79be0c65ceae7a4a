"""The questions put to PostgreSQL's catalogs before its own tables are set aside."""

from __future__ import annotations

#: What a planned name may be taken by, other than a plain table.
RELKINDS = {
    "p": "a partitioned table: its partitions would stay behind",
    "f": "a foreign table",
    "v": "a view",
    "m": "a materialized view",
    "S": "a sequence",
    "c": "a composite type",
    "i": "an index",
    "I": "an index",
}

#: schema, name, relkind, oid of what bears these names.
HELD = """
SELECT n.nspname, c.relname, c.relkind, c.oid::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN unnest(?::text[], ?::text[]) w(s, t) ON w.s = n.nspname AND w.t = c.relname
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

#: What keeps tables from being moved, or what hangs on them from being bound anew, in words.
HINDERS = """
WITH own AS (SELECT unnest(?::oid[]) AS oid)
SELECT w FROM (
  SELECT h.inhrelid::regclass::text || ' inherits from ' || h.inhparent::regclass::text AS w
  FROM pg_inherits h WHERE h.inhrelid IN (SELECT oid FROM own)
  UNION ALL
  SELECT own.oid::regclass::text || ' belongs to the extension ' || quote_ident(x.extname)
  FROM own JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = own.oid AND d.deptype = 'e'
  JOIN pg_extension x ON x.oid = d.refobjid
  UNION ALL
  SELECT 'foreign key ' || quote_ident(k.conname) || ' of ' || k.conrelid::regclass::text
         || ', which is no plain table'
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM own) AND k.conrelid NOT IN (SELECT oid FROM own)
    AND k.conparentid = 0 AND c.relkind <> 'r'
  UNION ALL
  SELECT 'foreign key ' || quote_ident(k.conname) || ' of table ' || k.conrelid::regclass::text
         || ', whose enforcement was changed by ALTER TABLE … TRIGGER'
  FROM pg_constraint k
  WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM own) AND k.conrelid NOT IN (SELECT oid FROM own)
    AND EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled <> 'O')
  UNION ALL
  SELECT DISTINCT 'rule ' || quote_ident(r.rulename) || ' of ' || r.ev_class::regclass::text
  FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM own)
    AND r.rulename <> '_RETURN' AND r.ev_class NOT IN (SELECT oid FROM own)
  UNION ALL
  SELECT 'sequence ' || own.oid::regclass::text || ' belongs to ' || d.refobjid::regclass::text
  FROM own JOIN pg_class c ON c.oid = own.oid AND c.relkind = 'S'
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = own.oid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
  WHERE d.refobjid NOT IN (SELECT oid FROM own)
  UNION ALL
  SELECT 'default of ' || ad.adrelid::regclass::text || ' uses the sequence ' || own.oid::regclass::text
  FROM own JOIN pg_class c ON c.oid = own.oid AND c.relkind = 'S'
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = own.oid
    AND d.classid = 'pg_attrdef'::regclass
  JOIN pg_attrdef ad ON ad.oid = d.objid WHERE ad.adrelid NOT IN (SELECT oid FROM own)
) x ORDER BY w
"""

#: view, table, column (NULL: the table as such) of what views use of these tables.
VIEW_COLUMNS = """
SELECT DISTINCT c.oid::bigint, d.refobjid::bigint, a.attname
FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY(?::oid[]) AND r.rulename = '_RETURN'
ORDER BY 1, 2, 3
"""

#: view, table, columns of keys of these tables that views lean on (GROUP BY a primary key alone).
VIEW_KEYS = """
SELECT DISTINCT r.ev_class::bigint, k.conrelid::bigint,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) u(n) JOIN pg_attribute a
             ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.n)
FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
JOIN pg_constraint k ON d.refclassid = 'pg_constraint'::regclass AND k.oid = d.refobjid
WHERE k.conrelid = ANY(?::oid[]) AND k.conrelid <> r.ev_class
"""

#: oid, schema, name, words, text, options, mark of views.
VIEWS = """
SELECT c.oid::bigint, n.nspname, c.relname, 'view ' || c.oid::regclass::text, pg_get_viewdef(c.oid), c.reloptions,
       md5(pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, ''))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY(?::oid[]) ORDER BY c.oid
"""

#: referenced table, schema, table, name, words, definition, columns, referenced columns, validated, comment, mark
FOREIGN_KEYS = """
WITH own AS (SELECT unnest(?::oid[]) AS oid)
SELECT k.confrelid::bigint, n.nspname, c.relname, k.conname,
       'foreign key ' || quote_ident(k.conname) || ' of table ' || k.conrelid::regclass::text,
       pg_get_constraintdef(k.oid),
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, o) JOIN pg_attribute a
             ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, o) JOIN pg_attribute a
             ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.o),
       k.convalidated, obj_description(k.oid, 'pg_constraint'), md5(pg_get_constraintdef(k.oid))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM own) AND k.conrelid NOT IN (SELECT oid FROM own)
  AND k.conparentid = 0 AND c.relkind = 'r'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", k.conname COLLATE "C"
"""

KEY_NOW = """
SELECT md5(pg_get_constraintdef(k.oid)) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ? AND c.relname = ? AND k.conname = ? AND k.contype = 'f'
"""
