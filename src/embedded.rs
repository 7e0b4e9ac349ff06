//! Migrations that are in the binary. `build.rs` has checked the files and written
//! the list of them; [`app!`](crate::app!) makes an [`App`] of it.
//!
//! All but the macro is for the code that the macro writes.

pub use crate::model::{Builds, Built, File, embedded_app as app};

/// The migrations that the package's build script has embedded, as an [`App`].
///
/// Takes the label, and the directory as it was given to
/// [`bustard::build::embed`](https://docs.rs/bustard/latest/bustard/build/fn.embed.html),
/// which is `"migrations"` if it is left out. The texts are in the binary, and
/// nothing is read when it runs.
///
/// ```no_run
/// pub fn migrations() -> bustard::App {
///     bustard::app!("bans")
/// }
/// ```
///
/// A package whose migrations are SQL only may say this anywhere. With migrations
/// in Rust it belongs in `src/lib.rs`, `src/main.rs` or a file beside them: the
/// compiler looks for modules from there. (An absolute path would be found from
/// everywhere, and be in the binary.)
///
/// A file `V2__fill.rs` has a function that returns a `String`, which is read as an
/// SQL file is, or a [`Migration`]:
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
