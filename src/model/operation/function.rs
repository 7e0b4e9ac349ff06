//! The operation "call a Rust function with the open transaction".
//!
//! In: a label and a function. Out: a call of the function.

use std::fmt;
use std::sync::Arc;

use crate::model::OpenTransaction;

type Body = dyn Fn(&mut OpenTransaction<'_, '_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    + Send
    + Sync;

/// A labelled Rust function.
#[derive(Clone)]
pub struct Function {
    label: String,
    body: Arc<Body>,
}

impl Function {
    pub(crate) fn new<F>(label: impl Into<String>, body: F) -> Self
    where
        F: Fn(&mut OpenTransaction<'_, '_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        Function { label: label.into(), body: Arc::new(body) }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn call(
        &self,
        transaction: &mut OpenTransaction<'_, '_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        (self.body)(transaction)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("label", &self.label).finish_non_exhaustive()
    }
}
