//! Hot standbys: clusters that stream from another cluster until they are promoted.

use std::path::Path;
use std::process::Command;

use super::cluster::{Cluster, write_configuration};
use super::process::{Outcome, wait_until};
use super::watchdog::{Watchdog, give_to_server, make_directory};

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
        self.back_up(&data);
        let primary = format!("host=127.0.0.1 port={port} user=postgres");
        let streaming = [("primary_conninfo", primary.as_str())];
        std::fs::write(data.join("standby.signal"), "").expect("the directory is ours");
        give_to_server(&data.join("standby.signal"));
        write_configuration(&data, SETTINGS.iter().chain(&streaming).chain(settings));
        Cluster::run(directory, watchdog)
    }

    /// Copies the data as `pg_basebackup` does, which refuses a server that is newer than
    /// itself.
    fn back_up(&self, data: &Path) {
        let mut client = self.client("postgres");
        let old = client.query_one("SELECT current_setting('server_version_num')::int < 150000", &[]);
        let (start, stop) = match old.expect("the primary answers").get(0) {
            true => ("pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)"),
            false => ("pg_backup_start('standby', true)", "pg_backup_stop(false)"),
        };
        client.batch_execute(&format!("SELECT {start}")).expect("the backup begins");
        // Files of the running server come and go, and what they hold is not copied.
        let copy = "cd \"$1\" && mkdir -m 700 \"$2\" && tar -cf - --exclude='./pg_wal/0*' --exclude='./pg_wal/archive_status/*' --exclude='./pg_replslot/*' \
            --exclude='./pg_dynshmem/*' --exclude='./pg_notify/*' --exclude='./pg_stat_tmp/*' --exclude='./pg_subtrans/*' \
            --exclude=./postmaster.pid --exclude=./postmaster.opts --warning=no-file-changed --warning=no-file-removed . \
            | tar -xpf - -C \"$2\"";
        let mut copying = Command::new("sh");
        copying.args(["-c", copy, "copy"]).arg(self.directory().join("data")).arg(data);
        Outcome::of(copying).success();
        let stopped = client.query_one(&format!("SELECT labelfile FROM {stop}"), &[]);
        let label: String = stopped.expect("the backup ends").get(0);
        std::fs::write(data.join("backup_label"), label).expect("the directory is ours");
        give_to_server(&data.join("backup_label"));
    }

    /// Waits until this standby has replayed all that its primary has committed, and at least
    /// one commit: the backup may have had all earlier ones.
    pub fn wait_for_replay(&self, primary: &Cluster) {
        let mut writer = primary.client("postgres");
        writer.batch_execute("SELECT pg_current_xact_id()").expect("the primary answers");
        let committed: String = writer
            .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
            .expect("the primary answers")
            .get(0);
        let mut client = self.client("postgres");
        wait_until("the standby has replayed everything", || {
            let replayed =
                client.query_one("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn AND pg_last_xact_replay_timestamp() IS NOT NULL", &[&committed]);
            replayed.expect("the standby answers").get(0)
        });
    }

    /// Promotes this standby to a writable server. Data that it has not received are lost.
    pub fn promote(&self) {
        let promoted = self.client("postgres").query_one("SELECT pg_promote(true, 120)", &[]);
        assert!(promoted.expect("the standby answers").get::<_, bool>(0), "{}", self.log());
    }
}
