//! What is linked into the binary, as CycloneDX 1.6 has it.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    metadata::{Metadata, Package},
    release::Release,
};

/// The document.
pub(super) fn text(metadata: &Metadata, release: &Release) -> Result<Vec<u8>> {
    let packages = &metadata.packages;
    let own = packages.iter().find(|package| package.name == "skmem-user");
    let own = own.context("skmem itself is not among its packages")?;
    let others = packages.iter().filter(|package| *package != own);
    let dependency = |package: &Package| {
        let needs = package.needs.iter().filter_map(|&n| packages.get(n));
        json!({ "ref": reference(package), "dependsOn": needs.map(reference).collect::<Vec<_>>() })
    };
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            // The commit's time: one commit has one document.
            "timestamp": release.stamp,
            "component": {
                "type": "application",
                "bom-ref": reference(own),
                "name": "skmem",
                "version": release.version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "properties": [{ "name": "skmem:commit", "value": release.commit }],
            },
        },
        "components": others.map(component).collect::<Vec<_>>(),
        "dependencies": packages.iter().map(dependency).collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_vec_pretty(&document).context("cannot write JSON")?;
    text.push(b'\n');
    Ok(text)
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "purl": reference(package),
        "scope": "required",
    });
    if let Some(licence) = &package.licence {
        // Old packages have a slash where SPDX wants a word.
        let expression = licence.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(sum) = &package.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}
