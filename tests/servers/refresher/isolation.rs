//! Tests databases with the default isolation level SERIALIZABLE. A refresher that
//! used it would make other transactions fail (P5), and could not read from a hot
//! standby.

use bustard::registry;

use super::{bans, forum, invalidate, lazy, quick, wait_for};
use crate::support::{Cluster, wait_until};

const SERIALIZABLE: &str = "ALTER DATABASE forum SET default_transaction_isolation = 'serializable'";

/// A transaction has read data that another transaction has changed since. Alone, this is
/// allowed. But if a SERIALIZABLE transaction then reads data that the first transaction is
/// about to write, the first transaction fails.
#[test]
fn a_read_makes_no_transaction_fail() {
    let cluster = Cluster::start_with(&[]);
    forum(&cluster).batch_execute(SERIALIZABLE).unwrap();
    let (mut client, mut other) = (cluster.client("forum"), cluster.client("forum"));
    other.batch_execute("CREATE TABLE item (n integer); INSERT INTO item VALUES (1)").unwrap();
    let buster = lazy(&cluster.url("web", "forum")).start().unwrap();
    let bans = bans(&buster);
    for changed in [false, true] {
        let before = bans.version().unwrap();
        let mut transaction = client.transaction().unwrap();
        let level = transaction.query_one("SHOW transaction_isolation", &[]).unwrap();
        assert_eq!(level.get::<_, &str>(0), "serializable");
        transaction.query("SELECT n FROM item", &[]).unwrap();
        other.batch_execute("UPDATE item SET n = n + 1").unwrap();
        if changed {
            invalidate(&mut other);
        }
        // This makes the refresher read.
        buster.notify().unwrap();
        assert_eq!(bans.is_valid(before), !changed);
        buster.invalidate(&mut transaction, &["bans"]).unwrap();
        buster.commit(transaction).unwrap();
        assert!(!bans.is_valid(before));
    }
}

#[test]
fn a_standby_is_read() {
    let primary = Cluster::start_with(&[]);
    let mut database = forum(&primary);
    database.batch_execute(SERIALIZABLE).unwrap();
    let standby = primary.standby(&[]);
    let mut looker = standby.client("postgres");
    wait_until("the setting is replayed", || {
        let settings = "SELECT count(*) FROM pg_db_role_setting";
        looker.query_one(settings, &[]).unwrap().get::<_, i64>(0) == 1
    });
    let buster = quick(&standby.url("web", "forum")).start().unwrap();
    let bans = bans(&buster);
    let before = wait_for(&bans, &mut database);
    invalidate(&mut database);
    assert_ne!(wait_for(&bans, &mut database), before);
    let mut own = bustard::Database::new(&standby.url("web", "forum")).unwrap();
    assert!(bans.is_valid(registry::get_version(&mut own, "bans").unwrap()));
    assert!(buster.cache("bnas").unwrap_err().report().to_string().contains("did you mean bans?"));
}
