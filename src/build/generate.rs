//! Generates the code that `app!` includes: a macro with all migrations of a directory.
//!
//! In: the paths of the files. Out: a file in `OUT_DIR`, and an environment variable with
//! its path for the compiler. Bustard's own `build.rs` includes this file, so it may use
//! only `std`.
//!
//! The generated code is a macro so that the paths of modules are relative to its caller.
//! In a plain file that is included from `OUT_DIR`, the paths would have to be absolute,
//! and would become part of the binary.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// A migration file to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Embedded {
    /// The path relative to the directory, with `/`.
    pub path: String,
    /// The name of the module, if the file is written in Rust.
    pub module: Option<String>,
}

/// Writes the code for a directory of the package and publishes its path to Cargo, under
/// the normalised name and the name as `given`, because `app!` accepts both.
pub(crate) fn publish(directory: &str, given: &str, files: &[Embedded]) -> io::Result<()> {
    let variable = |name| env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")));
    let (out, package) = (variable("OUT_DIR")?, variable("CARGO_PKG_NAME")?);
    let file = Path::new(&out).join("bustard").join(format!("{directory}.rs"));
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&file, code(directory, files))?;
    // The variable contains the package's name, because Cargo passes it to programs too,
    // and a program may build another package.
    for name in [directory, given] {
        println!("cargo:rustc-env=BUSTARD_EMBEDDED_{package}_{name}={}", file.display());
    }
    Ok(())
}

/// Returns the text of the macro.
fn code(directory: &str, files: &[Embedded]) -> String {
    let (mut modules, mut list) = (String::new(), String::new());
    for Embedded { path, module } in files {
        let from_package = format!("/{directory}/{path}");
        // Writing to a string cannot fail.
        let _ = match module {
            // The code contains `include_str!` and not the text, so that rustc tracks the
            // file.
            None => writeln!(
                list,
                "            ({path:?}, $bustard::embedded::File::Sql(include_str!(concat!(\n                \
                 env!(\"CARGO_MANIFEST_DIR\"), {from_package:?}\n            )))),"
            ),
            Some(module) => {
                let from_src = format!("..{from_package}");
                let _ = writeln!(
                    modules,
                    "        #[path = {from_src:?}]\n        #[allow(unreachable_pub)]\n        \
                     mod {module}; // `bustard::app!` belongs in src/lib.rs, src/main.rs or a file beside them"
                );
                writeln!(
                    list,
                    "            ({path:?}, $bustard::embedded::File::Rust(|| {{\n                \
                     $bustard::embedded::Builds::build({module}::migration()) // {}\n            }})),",
                    &from_package[1..]
                )
            }
        };
    }
    format!(
        "macro_rules! bustard_embedded_files {{\n    ($bustard:tt, $label:expr) => {{{{\n{modules}        \
         const FILES: &[(&str, $bustard::embedded::File)] = &[\n{list}        ];\n        \
         $bustard::embedded::app($label, FILES)\n    }}}};\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_sql_are_relative_to_the_package_and_of_rust_to_src() {
        let files = [
            Embedded { path: "V1__a.sql".into(), module: None },
            Embedded { path: "more/V2__\"b.rs".into(), module: Some("v2".into()) },
        ];
        assert_eq!(
            code("db/main", &files),
            r#"macro_rules! bustard_embedded_files {
    ($bustard:tt, $label:expr) => {{
        #[path = "../db/main/more/V2__\"b.rs"]
        #[allow(unreachable_pub)]
        mod v2; // `bustard::app!` belongs in src/lib.rs, src/main.rs or a file beside them
        const FILES: &[(&str, $bustard::embedded::File)] = &[
            ("V1__a.sql", $bustard::embedded::File::Sql(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/db/main/V1__a.sql"
            )))),
            ("more/V2__\"b.rs", $bustard::embedded::File::Rust(|| {
                $bustard::embedded::Builds::build(v2::migration()) // db/main/more/V2__"b.rs
            })),
        ];
        $bustard::embedded::app($label, FILES)
    }};
}
"#
        );
    }
}
