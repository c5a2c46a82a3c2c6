//! Faults and attacks by number: `docs/faults.md` says of each what becomes of it and which test shows that, and
//! tests carry the numbers in their names: `fault_13_power_loss`, `attack_01_03_a_worker_that_was_removed`.

use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// The page.
pub(crate) const PAGE: &str = "docs/faults.md";
/// What begins the cell of a number that no test shows.
const NOT_YET: &str = "not yet: ";

/// One of the two lists.
pub(crate) struct List {
    /// Heading of its table in the page.
    pub(crate) heading: &'static str,
    /// What names of its tests begin with.
    pub(crate) prefix: &'static str,
    /// How many there are.
    pub(crate) numbers: u32,
    /// How many must have tests: never fewer than there were.
    pub(crate) floor: usize,
}

pub(crate) const LISTS: [List; 2] = [
    List { heading: "## Faults", prefix: "fault", numbers: 36, floor: 30 },
    List { heading: "## Attacks", prefix: "attack", numbers: 28, floor: 25 },
];

/// A row of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    number: u32,
    /// What happens.
    what: String,
    /// Tests that show what becomes of it.
    tests: Vec<String>,
    /// What the last cell says besides.
    words: String,
}

/// Names of tests by the numbers of `list` that they carry.
pub(crate) type Carried = BTreeMap<u32, BTreeSet<String>>;

/// The numbers that a name carries: those of `attack_01_03_x` are 1 and 3.
fn numbers(name: &str, prefix: &str) -> Vec<u32> {
    let Some(rest) = name.strip_prefix(prefix) else { return Vec::new() };
    let parts = rest.split('_').skip(1);
    parts.map_while(|part| (part.len() == 2).then(|| part.parse().ok()).flatten()).collect()
}

/// Names of the functions in a source file that are tests.
fn functions(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let Some((before, rest)) = line.split_once("fn ") else { continue };
        if before.is_empty() || before.ends_with(' ') {
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
            names.extend(name.filter(|_| marked));
            marked = false;
        }
    }
    names
}

/// Names of all tests: functions, end-to-end trials, and scenarios by their files.
pub(crate) fn tests(tree: &Tree) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in &tree.files {
        let scenario = file.path.strip_prefix("tests/scenarios/");
        names.extend(scenario.and_then(|name| name.strip_suffix(".txt")).map(str::to_owned));
        if file.path == "tests/e2e/main.rs" {
            names.extend(file.text.split('"').skip(1).step_by(2).map(str::to_owned));
        } else if file.is("rs") {
            names.extend(functions(&file.text).into_iter().map(str::to_owned));
        }
    }
    names
}

/// Which of the tests carry which numbers of a list.
pub(crate) fn carried(tests: &BTreeSet<String>, list: &List) -> Carried {
    let mut carried = Carried::new();
    for name in tests {
        for number in numbers(name, list.prefix) {
            carried.entry(number).or_default().insert(name.clone());
        }
    }
    carried
}

/// The rows of a list in the page.
pub(crate) fn rows(page: &str, list: &List) -> Vec<Row> {
    let section = page.split(list.heading).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<&str> =
            line.strip_prefix("| ")?.trim_end_matches([' ', '|']).split(" | ").collect();
        let [number, what, _, shown] = cells[..] else { return None };
        let tests = shown.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let words = shown.split('`').step_by(2).collect::<String>().trim().to_owned();
        Some(Row { number: number.trim().parse().ok()?, what: what.to_owned(), tests, words })
    };
    section.lines().filter_map(row).collect()
}

/// What is wrong with the rows of a list: a number without a row, a row without a test or a reason, a test that
/// does not exist or does not carry the number, a reason beside tests that do.
pub(crate) fn check(rows: &[Row], carried: &Carried, list: &List) -> Vec<String> {
    let kind = list.prefix;
    let mut complaints = Vec::new();
    let listed: Vec<u32> = rows.iter().map(|row| row.number).collect();
    if listed != (1..=list.numbers).collect::<Vec<_>>() {
        complaints.push(format!("{PAGE} lists these numbers of {kind}s: {listed:?}"));
    }
    for (number, names) in carried.iter().filter(|(number, _)| !(1..=list.numbers).contains(number))
    {
        complaints.push(format!("there is no {kind} {number}, but {names:?}"));
    }
    for row in rows {
        let number = row.number;
        let none = BTreeSet::new();
        let names = carried.get(&number).unwrap_or(&none);
        for name in row.tests.iter().filter(|name| !names.contains(*name)) {
            complaints.push(format!("{PAGE}, {kind} {number}: no test of that number is {name}"));
        }
        let reason = row.words.starts_with(NOT_YET) && row.words.len() > NOT_YET.len();
        if row.tests.is_empty() && !reason {
            complaints.push(format!("{PAGE}, {kind} {number}: neither a test nor a reason"));
        }
        if row.tests.is_empty() && !names.is_empty() {
            complaints.push(format!("{PAGE}, {kind} {number} does not name {names:?}"));
        }
    }
    let shown = rows.iter().filter(|row| !row.tests.is_empty()).count();
    if shown < list.floor {
        complaints.push(format!("{shown} {kind}s have tests; {} had", list.floor));
    }
    complaints
}

/// The table for whoever runs the test: number, tests that carry it, what it is.
pub(crate) fn table(rows: &[Row], carried: &Carried, list: &List) -> String {
    let count = |row: &Row| carried.get(&row.number).map_or(0, BTreeSet::len);
    let lines = rows.iter().map(|row| {
        let tests = match count(row) {
            0 => "not yet".to_owned(),
            tests => format!("{tests} tests"),
        };
        format!("{:>6} {:>2}  {tests:>8}  {}", list.prefix, row.number, row.what)
    });
    let shown = rows.iter().filter(|row| !row.tests.is_empty()).count();
    let sum: BTreeSet<_> = carried.values().flatten().collect();
    let mut lines: Vec<String> = lines.collect();
    lines.push(format!(
        "{shown} of {} {}s have tests; {} tests",
        rows.len(),
        list.prefix,
        sum.len()
    ));
    lines.join("\n")
}

#[test]
fn numbers_and_tests_are_found() {
    assert_eq!(numbers("fault_13_14_power_loss", "fault"), [13, 14]);
    assert_eq!(numbers("fault_13", "fault"), [13]);
    for other in ["fault_x_13", "faulty_1", "attack_13_x", "a_fault_13", "fault_5_x"] {
        assert_eq!(numbers(other, "fault"), [0; 0], "{other}");
    }
    let source = "#[test]\nfn a() {}\nfn b() {}\n  #[tokio::test(flavor = \"x\")]\n  #[expect(x)]\n  \
                  async fn c() { let f = |x| x; }\npub(crate) fn d() {}\n";
    assert_eq!(functions(source), ["a", "c"]);
}

#[test]
fn gaps_between_page_and_tests_are_noticed() {
    let list = List { heading: "## Faults", prefix: "fault", numbers: 2, floor: 1 };
    let wrong = |page: &str, tests: &[&str]| {
        let tests = tests.iter().map(|name| (*name).to_owned()).collect();
        check(&rows(page, &list), &carried(&tests, &list), &list)
    };
    let good =
        "## Faults\n\n| 1 | it dies | it lives | `fault_01_x` |\n| 2 | b | c | not yet: d |\n";
    assert_eq!(wrong(good, &["fault_01_x", "fault_01_y", "z"]), Vec::<String>::new());
    let both = good.replace("`fault_01_x`", "`fault_01_x`; not yet: slowly");
    assert_eq!(wrong(&both, &["fault_01_x"]), Vec::<String>::new());
    assert_eq!(wrong(good, &["fault_01_y"]).len(), 1, "it names what does not exist");
    assert_eq!(wrong(good, &["fault_01_x", "fault_02_y"]).len(), 1, "there is a test after all");
    assert_eq!(wrong(good, &["fault_01_x", "fault_03_y"]).len(), 1, "no such number");
    assert_eq!(wrong(&good.replace("not yet: d", "later"), &["fault_01_x"]).len(), 1);
    assert_eq!(wrong(&good.replace("| 2 |", "| 3 |"), &["fault_01_x"]).len(), 1);
    let none = good.replace("`fault_01_x`", "not yet: e");
    assert_eq!(wrong(&none, &[]), ["0 faults have tests; 1 had"]);
}
