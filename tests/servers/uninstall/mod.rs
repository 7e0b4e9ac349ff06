//! Tests uninstalling apps, on both engines: with and without their files, with
//! dependants, refused, and interrupted.

mod dependants;
mod foreign_keys;
mod kept;
mod kills;
mod names;
mod points;
mod refusals;
mod simple;
mod site;
mod together;
mod victim;
