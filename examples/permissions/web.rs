//! Permissions over HTTP. A response has one line of text for each permission.
//!
//! In: requests. Out: responses.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use crate::database::Permissions;

type Site = State<Arc<Permissions>>;

pub fn routes(permissions: Permissions) -> Router {
    Router::new()
        .route("/users/{user}/permissions", get(list))
        .route("/users/{user}/permissions/{permission}", put(grant).delete(revoke))
        .with_state(Arc::new(permissions))
}

async fn list(site: Site, Path(user): Path<String>) -> Result<impl IntoResponse, Failure> {
    let found = site.of(&user).await?;
    let lines: String = found.permissions.iter().map(|permission| format!("{permission}\n")).collect();
    // Shows whether the answer came from the cache.
    Ok(([("x-cache", if found.loaded { "miss" } else { "hit" })], lines))
}

async fn grant(site: Site, Path((user, permission)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    site.grant(&user, &permission).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(site: Site, Path((user, permission)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    site.revoke(&user, &permission).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Logs an error, which the client must not see.
struct Failure(Box<dyn Error + Send + Sync>);

impl From<Box<dyn Error + Send + Sync>> for Failure {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        log::error!("{}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
