//! The child program of the unpacking tests: the real child, and children that misbehave in the
//! way that the name of their archive asks for. Must never be shipped.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use lanspread_actors::unpack::{CHILD_COMMAND, Format, child_main, confine};

/// Files with this start of their name are no archives but orders to this program.
const MISBEHAVE: &str = "misbehave-";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    if command == "probe" {
        return probe(Path::new(&args[0]));
    }
    if command != CHILD_COMMAND {
        eprintln!("unknown command {}", command.display());
        return ExitCode::FAILURE;
    }
    let order = args.get(1).and_then(|path| {
        let name = PathBuf::from(path).file_stem()?.to_str()?.to_owned();
        name.strip_prefix(MISBEHAVE).map(str::to_owned)
    });
    match order {
        None => child_main(args),
        Some(order) => misbehave(&order).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
    }
}

/// A frame by hand: the test must not depend on the encoder that it tests.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend_from_slice(&u32::try_from(body.len()).expect("a short body").to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

fn begin_file() -> Vec<u8> {
    let mut bytes = frame(2, &[]);
    let size_unknown = [0; 9];
    bytes.extend(frame(4, &[&[0][..], &size_unknown, &[1, 0, b'a']].concat()));
    bytes
}

fn misbehave(order: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match order {
        "hang" => hang(),
        "hang-in-file" => {
            out.write_all(&begin_file())?;
            out.write_all(&frame(5, b"some bytes"))?;
            out.flush()?;
            hang()
        }
        "hang-in-frame" => {
            out.write_all(&begin_file()[..9])?;
            out.flush()?;
            hang()
        }
        "hang-when-done" => {
            out.write_all(&frame(2, &[]))?;
            out.write_all(&frame(8, &[0; 16]))?;
            out.flush()?;
            hang()
        }
        "drip" => loop {
            // Always just in time for the silence limit, never done.
            thread::park_timeout(std::time::Duration::from_millis(50));
            out.write_all(&frame(1, &[&[1, 0][..], &[0; 9], &[1, 0, b'd']].concat()))?;
            out.flush()?;
        },
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "silence" => Ok(()),
        "cut" => out.write_all(&begin_file()[..9]),
        "garbage" => out.write_all(&[0xee; 1000]),
        "flood" => {
            out.write_all(&begin_file())?;
            loop {
                out.write_all(&frame(5, &[1; 100_000]))?;
            }
        }
        "more-when-done" => {
            out.write_all(&frame(2, &[]))?;
            out.write_all(&frame(8, &[0; 16]))?;
            out.write_all(&begin_file())
        }
        "confined" => {
            confine(Format::Zip, 0)?;
            out.write_all(b"!")?;
            out.flush()?;
            hang()
        }
        "memory" => {
            confine(Format::Zip, 0)?;
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1u8; 1 << 24]);
            }
        }
        other => Err(io::Error::other(format!("unknown order {other}"))),
    }
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

/// Tries what a confined process must not be able to do, and prints what it could.
fn probe(folder: &Path) -> ExitCode {
    let victim = folder.join("victim");
    let before = File::open(&victim).is_ok();
    let confinement = confine(Format::Zip, 0).expect("the limits can be set");
    let mut could = Vec::new();
    let mut check = |what: &str, worked: bool| {
        if worked {
            could.push(what.to_owned());
        }
    };
    check("open the victim again", File::open(&victim).is_ok());
    check("open another file", File::open(env::current_exe().unwrap_or_default()).is_ok());
    check("create a file", File::create(folder.join("new")).is_ok());
    check("create a folder", fs::create_dir(folder.join("folder")).is_ok());
    check("remove a file", fs::remove_file(&victim).is_ok());
    check("rename a file", fs::rename(&victim, folder.join("renamed")).is_ok());
    let read_only = fs::metadata(folder).map(|metadata| metadata.permissions());
    check("look at a folder", read_only.is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open_to_all = fs::Permissions::from_mode(0o777);
        check("change permissions", fs::set_permissions(&victim, open_to_all).is_ok());
    }
    check("start a process", Command::new("/bin/true").status().is_ok());
    let connected = match TcpStream::connect("127.0.0.1:1") {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    };
    check("reach the network", connected);
    println!("before={before}");
    println!(
        "limits={} sandbox={} calls={}",
        confinement.limits, confinement.sandbox, confinement.calls
    );
    println!("could={}", could.join(","));
    ExitCode::SUCCESS
}
