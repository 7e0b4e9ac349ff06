//! The points of each user. `CREATE TABLE` and the registration of a cache are reverted
//! automatically.

use bustard::Migration;
use bustard::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Table};

pub fn migration() -> Migration {
    let mut user = ForeignKey::create();
    user.from("reputation", "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade);
    Migration::new()
        .schema(
            Table::create()
                .table("reputation")
                .col(ColumnDef::new("user_id").big_integer().not_null().primary_key())
                .col(ColumnDef::new("points").big_integer().not_null().default(0))
                .foreign_key(&mut user),
        )
        .register_cache_on("reputation", ["reputation"])
}
