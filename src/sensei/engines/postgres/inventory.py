"""What PostgreSQL's catalogs hold beside tables, keys, indexes and sequences: inventoried by name, not carried."""

from __future__ import annotations

from sensei.engines.postgres.queries import no_extension

_FULL = "quote_ident(n.nspname) || '.' || quote_ident({0})"

#: kind, name, definition, table's schema, table's name; `{ns}` is the list of namespaces.
_OTHERS = (
    f"""SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, {_FULL.format("c.relname")},
        pg_get_viewdef(c.oid), NULL::name, NULL::name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{{ns}}]::oid[]) AND c.relkind IN ('v', 'm') AND {no_extension("pg_class", "c.oid")}""",
    """SELECT 'trigger', quote_ident(g.tgname), pg_get_triggerdef(g.oid), n.nspname, c.relname
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND NOT g.tgisinternal AND NOT c.relispartition""",
    f"""SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window function'
        ELSE 'function' END, p.oid::regprocedure::text,
        CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE pg_get_function_result(p.oid) END,
        NULL, NULL
    FROM pg_proc p WHERE p.pronamespace = ANY(ARRAY[{{ns}}]::oid[]) AND {no_extension("pg_proc", "p.oid")}""",
    f"""SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, t.oid::regtype::text,
        CASE t.typtype
          WHEN 'e' THEN 'ENUM (' || (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                                    FROM pg_enum e WHERE e.enumtypid = t.oid) || ')'
          WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
               || coalesce(' DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), '')
               || coalesce((SELECT string_agg(' ' || pg_get_constraintdef(k.oid), '' ORDER BY k.conname)
                            FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '')
          WHEN 'c' THEN (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                                           ORDER BY a.attnum)
                         FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
          ELSE 'RANGE' END, NULL, NULL
    FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = ANY(ARRAY[{{ns}}]::oid[]) AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
      AND {no_extension("pg_type", "t.oid")}""",
    """SELECT 'exclusion constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid), n.nspname, c.relname
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND k.contype = 'x' AND NOT c.relispartition""",
    """SELECT 'policy', quote_ident(p.polname),
        concat_ws(' ', p.polcmd::text, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  'USING ' || pg_get_expr(p.polqual, p.polrelid), 'CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid)),
        n.nspname, c.relname
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[])""",
    """SELECT 'row level security', quote_ident(c.relname),
        CASE WHEN c.relforcerowsecurity THEN 'FORCED' ELSE 'ENABLED' END, n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.relrowsecurity""",
    """SELECT 'rule', quote_ident(w.rulename), pg_get_ruledef(w.oid), n.nspname, c.relname
    FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND w.rulename <> '_RETURN'""",
    f"""SELECT 'statistics', {_FULL.format("s.stxname")}, pg_get_statisticsobjdef(s.oid), tn.nspname, c.relname
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN pg_class c ON c.oid = s.stxrelid
    JOIN pg_namespace tn ON tn.oid = c.relnamespace WHERE n.oid = ANY(ARRAY[{{ns}}]::oid[])""",
    """SELECT 'inheritance', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
        'INHERITS ' || h.inhparent::regclass::text, n.nspname, c.relname
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND NOT c.relispartition AND c.relkind IN ('r', 'f')""",
    """SELECT 'grant', CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE '' END || quote_ident(n.nspname) || '.'
        || quote_ident(c.relname), c.relacl::text, n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.relacl IS NOT NULL AND c.relkind IN ('r', 'p', 'f', 'S', 'v', 'm')
      AND NOT c.relispartition""",
    """SELECT 'extension', quote_ident(e.extname), e.extversion, NULL, NULL
    FROM pg_extension e WHERE e.extname <> 'plpgsql'""",
    """SELECT 'event trigger', quote_ident(v.evtname), v.evtevent || ' ' || v.evtfoid::regprocedure::text, NULL, NULL
    FROM pg_event_trigger v""",
    f"""SELECT 'publication', quote_ident(b.pubname),
        CASE WHEN b.puballtables THEN 'FOR ALL TABLES' ELSE coalesce((SELECT string_agg(
        {_FULL.format("c.relname")}, ', ' ORDER BY 1) FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.prpubid = b.oid), '') END, NULL, NULL
    FROM pg_publication b""",
    """SELECT 'storage parameters', CASE WHEN c.relkind IN ('i', 'I') THEN 'index ' ELSE '' END
        || quote_ident(n.nspname) || '.' || quote_ident(c.relname),
        array_to_string(c.reloptions, ', '), tn.nspname, t.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid) LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.reloptions IS NOT NULL AND c.relkind IN ('r', 'p', 'i', 'I')
      AND NOT c.relispartition""",
    """SELECT 'replica identity', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
        CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX '
          || coalesce((SELECT i.indexrelid::regclass::text FROM pg_index i
                       WHERE i.indrelid = c.oid AND i.indisreplident), '') END, n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.relkind IN ('r', 'p') AND c.relreplident <> 'd'
      AND NOT c.relispartition""",
    """SELECT 'cluster mark', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
        'CLUSTER ON ' || i.indexrelid::regclass::text, n.nspname, c.relname
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND i.indisclustered AND NOT c.relispartition""",
    """SELECT 'unlogged table', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'UNLOGGED', n.nspname,
        c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.relkind IN ('r', 'p') AND c.relpersistence = 'u'""",
    """SELECT 'tablespace', quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(s.spcname),
        n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_tablespace s ON s.oid = c.reltablespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition""",
    # By way of JSON: which of these columns there are depends on the server's version.
    """SELECT 'column settings', quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.'
          || quote_ident(a.attname),
        concat_ws(', ', 'STORAGE ' || CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
                  'COMPRESSION ' || nullif(to_jsonb(a) ->> 'attcompression', ''),
                  'STATISTICS ' || nullif(to_jsonb(a) ->> 'attstattarget', '-1'),
                  array_to_string(a.attoptions, ', ')), n.nspname, c.relname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
      AND NOT a.attisdropped AND (a.attstorage <> t.typstorage OR coalesce(to_jsonb(a) ->> 'attcompression', '') <> ''
        OR coalesce(to_jsonb(a) ->> 'attstattarget', '-1') <> '-1' OR a.attoptions IS NOT NULL)""",
    """SELECT 'grant', 'column ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.'
          || quote_ident(a.attname), a.attacl::text, n.nspname, c.relname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND a.attacl IS NOT NULL AND NOT a.attisdropped AND NOT c.relispartition""",
    """SELECT 'grant', 'schema ' || quote_ident(n.nspname), n.nspacl::text, NULL, NULL
    FROM pg_namespace n WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND n.nspacl IS NOT NULL AND n.nspname <> 'public'""",
    """SELECT 'default privileges', CASE WHEN n.oid IS NULL THEN 'everywhere'
          ELSE 'schema ' || quote_ident(n.nspname) END
          || ' for ' || d.defaclrole::regrole::text || ' on ' || d.defaclobjtype::text,
        d.defaclacl::text, NULL, NULL
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    WHERE d.defaclnamespace = 0 OR n.oid = ANY(ARRAY[{ns}]::oid[])""",
    f"""SELECT 'comment', CASE WHEN c.relkind IN ('i', 'I') THEN 'index ' ELSE 'sequence ' END
        || {_FULL.format("c.relname")}, d.description, NULL, NULL
    FROM pg_description d JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid AND d.objsubid = 0
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{{ns}}]::oid[]) AND c.relkind IN ('i', 'I', 'S')""",
    """SELECT 'comment', 'constraint ' || quote_ident(k.conname), d.description, n.nspname, c.relname
    FROM pg_description d JOIN pg_constraint k ON d.classoid = 'pg_constraint'::regclass AND k.oid = d.objoid
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[])""",
    """SELECT 'comment', 'schema ' || quote_ident(n.nspname), d.description, NULL, NULL
    FROM pg_description d JOIN pg_namespace n ON d.classoid = 'pg_namespace'::regclass AND n.oid = d.objoid
    WHERE n.oid = ANY(ARRAY[{ns}]::oid[]) AND n.nspname <> 'public'""",
    f"""SELECT 'collation', {_FULL.format("o.collname")}, o.collcollate, NULL, NULL
    FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace
    WHERE n.oid = ANY(ARRAY[{{ns}}]::oid[]) AND {no_extension("pg_collation", "o.oid")}""",
    f"""SELECT 'operator', o.oid::regoperator::text, o.oprcode::text, NULL, NULL
    FROM pg_operator o WHERE o.oprnamespace = ANY(ARRAY[{{ns}}]::oid[]) AND {no_extension("pg_operator", "o.oid")}""",
    f"""SELECT 'text search configuration', {_FULL.format("o.cfgname")}, '', NULL, NULL
    FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace
    WHERE n.oid = ANY(ARRAY[{{ns}}]::oid[]) AND {no_extension("pg_ts_config", "o.oid")}""",
    f"""SELECT 'text search dictionary', {_FULL.format("o.dictname")}, coalesce(o.dictinitoption, ''), NULL, NULL
    FROM pg_ts_dict o JOIN pg_namespace n ON n.oid = o.dictnamespace
    WHERE n.oid = ANY(ARRAY[{{ns}}]::oid[]) AND {no_extension("pg_ts_dict", "o.oid")}""",
    """SELECT 'foreign server', quote_ident(f.srvname), coalesce(array_to_string(f.srvoptions, ', '), ''), NULL, NULL
    FROM pg_foreign_server f""",
    # Values of their own, outside of every table: a column that holds their numbers would point at nothing.
    """SELECT 'large objects', 'of the whole database', count(*)::text, NULL, NULL
    FROM pg_largeobject_metadata HAVING count(*) > 0""",
)


def others(namespaces: list[int]) -> str:
    """Return the query for everything that is inventoried but not carried."""
    listed = ", ".join(str(int(n)) for n in namespaces)
    parts = [part.replace("{ns}", listed) for part in _OTHERS]
    return "SELECT * FROM (" + "\nUNION ALL\n".join(parts) + ") x ORDER BY 1, 4, 2, 3"
