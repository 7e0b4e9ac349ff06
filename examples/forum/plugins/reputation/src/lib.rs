//! A plugin of the forum: who is liked, and who has written much, has points.
//! Readers keep them under the version of the cache `reputation`.

/// The plugin's migrations, for the host's migrator.
pub fn migrations() -> bustard::App {
    bustard::app!("reputation")
}
