//! The lanspread command.

fn main() {}
