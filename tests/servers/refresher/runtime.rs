//! Tests applications that create and drop a `CacheBuster` inside an asynchronous
//! runtime.

use super::{bans, forum, quick, wait_for};
use crate::support::{Cluster, wait_until};

#[test]
fn many_cache_busters_are_created_used_and_dropped_within_a_runtime() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let url = cluster.url("web", "forum");
    let mut looker = cluster.client("postgres");
    let mut connections = || {
        let connected = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'web'";
        looker.query_one(connected, &[]).unwrap().get::<_, i64>(0)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (busters, handles) = runtime.block_on(async {
        let busters: Vec<_> = (0..20).map(|_| quick(&url).start().unwrap()).collect();
        let handles: Vec<_> = busters.iter().map(bans).collect();
        busters[0].invalidate(&mut database, &["bans"]).unwrap();
        (busters, handles)
    });
    for bans in &handles {
        wait_for(bans, &mut database);
    }
    assert_eq!(connections(), 20);
    runtime.block_on(async { drop(busters) });
    wait_until("all connections are closed", || connections() == 0);
    assert!(handles.iter().all(|bans| bans.version().is_err()));
}
