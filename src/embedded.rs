//! Migrations that are embedded in the binary. `build.rs` has checked the files and
//! generated a list of them. [`app!`](crate::app!) returns the list as an
//! [`App`](crate::App).
//!
//! In: the generated list of files. Out: an [`App`](crate::App). Everything except the macro is for
//! generated code.

pub use crate::model::{Builds, Built, File, embedded_app as app};

/// Returns the migrations that the package's build script has embedded, as an [`App`](crate::App).
///
/// The arguments are the label and the directory, as it was passed to
/// [`bustard::build::embed`](https://docs.rs/bustard/latest/bustard/build/fn.embed.html).
/// The default directory is `"migrations"`. The texts are in the binary; no file is read
/// at run time.
///
/// ```no_run
/// pub fn migrations() -> bustard::App {
///     bustard::app!("bans")
/// }
/// ```
///
/// A package whose migrations are SQL only may call this in any file. With migrations in
/// Rust, call it in `src/lib.rs`, `src/main.rs` or a file beside them, because the
/// compiler resolves the paths of modules relative to the file.
///
/// A file `V2__fill.rs` has a function `migration`. The function returns a `String`, which
/// is parsed like an SQL file, or it returns a [`Migration`](crate::Migration):
///
/// ```
/// use bustard::Migration;
///
/// pub fn migration() -> Migration {
///     Migration::new().sql("CREATE TABLE ban (pattern text NOT NULL)").register_cache("bans")
/// }
/// # assert!(format!("{:?}", migration()).contains("bans"));
/// ```
#[macro_export]
macro_rules! app {
    ($label:expr $(,)?) => {
        $crate::app!($label, "migrations")
    };
    ($label:expr, $directory:literal $(,)?) => {{
        #[macro_use]
        mod bustard_embedded {
            include!(env!(
                concat!("BUSTARD_EMBEDDED_", env!("CARGO_PKG_NAME"), "_", $directory),
                concat!(
                    "the build script has not embedded `",
                    $directory,
                    "`: write `fn main() { bustard::build::embed(\"",
                    $directory,
                    "\") }` into build.rs, with `bustard` and its feature `build` among the build-dependencies",
                )
            ));
        }
        bustard_embedded_files!($crate, $label)
    }};
}
