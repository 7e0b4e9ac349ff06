//! A plugin of the forum that gives users points for likes and for posts. Readers store
//! the points under the version of the cache `reputation`.

/// Returns the plugin's migrations, for the host's migrator.
pub fn migrations() -> bustard::App {
    bustard::app!("reputation")
}
