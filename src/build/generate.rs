//! The code that `app!` includes: a macro that has all of a directory's migrations.
//!
//! In: the paths of the files. Out: a file in `OUT_DIR`, and a variable that tells
//! the compiler where. Bustard's own `build.rs` includes this file too, so it uses
//! nothing but `std`.
//!
//! It is a macro, so that modules are found from where it is used: in a file that is
//! included from `OUT_DIR`, their paths would be absolute, and get into the binary.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// A migration file that is to be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Embedded {
    /// Its path beneath the directory, with `/`.
    pub path: String,
    /// What its module is called, if it is written in Rust.
    pub module: Option<String>,
}

/// Writes the code for a directory of the package and tells Cargo of it, by its plain
/// name and as it was `given`: `app!` may be told either.
pub(crate) fn publish(directory: &str, given: &str, files: &[Embedded]) -> io::Result<()> {
    let variable = |name| env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")));
    let (out, package) = (variable("OUT_DIR")?, variable("CARGO_PKG_NAME")?);
    let file = Path::new(&out).join("bustard").join(format!("{directory}.rs"));
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&file, code(directory, files))?;
    // Cargo hands it to the programs that it runs, too; other packages may be built there.
    for name in [directory, given] {
        println!("cargo:rustc-env=BUSTARD_EMBEDDED_{package}_{name}={}", file.display());
    }
    Ok(())
}

/// The macro.
fn code(directory: &str, files: &[Embedded]) -> String {
    let (mut modules, mut list) = (String::new(), String::new());
    for Embedded { path, module } in files {
        let from_package = format!("/{directory}/{path}");
        // Nothing fails that is written into a string.
        let _ = match module {
            // `include_str!` rather than the text: rustc then knows the file.
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
    fn sql_by_its_place_in_the_package_and_rust_by_its_place_from_src() {
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
