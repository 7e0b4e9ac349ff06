//! Hot standbys: clusters that stream from another cluster until they are promoted.

use super::binaries::Binaries;
use super::cluster::{Cluster, write_configuration};
use super::process::{Outcome, wait_until};
use super::watchdog::{Watchdog, make_directory};

/// The settings of a standby. With the server's default, an idle standby and its primary
/// exchange no message for half a minute.
const SETTINGS: &[(&str, &str)] = &[("wal_receiver_timeout", "4s")];

impl Cluster {
    /// Starts a hot standby that streams from this cluster, with these settings.
    pub fn standby(&self, settings: &[(&str, &str)]) -> Cluster {
        self.standby_through(self.port(), settings)
    }

    /// Starts a hot standby that streams through a proxy on this port, which can be cut.
    pub fn standby_through(&self, port: u16, settings: &[(&str, &str)]) -> Cluster {
        let directory = make_directory("bustard-pg-");
        let watchdog = Watchdog::over(&directory);
        let data = directory.join("data");
        let mut backup = Binaries::find().server_command("pg_basebackup");
        backup
            .args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"])
            .args(["--host=127.0.0.1", "--username=postgres", &format!("--port={port}"), "--pgdata"])
            .arg(&data)
            .current_dir(&directory);
        Outcome::of(backup).success();
        write_configuration(&data, SETTINGS.iter().chain(settings));
        Cluster::run(directory, watchdog)
    }

    /// Waits until this standby has replayed everything that its primary has committed.
    pub fn wait_for_replay(&self, primary: &Cluster) {
        let committed: String = primary
            .client("postgres")
            .query_one("SELECT pg_current_wal_flush_lsn()::text", &[])
            .expect("the primary answers")
            .get(0);
        let mut client = self.client("postgres");
        wait_until("the standby has replayed everything", || {
            let replayed =
                client.query_one("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", &[&committed]);
            replayed.expect("the standby answers").get(0)
        });
    }

    /// Promotes this standby to a writable server. Data that it has not received are lost.
    pub fn promote(&self) {
        let promoted = self.client("postgres").query_one("SELECT pg_promote(true, 120)", &[]);
        assert!(promoted.expect("the standby answers").get::<_, bool>(0), "{}", self.log());
    }
}
