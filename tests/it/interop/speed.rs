//! Not a test: the world in which `benches/harness/oidc` measures.

use std::path::Path;

use super::world::{Setup, prepare};

#[test]
#[ignore = "makes a world for benches/harness/oidc/compare.py"]
fn a_world_for_the_speed_harness() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/harness/oidc");
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).unwrap();
    prepare(&home, &Setup::default());
}
