//! Files that tell when they are damaged: a line with kind, form and checksum, then the body.
//! Pure; knows nothing of what is in them. There is one form at a time: another one is rebuilt,
//! never converted.

use thiserror::Error;

/// Why a file is not taken for what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum BadSeal {
    /// No head line, or that of another kind of file.
    #[error("it is not a file of this kind")]
    NotOurs,
    /// Written by another version of the program.
    #[error("it was written by another version of the program")]
    OtherForm,
    /// The body is not what was written.
    #[error("it is damaged")]
    Damaged,
}

/// The bytes of a file of this kind and form.
pub(super) fn seal(kind: &str, form: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(kind, form, body).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a file of this kind and form.
pub(super) fn open<'a>(kind: &str, form: u32, bytes: &'a [u8]) -> Result<&'a [u8], BadSeal> {
    let line_end = bytes.iter().take(HEAD_BYTES_MAX).position(|byte| *byte == b'\n');
    let (line, body) = bytes.split_at(line_end.ok_or(BadSeal::NotOurs)? + 1);
    let line = std::str::from_utf8(line).map_err(|_| BadSeal::NotOurs)?;
    if line == head(kind, form, body) {
        return Ok(body);
    }
    match line.strip_prefix(&format!("lanspread {kind} ")).and_then(|rest| rest.split_once(' ')) {
        None => Err(BadSeal::NotOurs),
        Some((found, _)) if found == form.to_string() => Err(BadSeal::Damaged),
        Some(_) => Err(BadSeal::OtherForm),
    }
}

fn head(kind: &str, form: u32, body: &[u8]) -> String {
    format!("lanspread {kind} {form} {}\n", blake3::hash(body).to_hex())
}

/// Longer than any head line: what has no line end before is something else.
const HEAD_BYTES_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_opens() {
        for body in [&b""[..], b"x", b"two\nlines\n"] {
            assert_eq!(open("index", 3, &seal("index", 3, body)), Ok(body));
        }
    }

    /// Proves T70 for everything that is sealed.
    #[test]
    fn no_damage_goes_unseen() {
        let whole = seal("index", 1, b"the body");
        for cut in 0..whole.len() {
            assert!(open("index", 1, &whole[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(open("index", 1, &flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(open("index", 1, &longer), Err(BadSeal::Damaged));
    }

    #[test]
    fn another_kind_and_another_form_are_told_apart() {
        let whole = seal("index", 1, b"the body");
        assert_eq!(open("ledger", 1, &whole), Err(BadSeal::NotOurs));
        assert_eq!(open("index", 2, &whole), Err(BadSeal::OtherForm));
        assert_eq!(open("index", 1, &[b'x'; 1000]), Err(BadSeal::NotOurs));
    }
}
