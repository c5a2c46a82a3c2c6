//! An image archive made from the host's static busybox, in the format of `docker save`.

use bytes::Bytes;

/// Commands that the tests use.
const COMMANDS: [&str; 8] = ["sh", "sleep", "cat", "echo", "touch", "ls", "stty", "test"];

/// An archive with one image of that name.
pub(crate) fn archive(name: &str) -> Bytes {
    let layer = layer();
    let config = r#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:LAYER"]}}"#
        .replace("LAYER", &digest(&layer));
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]"#);
    let mut tar = Vec::new();
    file(&mut tar, "config.json", config.as_bytes(), 0o644);
    file(&mut tar, "layer.tar", &layer, 0o644);
    file(&mut tar, "manifest.json", manifest.as_bytes(), 0o644);
    end(&mut tar);
    tar.into()
}

fn layer() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("a static busybox is installed");
    let mut tar = Vec::new();
    file(&mut tar, "bin/busybox", &busybox, 0o755);
    for command in COMMANDS {
        entry(&mut tar, &format!("bin/{command}"), b'2', 0, 0o777, "busybox");
    }
    entry(&mut tar, "tmp/", b'5', 0, 0o777, "");
    end(&mut tar);
    tar
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

fn file(tar: &mut Vec<u8>, name: &str, bytes: &[u8], mode: u32) {
    entry(tar, name, b'0', bytes.len(), mode, "");
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// A header of the ustar format (POSIX.1-1988, `tar(5)`).
fn entry(tar: &mut Vec<u8>, name: &str, kind: u8, size: usize, mode: u32, link: &str) {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(157, link);
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
}

fn end(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 1024, 0);
}
