//! A library with every sort of item, which the test reads and nothing compiles.

mod error {
    pub struct Error;
    pub type Result<T> = std::result::Result<T, Error>;
}

pub use error::{Error, Result};

pub mod seeded {
    use std::fmt;
    use std::time::Duration;

    mod inner {
        pub struct Deep;

        impl Deep {
            pub fn new() -> Self {
                Deep
            }
        }

        pub mod more {
            use crate::error::Result;

            pub fn brought(text: &str) -> Result<()> {
                Ok(())
            }
        }
    }

    pub use self::inner::Deep;
    pub use self::inner::more::*;

    pub(crate) const OWN: Duration = Duration::ZERO;

    fn own() {}

    #[doc(hidden)]
    pub fn hidden() {}

    #[cfg(feature = "tokio")]
    pub async fn wait() {}

    #[derive(Clone)]
    pub struct Thing {
        pub size: usize,
    }

    impl Thing {
        pub fn name(&self) -> &str {
            ""
        }
    }

    impl fmt::Display for Thing {}

    #[non_exhaustive]
    pub enum Sort {
        One(u8),
    }

    pub struct Walk<'a>(&'a [u8]);

    impl<'a> Iterator for Walk<'a> {
        type Item = u8;
    }

    pub trait Able<T>: Send {
        fn required(&self) -> T;
        fn provided(&self) {}
    }

    macro_rules! able {
        ($($type:ty),*) => {$(
            impl Able<u8> for $type {
                fn required(&self) -> u8 {
                    0
                }
            }
        )*};
    }

    able!(Thing);

    #[macro_export]
    macro_rules! seeded {
        ($value:expr) => {
            $value
        };
    }
}
