//! Empty: the package is here for its dependencies' migrations.
