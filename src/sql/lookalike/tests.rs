//! Tables of comments: near misses, markers, and comments that are neither.

use super::Lookalike;
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::sql::Dialect;
use crate::sql::lexer::lex;
use crate::sql::split::{Piece, split};

/// Returns the findings in a text: what it is, and the position.
fn found(text: &str, dialect: &dyn Dialect) -> Vec<(String, usize)> {
    let (tokens, _) = lex(text, dialect.syntax());
    let finding = |piece| match piece {
        Piece::Lookalike(at, Lookalike::NearMiss(found)) => {
            assert!(found.message.contains("looks like a directive"), "{found:?}");
            Some((found.advice.map_or_else(String::new, |advice| advice.to_string()), at))
        }
        Piece::Lookalike(at, Lookalike::Marker(tool, text)) => {
            let found = super::foreign(tool, &text, 1);
            Some((found.message, at))
        }
        _ => None,
    };
    split(text, &tokens, dialect.syntax()).into_iter().filter_map(finding).collect()
}

/// Wraps a content into every form of comment; the number is where the content begins.
fn forms(content: &str) -> Vec<(String, usize)> {
    let mut forms = Vec::new();
    for (before, after) in [
        ("-- ", ""),
        ("--", "\n"),
        ("--\t", "\r\nSELECT 1;\n"),
        ("--- ", "\n"),
        ("-- -- ", "\n"),
        ("  -- ", "\n"),
        ("SELECT 1;\n-- ", "\nSELECT 2;"),
        ("SELECT 1;\n  /* ", " */\nSELECT 2;"),
        ("/* ", "*/"),
        ("/*", " */"),
        ("/** ", " **/"),
        ("/*\n", "\n*/"),
        ("/*\n * ", "\n * more\n */"),
        ("/* About it:\r\n   ", "\r\n*/ SELECT 1;"),
        ("CREATE TABLE a (x INTEGER\n-- ", "\n, y INTEGER);"),
        ("-- bustard: down\nSELECT 1;\n-- ", "\n"),
        ("SELECT ';--', '/*';\n-- ", ""),
    ] {
        forms.push((format!("{before}{content}{after}"), before.len()));
    }
    forms
}

#[test]
fn near_misses_in_every_form_of_comment() {
    let down = "-- bustard: down`";
    let mut count = 0;
    for (content, help) in [
        ("bustard down", down),
        ("Bustard DOWN", down),
        ("bustard; down", down),
        ("bustard, down", down),
        ("bustard. down", down),
        ("bustard.down", down),
        ("bustard-down", down),
        ("bustard_down", down),
        ("bustard - down", down),
        ("bustard -> down", down),
        ("bustard => down", down),
        ("bustard = down", down),
        ("bustard | down", down),
        ("bustard/ down", down),
        ("bustard! down", down),
        ("bustard (down)", down),
        ("bustard \"down\"", down),
        ("[bustard] down", down),
        ("<bustard>: down", down),
        ("@bustard down", down),
        ("@bustard: down", down),
        ("#bustard: down", down),
        ("+bustard down", down),
        ("`bustard: down`", down),
        ("'bustard': down", down),
        ("bustard\t\tdown", down),
        ("bustrad: down", down),
        ("bustrad down", down),
        ("bustad: down", down),
        ("bustards: down", down),
        ("busterd: down", down),
        ("bustar: down", down),
        ("ustard: down", down),
        ("mustard: down", down),
        ("bastard : down", down),
        ("bustarrd: down", down),
        ("vustard; down", down),
        ("b\u{fc}stard: down", down),
        ("bust\u{430}rd: down", down),
        ("busta\u{301}rd: down", down),
        ("bust\u{200b}ard: down", down),
        ("\u{200b}bustard: down", down),
        ("\u{feff}bustard: down", down),
        ("bustard\u{200b}: down", down),
        ("bustard\u{ff1a}down", down),
        ("bustard\u{ff1a} down", down),
        ("bustard\u{fe55} down", down),
        ("bustard\u{a789} down", down),
        ("bustard\u{2d0} down", down),
        ("bustard\u{2236} down", down),
        ("bustard\u{ff1b} down", down),
        ("bustard\u{a0}down", down),
        ("bustard\u{3000}down", down),
        ("bustard \u{2013} down", down),
        ("bustard\u{2026} down", down),
        ("\u{ff42}\u{ff55}\u{ff53}\u{ff54}\u{ff41}\u{ff52}\u{ff44}: down", down),
        (
            "\u{ff22}\u{ff35}\u{ff33}\u{ff34}\u{ff21}\u{ff32}\u{ff24}\u{ff1a}\u{ff44}\u{ff4f}\u{ff57}\u{ff4e}",
            down,
        ),
        ("\u{1f426} bustard: down", down),
        ("bustard dwon", down),
        ("bustard downs", down),
        ("bustrad: dwon", down),
        ("down", down),
        ("DOWN", down),
        ("Down:", down),
        ("---- down ----", down),
        ("=== DOWN ===", down),
        ("@down", down),
        ("(down)", down),
        ("down;", down),
        ("\u{ff44}\u{ff4f}\u{ff57}\u{ff4e}", down),
        ("no transaction", "-- bustard: no transaction`"),
        ("No Transaction.", "-- bustard: no transaction`"),
        ("bustard no transaction", "-- bustard: no transaction`"),
        ("bustard; no transaction", "-- bustard: no transaction`"),
        ("register cache bans", "-- bustard: register cache bans`"),
        ("register cache \"Two words\"", "-- bustard: register cache \"Two words\"`"),
        ("Register cache Bans on forum.ban;", "-- bustard: Register cache Bans on forum.ban`"),
        ("bustard register cache bans", "-- bustard: register cache bans`"),
        ("bustard; register cache Bans", "-- bustard: register cache Bans`"),
        ("bustard registr cache bans", "-- bustard: register cache NAME"),
        ("bustrad: registr cache bans", "-- bustard: register cache NAME"),
        ("unregister cache bans", "-- bustard: unregister cache bans`"),
        ("bustard unregister cache bans", "-- bustard: unregister cache bans`"),
        ("depends on forum", "-- bustard: depends on forum`"),
        ("depends on forum V3", "-- bustard: depends on forum V3`"),
        ("bustard depends on forum V3", "-- bustard: depends on forum V3`"),
        ("bustard, depends forum", "-- bustard: depends on APP"),
        ("required by forum V3", "-- bustard: required by forum V3`"),
        ("bustard required by forum", "-- bustard: required by APP VERSION"),
        ("bustard; what", "one of our directives"),
    ] {
        for (text, start) in forms(content) {
            for dialect in [POSTGRES, SQLITE] {
                let all = found(&text, dialect);
                let [(advice, at)] = &all[..] else { panic!("{dialect} {text:?}: {all:?}") };
                assert!(advice.contains(help), "{text:?}: {advice}");
                assert!((start..start + content.len()).contains(at), "{text:?}: {at}");
                count += 1;
            }
        }
    }
    assert!(count > 2_000, "{count} comments");
    // Only as a comment of its own: a block comment is no place for a directive.
    for text in [
        "/* bustard: down */",
        "/*bustard:down*/",
        "SELECT 1 /* bustard: down */;",
        "/* /* bustard: down */ */",
    ] {
        for dialect in [POSTGRES, SQLITE] {
            assert_eq!(found(text, dialect).len(), 1, "{dialect} {text:?}");
        }
    }
    let text = "/*\n bustard: down\n no transaction\n*/";
    assert_eq!(found(text, POSTGRES).len(), 2);
}

#[test]
fn other_comments_are_no_near_misses() {
    for content in [
        "",
        "bustard",
        "Bustard",
        "bustard's own tables",
        "bustard’s own tables",
        "bustard.event has one row for each invalidation",
        "bustard.invalidate('bans') is called by the application",
        "bustard_cache has one row for each cache",
        "bustard -----",
        "*** bustard ***",
        "bustard.",
        "bustard migrates this file",
        "bustard_{id}_insert: a trigger",
        "bustard-rs is a library",
        "see bustard: down is a directive",
        "a bustard: down",
        "standard: down",
        "custom: down",
        "board: down",
        "go down",
        "down there",
        "down to 3",
        "scale down",
        "the down payment",
        "no transactions are needed",
        "no transaction is open here",
        "not in a transaction",
        "register caches",
        "register cache",
        "register the cache bans",
        "unregister cache",
        "this depends on forum",
        "depends on the forum's tables",
        "depends on forum and shop",
        "required by forum",
        "required by the forum",
        "up to date",
        "set up",
        "alone",
        "allow everything",
        "moved from forum V1",
        "replaces V1",
        "formerly 123",
        "goose",
        "migrate: this moves rows up",
        "+ goose up",
        "migration up",
        "ups!",
        "create above, drop below",
        "statement breakpoint",
        "no-transactional",
        "undo",
        "revert this by hand",
        "atlas",
        "a = b",
    ] {
        for (text, _) in forms(content) {
            for dialect in [POSTGRES, SQLITE] {
                assert_eq!(found(&text, dialect), [], "{dialect} {text:?}");
            }
        }
    }
    for text in [
        "SELECT '\n-- bustard down\n';",
        "SELECT \"\n-- migrate:down\n\";",
        "SELECT 1; -- down",
        "CREATE TABLE a (x INTEGER, -- down\n y INTEGER /* down */);",
        "SELECT 8 # 3, 4 / 2;",
        "SELECT 8\n# 3\n/ 2;",
        "-- bustard: down\nSELECT 1;",
    ] {
        assert_eq!(found(text, POSTGRES), [], "{text:?}");
    }
    assert_eq!(found("DO $$\n-- bustard down\n-- +goose Down\n$$;", POSTGRES), []);
}

#[test]
fn markers_of_other_tools() {
    for (tool, markers) in [
        (
            "goose",
            &[
                "-- +goose Up",
                "-- +goose Down",
                "--+goose down",
                "  -- +goose DOWN",
                "-- +GOOSE StatementBegin",
                "-- +goose StatementEnd",
                "-- +goose NO TRANSACTION",
                "-- +goose ENVSUB ON",
                "-- x +goose Down",
                "/* +goose Down */",
                "-- \u{ff0b}goose Down",
            ][..],
        ),
        (
            "sql-migrate",
            &[
                "-- +migrate Up",
                "-- +migrate Down",
                "--+migrate StatementBegin",
                "-- +migrate Up notransaction",
            ],
        ),
        (
            "dbmate",
            &[
                "-- migrate:up",
                "-- migrate:down",
                "--migrate:down",
                "-- MIGRATE:DOWN",
                "-- migrate: down",
                "-- migrate : down",
                "-- migrate:up transaction:false",
                "-- migrate\u{ff1a}down",
            ],
        ),
        (
            "tern",
            &[
                "---- create above / drop below ----",
                "-- create above / drop below",
                "---- Create above / Drop below ----",
                "---- tern: disable-tx ----",
            ],
        ),
        ("Play", &["# --- !Ups", "# --- !Downs", "-- !Ups", "-- !Downs", "--- !Downs", "# !Downs", "#!Ups"]),
        (
            "node-pg-migrate",
            &["-- Up Migration", "-- Down Migration", "--- Down Migration", "-- down migration"],
        ),
        ("rambler", &["-- rambler up", "-- rambler down", "--rambler Down"]),
        ("shmig", &["-- ==== UP ====", "-- ==== DOWN ===="]),
        ("node-sqlite", &["-- Up", "-- UP", "-- Up:"]),
        ("MyBatis Migrations", &["-- //@UNDO", "--//@UNDO", "//@UNDO", "-- @UNDO", "-- //@undo"]),
        (
            "Liquibase",
            &[
                "--liquibase formatted sql",
                "-- liquibase formatted sql",
                "-- Liquibase  Formatted SQL stripComments:false",
            ],
        ),
        ("Sqitch", &["-- Revert flipr:users from pg", "-- Verify flipr:users on sqlite"]),
        (
            "Drizzle",
            &["--> statement-breakpoint", "SELECT 1;--> statement-breakpoint", "--> Statement-Breakpoint"],
        ),
        ("Migratus", &["--;;"]),
        ("sqlx", &["-- no-transaction", "--no-transaction"]),
        ("Atlas", &["-- atlas:txmode none", "-- atlas:delimiter \\n"]),
        ("yoyo", &["-- depends: 0001_users", "-- transactional: false"]),
    ] {
        for marker in markers {
            for text in [
                (*marker).to_owned(),
                format!("CREATE TABLE a (x INTEGER);\n{marker}\nDROP TABLE a;\n"),
                format!("{marker}\r\nDROP TABLE a;\r\n"),
                format!("-- bustard: down\n{marker}\nDROP TABLE a;"),
            ] {
                for dialect in [POSTGRES, SQLITE] {
                    let all = found(&text, dialect);
                    let [(message, at)] = &all[..] else { panic!("{dialect} {text:?}: {all:?}") };
                    assert!(message.contains(&format!("is a marker of {tool}, ")), "{text:?}: {message}");
                    let start = text.find(marker).expect("it is there");
                    assert!((start..start + marker.len()).contains(at), "{text:?}: {at}");
                }
            }
        }
    }
}
