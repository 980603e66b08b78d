//! The schema: golden dumps of both engines, and that they say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use doorward::store::Val;

use super::bench::Bench;

fn texts(bench: &Bench, sql: &str) -> Vec<Vec<String>> {
    bench
        .rows(sql, &[])
        .into_iter()
        .map(|row| {
            row.into_iter()
                .map(|value| match value {
                    Val::Text(text) => text,
                    Val::Int(number) => number.to_string(),
                    Val::Bool(value) => i32::from(value).to_string(),
                    Val::Null => String::new(),
                    other => panic!("{other:?}"),
                })
                .collect()
        })
        .collect()
}

fn golden(name: &str, dump: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("schema/sql/{name}.sql"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, dump).unwrap();
    } else {
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            golden, dump,
            "schema/sql/{name}.sql is out of date: UPDATE_GOLDEN=1 rewrites it"
        );
    }
}

const HEADER: &str =
    "-- What the migrations make, all together. Written by a test under UPDATE_GOLDEN=1.\n";

#[test]
fn the_golden_dump_of_sqlite_is_what_the_migrations_make() {
    let bench = Bench::sqlite();
    let statements = texts(
        &bench,
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL
         ORDER BY tbl_name, CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, name",
    );
    let mut dump = HEADER.to_owned();
    for statement in statements {
        writeln!(dump, "\n{};", statement[0]).unwrap();
    }
    golden("sqlite", &dump);
}

#[test]
fn the_golden_dump_of_postgresql_is_what_the_migrations_make() {
    let Some(bench) = Bench::postgres() else {
        return;
    };
    let mut dump = HEADER.to_owned();
    for line in texts(&bench, POSTGRES_DUMP) {
        writeln!(dump, "\n{};", line[0]).unwrap();
    }
    golden("postgres", &dump);
}

/// Without `pg_dump`, whose words change with its version.
const POSTGRES_DUMP: &str = "
WITH tables AS (
    SELECT c.oid, c.relname, coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS options
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
), parts AS (
    SELECT t.relname, 0 AS rank, '' AS name,
           'CREATE TABLE ' || t.relname || ' (' || chr(10) || (
               SELECT string_agg('    ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
                          || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ''),
                          ',' || chr(10) ORDER BY a.attnum)
               FROM pg_attribute a
               LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
               WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
           ) || chr(10) || ')' || t.options AS sql
    FROM tables t
    UNION ALL
    SELECT t.relname, 1, c.conname,
           'ALTER TABLE ' || t.relname || ' ADD CONSTRAINT ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
    FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid WHERE c.contype <> 'n'
    UNION ALL
    SELECT t.relname, 2, i.relname, pg_get_indexdef(i.oid)
    FROM tables t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
    WHERE NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u'))
    UNION ALL
    SELECT t.relname, 3, g.tgname, pg_get_triggerdef(g.oid)
    FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
    UNION ALL
    SELECT '', 4, p.proname, 'CREATE FUNCTION ' || p.proname || '() AS $$' || p.prosrc || '$$'
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
)
SELECT sql FROM parts ORDER BY relname, rank, name";

/// What both engines must agree on about a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// Name to (type word, nullable), in any order.
    columns: BTreeMap<String, (String, bool)>,
    key: Vec<String>,
    uniques: BTreeSet<Vec<String>>,
    /// Columns, table, its columns, what happens on delete.
    references: BTreeSet<(Vec<String>, String, Vec<String>, String)>,
    /// Columns with the longest text they take.
    lengths: BTreeMap<String, u32>,
}

type Schema = BTreeMap<String, Table>;

fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

fn of_sqlite(bench: &Bench) -> Schema {
    let mut schema = Schema::new();
    for row in texts(
        bench,
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    ) {
        let mut table = Table::default();
        let name = &row[0];
        for column in texts(
            bench,
            &format!(
                "SELECT name, type, \"notnull\", pk FROM pragma_table_info('{name}') ORDER BY pk, cid"
            ),
        ) {
            table
                .columns
                .insert(column[0].clone(), (column[1].clone(), column[2] == "0"));
            if column[3] != "0" {
                table.key.push(column[0].clone());
            }
        }
        for unique in texts(bench, &format!(
            "SELECT (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno))
             FROM pragma_index_list('{name}') l WHERE l.\"unique\" AND l.origin = 'u'")) {
            table.uniques.insert(words(&unique[0]));
        }
        for reference in texts(
            bench,
            &format!(
            "SELECT group_concat(\"from\", ','), \"table\", group_concat(\"to\", ','), on_delete
             FROM (SELECT * FROM pragma_foreign_key_list('{name}') ORDER BY id, seq)
             GROUP BY id, \"table\", on_delete"),
        ) {
            table.references.insert((
                words(&reference[0]),
                reference[1].clone(),
                words(&reference[2]),
                reference[3].clone(),
            ));
        }
        for part in row[1].split("length(").skip(1) {
            if let Some((column, rest)) = part.split_once(") <= ") {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                table
                    .lengths
                    .insert(column.to_owned(), digits.parse().unwrap());
            }
        }
        schema.insert(name.clone(), table);
    }
    schema
}

/// PostgreSQL's types in the words of SQLite's STRICT tables.
fn type_word(postgres: &str) -> (&'static str, Option<u32>) {
    if let Some(length) = postgres.strip_prefix("character varying(") {
        return ("TEXT", length.trim_end_matches(')').parse().ok());
    }
    let word = match postgres {
        "uuid" | "bytea" => "BLOB",
        "timestamp with time zone" | "bigint" | "integer" | "boolean" => "INTEGER",
        "text" | "text[]" => "TEXT",
        other => panic!("the two engines have no common word for {other}"),
    };
    (word, None)
}

fn of_postgres(bench: &Bench) -> Schema {
    let mut schema = Schema::new();
    for row in texts(
        bench,
        "
        SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND a.attnum > 0 AND NOT a.attisdropped",
    ) {
        let table: &mut Table = schema.entry(row[0].clone()).or_default();
        let (word, length) = type_word(&row[2]);
        table
            .columns
            .insert(row[1].clone(), (word.to_owned(), row[3] == "0"));
        if let Some(length) = length {
            table.lengths.insert(row[1].clone(), length);
        }
    }
    for row in texts(bench, "
        SELECT conrelid::regclass::text, contype::text,
               (SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(conkey) WITH ORDINALITY k(num, n)
                JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.num),
               CASE WHEN confrelid = 0 THEN NULL ELSE confrelid::regclass::text END,
               (SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(confkey) WITH ORDINALITY k(num, n)
                JOIN pg_attribute a ON a.attrelid = confrelid AND a.attnum = k.num),
               CASE confdeltype WHEN 'c' THEN 'CASCADE' ELSE 'NO ACTION' END
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f')")
    {
        let table = schema.get_mut(&row[0]).unwrap();
        let columns = words(&row[2]);
        match row[1].as_str() {
            "p" => table.key = columns,
            "u" => {
                table.uniques.insert(columns);
            }
            _ => {
                table.references.insert((columns, row[3].clone(), words(&row[4]), row[5].clone()));
            }
        }
    }
    schema
}

#[test]
fn both_engines_have_the_same_tables_columns_keys_and_references() {
    let Some(postgres) = Bench::postgres() else {
        return;
    };
    let sqlite = of_sqlite(&Bench::sqlite());
    let postgres = of_postgres(&postgres);
    assert_eq!(
        sqlite.keys().collect::<Vec<_>>(),
        postgres.keys().collect::<Vec<_>>()
    );
    for (name, table) in &sqlite {
        assert_eq!(Some(table), postgres.get(name), "{name}");
    }
}

#[test]
fn the_indexes_of_both_engines_have_the_same_names() {
    let Some(postgres) = Bench::postgres() else {
        return;
    };
    let sqlite = texts(
        &Bench::sqlite(),
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    );
    let postgres = texts(
        &postgres,
        "SELECT indexname::text FROM pg_indexes
         WHERE schemaname = 'public' AND indexname LIKE 'idx\\_%' ORDER BY indexname",
    );
    assert_eq!(sqlite, postgres);
}
