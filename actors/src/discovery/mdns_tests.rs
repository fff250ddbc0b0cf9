//! Tests of real mDNS, on loopback only and in a network of their own.
//!
//! The library joins its group on every interface before it can be told not to, so these tests run
//! themselves again within a namespace that has nothing but loopback. Where the machine cannot make
//! one (another system, no right to) they say so and pass, unless `LANSPREAD_LAB=required`.

use std::{process::Command, time::Duration};

use lanspread_wire::PeerId;
use tokio::time::{Instant, timeout};

use super::*;
use crate::net::backend::Sighting;

/// Set within the namespace.
const INSIDE: &str = "LANSPREAD_INSIDE_NAMESPACE";

/// Runs the test named `name` within a namespace of its own; `true` if this process is that run and
/// has to do the work.
fn alone_on_loopback(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    match run_alone(name) {
        Ok(status) => assert!(status.success(), "the run within the namespace failed"),
        Err(why) => {
            let required = std::env::var("LANSPREAD_LAB").is_ok_and(|lab| lab == "required");
            assert!(!required, "no network namespace here: {why}");
            eprintln!("skipped: no network namespace here: {why}");
        }
    }
    false
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c"]);
    command
}

fn run_alone(name: &str) -> Result<std::process::ExitStatus, String> {
    let raise = "ip link set lo up";
    let tried = unshare().arg(raise).output().map_err(|error| format!("unshare: {error}"))?;
    if !tried.status.success() {
        return Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
    }
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let run = format!("{raise} && exec \"$0\" --exact \"$1\" --nocapture");
    let test = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    unshare()
        .arg(run)
        .arg(this)
        .arg(test)
        .env(INSIDE, "1")
        .status()
        .map_err(|error| error.to_string())
}

type News = mpsc::Receiver<DiscoveryNews>;

fn start(number: u8) -> (Box<dyn DiscoveryGuard>, News) {
    let port = 4000 + u16::from(number);
    let address = ([127, 0, 0, 1], port).into();
    let advert = Advert { peer: PeerId([number; 32]), protocol: 1, port, address };
    let (found, news) = mpsc::channel(8);
    let guard = MdnsDiscovery::new(vec!["lo".to_owned()]).start(advert, found).unwrap();
    (guard, news)
}

/// The next news that `wanted` accepts.
async fn next(news: &mut News, wanted: impl Fn(&DiscoveryNews) -> bool) -> DiscoveryNews {
    let waiting = async {
        loop {
            let news = news.recv().await.unwrap();
            if wanted(&news) {
                return news;
            }
        }
    };
    timeout(Duration::from_secs(20), waiting).await.unwrap()
}

async fn seen(news: &mut News, number: u8) -> Sighting {
    let wanted = PeerId([number; 32]);
    let of =
        |news: &DiscoveryNews| matches!(news, DiscoveryNews::Seen(seen) if seen.peer == wanted);
    match next(news, of).await {
        DiscoveryNews::Seen(sighting) => sighting,
        other => panic!("{other:?}"),
    }
}

/// Proves P6: two nodes on one machine find each other over loopback, whoever comes first, and one
/// that returns is found again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_over_loopback() {
    if !alone_on_loopback("nodes_find_each_other_over_loopback") {
        return;
    }
    let (one, mut of_one) = start(1);
    let announced = next(&mut of_one, |news| matches!(news, DiscoveryNews::Hindered(_))).await;
    assert_eq!(announced, DiscoveryNews::Hindered(None));
    let (two, mut of_two) = start(2);
    let (first, second) = tokio::join!(biased; seen(&mut of_two, 1), seen(&mut of_one, 2));
    assert_eq!(first.protocol, 1);
    assert_eq!(first.addresses, ["127.0.0.1:4001".parse().unwrap()]);
    assert_eq!(second.addresses, ["127.0.0.1:4002".parse().unwrap()]);
    let withdrawn_at = Instant::now();
    two.withdraw().await;
    let took = withdrawn_at.elapsed();
    assert!(took < limits::MDNS_WITHDRAW_DEADLINE * 2, "{took:?}");
    assert_eq!(of_two.recv().await, None, "the end of discovery closes its channel");
    // Under a new instance name, as after a restart of its process.
    let (_two, _of_two) = start(2);
    seen(&mut of_one, 2).await;
    drop(one);
}

/// Proves T16: malformed announcements are counted, said once in a while, and harm nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_announcements_are_ignored() {
    if !alone_on_loopback("malformed_announcements_are_ignored") {
        return;
    }
    let rogue = ServiceDaemon::new().unwrap();
    let good_id = PeerId([9; 32]).to_string();
    type Forged<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let forged: [Forged<'_>; 4] = [
        ("no-id", &[("v", "1")], 4000),
        ("bad-id", &[("id", "\u{1b}[2J"), ("v", "1")], 4000),
        ("long", &[("id", &good_id), ("v", "1"), ("x", &"y".repeat(200))], 4000),
        ("port", &[("id", &good_id), ("v", "1")], 22),
    ];
    for (instance, txt, port) in forged {
        let service =
            ServiceInfo::new(SERVICE, instance, "rogue.local.", "127.0.0.1", port, txt).unwrap();
        rogue.register(service).unwrap();
    }
    let (_one, mut of_one) = start(1);
    let ignored = |news: &DiscoveryNews| matches!(news, DiscoveryNews::Ignored { .. });
    let mut counted = 0;
    while counted < 4 {
        let DiscoveryNews::Ignored { count, last } = next(&mut of_one, ignored).await else {
            unreachable!()
        };
        assert!(!last.contains('\u{1b}'), "{last:?}");
        counted += count;
    }
    let (_two, _of_two) = start(2);
    seen(&mut of_one, 2).await;
    rogue.shutdown().unwrap();
}

/// Proves T13: a flood of forged instances is bounded in what it reaches, and the honest are found
/// during and after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_instances_keeps_nobody_from_being_found() {
    if !alone_on_loopback("a_flood_of_instances_keeps_nobody_from_being_found") {
        return;
    }
    let (_one, mut of_one) = start(1);
    let rogue = ServiceDaemon::new().unwrap();
    for number in 0..limits::INSTANCES_MAX * 2 {
        let txt = [("id", PeerId([9; 32]).to_string()), ("v", "1".to_owned())];
        let instance = format!("fake-{number}");
        let service =
            ServiceInfo::new(SERVICE, &instance, "rogue.local.", "127.0.0.1", 4009, &txt[..]);
        let mut service = service.unwrap();
        service.set_requires_probe(false);
        while rogue.register(service.clone()) == Err(Error::Again) {
            tokio::task::yield_now().await;
        }
    }
    seen(&mut of_one, 9).await;
    let (_two, _of_two) = start(2);
    seen(&mut of_one, 2).await;
    rogue.shutdown().unwrap();
}

/// Proves T18, T72: the advert names neither machine nor user, and no two are alike.
#[test]
fn the_advert_tells_nothing_but_id_and_version() {
    let address = ([127, 0, 0, 1], 4001).into();
    let advert = Advert { peer: PeerId([1; 32]), protocol: 1, port: 4001, address };
    let (one, two) = (service_of(&advert).unwrap(), service_of(&advert).unwrap());
    assert_ne!(one.get_fullname(), two.get_fullname());
    assert_ne!(one.get_hostname(), two.get_hostname());
    for service in [&one, &two] {
        let keys: Vec<&str> = service.get_properties().iter().map(|found| found.key()).collect();
        assert_eq!(keys, [TXT_ID, TXT_PROTOCOL]);
        let instance = service.get_fullname().strip_suffix(&format!(".{SERVICE}")).unwrap();
        let host = service.get_hostname().strip_suffix(".local.").unwrap();
        for name in [instance, host] {
            assert!(name.len() == 16 && u64::from_str_radix(name, 16).is_ok(), "{name}");
        }
    }
}

/// Proves F23: where nothing can be announced the user is told in a sentence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_an_interface_says_so() {
    if !alone_on_loopback("a_node_without_an_interface_says_so") {
        return;
    }
    let address = ([127, 0, 0, 1], 4001).into();
    let advert = Advert { peer: PeerId([1; 32]), protocol: 1, port: 4001, address };
    let (found, mut news) = mpsc::channel(8);
    let absent = MdnsDiscovery::new(vec!["absent0".to_owned()]);
    let _guard = absent.start(advert, found).unwrap();
    let hindered = next(&mut news, |news| matches!(news, DiscoveryNews::Hindered(_))).await;
    let DiscoveryNews::Hindered(Some(text)) = hindered else { panic!("{hindered:?}") };
    assert!(text.contains("5353"), "{text}");
}
