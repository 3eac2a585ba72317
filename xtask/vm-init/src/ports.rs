//! virtio-serial ports, found by name.

use std::{
    fs::{self, File, OpenOptions},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

const PORTS: &str = "/sys/class/virtio-ports";

/// The driver learns the ports' names from the host after it is loaded, so they show up a little
/// later.
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens the port called `name`, for reading and writing.
pub(crate) fn open(name: &str) -> Result<File> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(device) = find(name) {
            return OpenOptions::new()
                .read(true)
                .write(true)
                .open(&device)
                .with_context(|| format!("cannot open {device}, the port {name}"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    bail!(
        "there is no virtio-serial port {name}: this kernel lacks virtio_console, or its module was not loaded"
    )
}

fn find(name: &str) -> Option<String> {
    let entries = fs::read_dir(PORTS).ok()?;
    entries.flatten().find_map(|entry| {
        let found = fs::read_to_string(entry.path().join("name")).ok()?;
        (found.trim_end() == name).then(|| format!("/dev/{}", entry.file_name().to_string_lossy()))
    })
}
