//! Hosts on one machine: network namespaces around a bridge that is the switch.
//!
//! Needs root and `ip`. A test that cannot have them says what is missing and passes, unless
//! `LANSPREAD_LAB=required`, which makes it a failure. Names carry the process id, so that
//! several test processes do not meet; dropping the lab removes every namespace it made.

use std::{
    net::Ipv4Addr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail};

/// A switch with hosts around it.
#[derive(Debug)]
pub struct Lab {
    switch: String,
    hosts: Vec<Host>,
}

/// One host of a lab: a namespace with `lo` and `eth0`.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: String,
    port: String,
    address: Ipv4Addr,
}

static LABS: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// A lab with `count` hosts, or `None` (with the reason on stderr) where the machine cannot have one.
    ///
    /// # Panics
    /// If `LANSPREAD_LAB=required` and the lab cannot be had.
    pub fn new(count: u8) -> Option<Self> {
        match Self::build(count) {
            Ok(lab) => Some(lab),
            Err(error) if std::env::var("LANSPREAD_LAB").is_ok_and(|lab| lab == "required") => {
                panic!("the lab is required but cannot be had: {error:#}")
            }
            Err(error) => {
                eprintln!("skipped: no network namespaces here: {error:#}");
                None
            }
        }
    }

    fn build(count: u8) -> Result<Self> {
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("ls{}x{number}", std::process::id());
        let mut lab = Self { switch: format!("{prefix}sw"), hosts: Vec::new() };
        let switch = lab.switch.clone();
        ip(&["netns", "add", &switch])?;
        ip(&[
            "-n",
            &switch,
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "stp_state",
            "0",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        ])?;
        ip(&["-n", &switch, "link", "set", "br0", "up"])?;
        for index in 1..=count {
            lab.add_host(&prefix, index)?;
        }
        Ok(lab)
    }

    fn add_host(&mut self, prefix: &str, index: u8) -> Result<()> {
        let host = Host {
            namespace: format!("{prefix}h{index}"),
            port: format!("p{index}"),
            address: Ipv4Addr::new(10, 77, 0, index),
        };
        let (name, switch, port) = (&host.namespace, &self.switch, &host.port);
        ip(&["netns", "add", name])?;
        self.hosts.push(host.clone());
        ip(&[
            "-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
            name,
        ])?;
        ip(&["-n", switch, "link", "set", port, "master", "br0", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        ip(&["-n", name, "addr", "add", &format!("{}/24", host.address), "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        Ok(())
    }

    /// The host with this index, counted from zero.
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// Pulls the network cable of a host, or puts it back.
    pub fn set_cable(&self, index: usize, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        ip(&["-n", &self.switch, "link", "set", &self.hosts[index].port, state])
    }

    /// Limits what a host sends and receives, in megabits per second.
    pub fn set_rate(&self, index: usize, megabits: u32) -> Result<()> {
        let rate = format!("{megabits}mbit");
        let host = &self.hosts[index];
        for (namespace, device) in [(&host.namespace, "eth0"), (&self.switch, host.port.as_str())] {
            let shape = ["root", "tbf", "rate", &rate, "burst", "256kb", "latency", "50ms"];
            let head = ["netns", "exec", namespace, "tc", "qdisc", "replace", "dev", device];
            ip(&[&head[..], &shape[..]].concat())?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let hosts = self.hosts.iter().map(|host| &host.namespace);
        for namespace in hosts.chain([&self.switch]) {
            if let Err(error) = ip(&["netns", "del", namespace]) {
                eprintln!("left behind: {error:#}");
            }
        }
    }
}

impl Host {
    /// Its address on `eth0`.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that will run on this host.
    pub fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run `ip`")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
