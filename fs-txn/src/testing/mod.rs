//! Tests of the operations as a whole: on the simulated machine with every crash and fault, and
//! on the real file system with what others may plant there.

mod check;
mod controls;
mod crash;
mod explore;
mod fault;
mod fence;
mod games;
mod place;
mod properties;
mod real;
mod recovery_rows;
mod resume;
mod scenarios;
mod user_files;
