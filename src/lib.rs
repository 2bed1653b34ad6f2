//! claimrush: the map, in the order in which a claim meets the modules.

pub mod cli;
pub mod config;
pub mod datadir;
pub mod serve;
pub mod signals;

pub mod http;

pub mod desk;

pub mod guard;

pub mod rush;

pub mod redis;

pub mod drain;

pub mod ledger;

pub mod backoffice;

pub mod web;

pub mod telemetry;

pub mod domain;

pub mod clock;
pub mod exit;
pub mod failpoint;
pub mod limits;

pub(crate) mod infile;
pub(crate) mod lines;
pub(crate) mod outfile;
