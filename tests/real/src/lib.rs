//! An empty library. The package exists only for the migrations of its dependencies.
