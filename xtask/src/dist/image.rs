//! A container image as OCI's image layout 1.0 has it, in one tar: nothing in it but skmem and the
//! licences.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{archive, files::Files, release::Release};
use crate::{arch::Arch, debian::hex};

/// What goes into the image.
const KEPT: &[&str] = &[
    "bin/skmem",
    "share/doc/skmem/LICENSE-APACHE",
    "share/doc/skmem/LICENSE-GPL2",
    "share/doc/skmem/LICENSE-MIT",
    "share/doc/skmem/THIRD-PARTY",
];

/// The archive of the layout.
pub(super) fn archive(arch: &Arch, release: &Release, tree: &Files) -> Result<Vec<u8>> {
    let mut content = Files::default();
    for path in KEPT {
        let file = tree
            .get(path)
            .with_context(|| format!("there is no {path}"))?;
        content.add(&format!("usr/{path}"), file.mode, file.bytes.clone());
    }
    let layer = archive::tar(&content, release.time)?;
    let packed = archive::gzip(&layer)?;
    let created = &release.stamp;
    let mut layout = Files::default();
    let config = json!({
        "created": created,
        "architecture": go_name(arch),
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/skmem"],
            "Env": ["PATH=/usr/bin"],
            "Labels": labels(release),
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created": created, "created_by": "cargo xtask dist" }],
    });
    let config = blob(&mut layout, "config.v1+json", json_bytes(&config)?);
    let packed = blob(&mut layout, "layer.v1.tar+gzip", packed);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media("manifest.v1+json"),
        "config": config,
        "layers": [packed],
        "annotations": labels(release),
    });
    let mut manifest = blob(&mut layout, "manifest.v1+json", json_bytes(&manifest)?);
    manifest["platform"] = json!({ "architecture": go_name(arch), "os": "linux" });
    manifest["annotations"] = json!({
        "org.opencontainers.image.ref.name": format!("skmem:{}", release.version),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media("index.v1+json"),
        "manifests": [manifest],
    });
    layout.add("index.json", 0o644, json_bytes(&index)?);
    layout.add(
        "oci-layout",
        0o644,
        br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice(),
    );
    archive::tar(&layout, release.time)
}

fn labels(release: &Release) -> Value {
    json!({
        "org.opencontainers.image.title": "skmem",
        "org.opencontainers.image.version": release.version,
        "org.opencontainers.image.revision": release.commit,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    })
}

/// Puts a blob into the layout, and describes it.
fn blob(layout: &mut Files, kind: &str, bytes: Vec<u8>) -> Value {
    let digest = digest(&bytes);
    let described = json!({ "mediaType": media(kind), "digest": digest, "size": bytes.len() });
    layout.add(&format!("blobs/{}", digest.replace(':', "/")), 0o644, bytes);
    described
}

fn media(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn json_bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("cannot write JSON")
}

/// OCI's names of architectures are those of Go, and so are Debian's.
fn go_name(arch: &Arch) -> &str {
    arch.debian
}
