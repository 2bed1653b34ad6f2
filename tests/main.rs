//! One integration binary, by behaviour.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers fail as loudly as the test; clippy.toml frees only the test functions themselves"
)]

mod access;
mod address_tables;
mod admin_listener;
mod alerts;
mod attacks;
mod audit;
mod backoffice;
mod backpressure;
mod bans;
mod brought_back;
mod campaign_cli;
mod campaign_values;
mod campaign_whole;
mod campaigns;
mod claim_model;
mod claim_mutants;
mod code_docs;
mod config_cli;
mod connections;
mod dashboards;
mod data_folder;
mod deploy_scripts;
mod descriptors;
mod desk;
mod ended;
mod export;
mod fairness;
mod figures;
mod frauds;
mod gate;
mod harness_audit;
mod holds;
mod live_prometheus;
mod loading;
mod log_reader;
mod lua_contract;
mod managed_redis;
mod old_folders;
mod once;
mod openapi;
#[cfg(feature = "otlp")]
mod otlp;
mod page;
mod postgres;
mod processes;
mod programmes;
mod promotion;
mod proxy;
mod quiet_logs;
mod receipts;
mod recovery;
mod redemptions;
mod redis_durability;
mod redis_writes;
mod replica_ack;
mod rotation;
mod script_calls;
mod script_mutants;
mod server_peer;
mod setup_script;
mod shipped_bugs;
mod shutdown;
mod staff;
mod statuses;
#[expect(dead_code, reason = "shared with the fault matrix, which uses the rest of it")]
mod support;
mod ticket_docs;
mod tidy;
mod timing;
mod traces;
mod voucher_qr;
