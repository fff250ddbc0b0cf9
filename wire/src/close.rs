//! Why a connection ends: the application codes of QUIC closes. The numbers are part of the
//! protocol and keep their meaning for ever.

use std::fmt;

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal;)*) => {
        /// The reason given when a connection is closed on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum CloseCode {
            $($(#[$doc])* $name = $number,)*
        }

        impl CloseCode {
            /// Every code, in the order of its number.
            pub const ALL: &'static [CloseCode] = &[$(CloseCode::$name,)*];

            /// The code with this number, if this version knows it.
            pub fn from_u32(number: u32) -> Option<CloseCode> {
                match number {
                    $($number => Some(CloseCode::$name),)*
                    _ => None,
                }
            }

            /// The stable name used in events and logs.
            pub fn code(self) -> &'static str {
                match self {
                    $(CloseCode::$name => $code,)*
                }
            }
        }
    };
}

close_codes! {
    /// The peer leaves, for good or until it starts again.
    Goodbye = 0, "goodbye";
    /// The peer did not prove who it is.
    AuthRequired = 1, "auth-required";
    /// The greeting names another peer than the one that was authenticated.
    IdMismatch = 2, "id-mismatch";
    /// We dialled ourselves, or another machine uses our key.
    SelfConnect = 3, "self-connect";
    /// The peer speaks another version of the protocol.
    VersionMismatch = 4, "version-mismatch";
    /// Another connection between the same two peers survives.
    Duplicate = 5, "duplicate";
    /// A frame of impossible length.
    Frame = 6, "frame";
    /// A frame that does not decode.
    Decode = 7, "decode";
    /// A valid message at the wrong moment.
    State = 8, "state";
    /// A pattern that no honest peer shows.
    Abuse = 9, "abuse";
    /// More connections, streams or bytes than we give one peer.
    Limit = 10, "limit";
    /// No greeting came in time.
    HelloTimeout = 11, "hello-timeout";
    /// No sign of life came in time.
    Silent = 12, "silent";
    /// The node shuts down.
    Shutdown = 13, "shutdown";
    /// A fault on our side.
    Internal = 14, "internal";
    /// A frame or an answer that never came to its end.
    Stalled = 15, "stalled";
    /// The peer sent a chunk that does not have its hash.
    WrongChunk = 16, "wrong-chunk";
    /// The peer is refused for a while because of what it did before.
    Banned = 17, "banned";
}

impl CloseCode {
    /// The number that travels.
    pub fn as_u32(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl From<CloseCode> for u32 {
    fn from(code: CloseCode) -> u32 {
        code.as_u32()
    }
}
