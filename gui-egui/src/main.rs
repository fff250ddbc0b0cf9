//! The `lanspread-gui` program.

fn main() {}
