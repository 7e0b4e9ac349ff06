//! Physical copies, which cannot be told from the original, and changes that make no copy.

use super::{identity, installed_on, is_noticed, is_original, project, run};
use crate::support::{Binaries, Cluster, Database, Outcome};

/// A promoted standby goes on as the same database. If it is a copy, a person says so.
#[test]
fn c5_a_promoted_standby_is_the_same_database() {
    let project = project();
    let cluster = Cluster::start_with(&[]);
    let original = installed_on(&project, &cluster);
    let standby = cluster.standby(&[]);
    standby.wait_for_replay(&cluster);
    let copy = Database::named(&standby, original.name());
    // On the standby, commands that only look work, and show no copy.
    run(&project, &copy, &["check"]).success();
    standby.promote();
    is_original(&project, &copy, "a promoted standby");
    assert_eq!(identity(&copy), identity(&original));
    run(&project, &copy, &["repair", "--new-identity"]).success();
    assert_ne!(identity(&copy), identity(&original));
    is_original(&project, &copy, "a promoted standby with an identity of its own");
    is_original(&project, &original, "the former primary");
    is_noticed(&project, &copy.copy(), "a copy on the former standby");
}

#[test]
fn c5_pg_resetwal_makes_no_copy() {
    let project = project();
    let cluster = Cluster::start_with(&[]);
    let database = installed_on(&project, &cluster);
    cluster.stop("INT");
    let mut reset = Binaries::find().server_command("pg_resetwal");
    reset.args(["-f", "-e", "3", "-D"]).arg(cluster.directory().join("data"));
    Outcome::of(reset).success();
    cluster.restart();
    is_original(&project, &database, "after pg_resetwal");
}
