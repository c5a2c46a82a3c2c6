//! The golden cases, damaged: bytes flipped, parts cut out, doubled and put in from other cases. A bounded share of
//! what the fuzz target `fuzz/fuzz_targets/compose.rs` does without end; the same on every run.

mod exercise;

use exercise::exercise;
use std::fs;
use std::path::Path;

/// Damaged texts made of each case.
const ROUNDS: usize = 25;
/// Changes to each of them, at most.
const CHANGES: usize = 4;

/// Numbers that look drawn (xorshift), from a seed.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % most.max(1)
    }

    /// A piece of a text, no longer than a few lines.
    fn piece<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        let start = self.below(text.len());
        let end = start + self.below(60);
        &text[start..end.min(text.len())]
    }
}

fn damage(text: &mut Vec<u8>, other: &[u8], drawn: &mut Drawn) {
    let at = drawn.below(text.len());
    match drawn.below(5) {
        0 if !text.is_empty() => text[at] ^= 1 << drawn.below(8),
        1 => {
            let end = at + drawn.below(40);
            text.drain(at..end.min(text.len()));
        }
        2 => {
            let piece = drawn.piece(text).to_vec();
            text.splice(at..at, piece);
        }
        3 => {
            let piece = drawn.piece(other).to_vec();
            text.splice(at..at, piece);
        }
        _ => {
            let signs = b":-{}[]\"'#&*!|>$\n ,";
            text.insert(at, signs[drawn.below(signs.len())]);
        }
    }
}

#[test]
fn damaged_cases_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = fs::read_dir(&folder).expect("the cases are there");
    let mut paths: Vec<_> = files.map(|f| f.expect("a folder entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yml"));
    paths.sort();
    let cases: Vec<Vec<u8>> =
        paths.iter().map(|path| fs::read(path).expect("a readable case")).collect();
    assert!(cases.len() >= 20, "only {} cases found", cases.len());
    let mut drawn = Drawn(0x5eed_c0de);
    for case in &cases {
        for _ in 0..ROUNDS {
            let mut text = case.clone();
            for _ in 0..=drawn.below(CHANGES) {
                let other = drawn.below(cases.len());
                damage(&mut text, &cases[other], &mut drawn);
            }
            exercise(&String::from_utf8_lossy(&text));
        }
    }
}
