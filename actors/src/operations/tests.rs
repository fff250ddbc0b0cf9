//! Whole operations on a real disk, with the real library and scripted peers.

mod faults;
mod flows;
mod peers;
mod rig;
mod steps;
