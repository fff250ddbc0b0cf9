//! Which content is a program (D8). Decided by the first bytes, so that the same content has the
//! same mode on every machine.

/// So many first bytes decide.
pub(crate) const MAGIC_LEN: usize = 4;

/// Whether a file that begins so is a program: ELF or `#!`.
pub(crate) fn is_executable(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(b"\x7fELF") || first_bytes.starts_with(b"#!")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves D8.
    #[test]
    fn elf_and_scripts_are_programs() {
        assert!(is_executable(b"\x7fELF") && is_executable(b"#!/bin/sh"));
        for data in [&b""[..], b"#", b"\x7fEL", b"MZ\x90\0", b"\0#!"] {
            assert!(!is_executable(data), "{data:?}");
        }
    }
}
