//! The README's screen of `clusterctl check` is what it prints. `UPDATE=1` rewrites it.

mod fake;

use fake::Place;
use std::fs;
use std::path::Path;

const BEGIN: &str = "```\n$ clusterctl check\n";
const END: &str = "```\n";

const FILE: &str = "\
name: shop
version: '3'
services:
  web:
    image: nginx
    ports: [\"80:80\"]
    depends_on: [app]
    container_name: front
  app:
    image: app
    build: .
    privileged: true
    external_links: [old]
";

#[test]
fn the_screen_of_a_check_is_what_it_prints() {
    let place = Place::empty();
    place.write("docker-compose.yml", FILE);
    let ran = place.run("check");
    assert_eq!(ran.code, 1, "{ran:?}");
    let printed = format!("{}{}", ran.out, ran.err);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join("README.md");
    let readme = fs::read_to_string(&path).expect("it is there");
    let (before, rest) = readme.split_once(BEGIN).expect("the README has the screen");
    let (said, after) = rest.split_once(END).expect("and it ends");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, [before, BEGIN, &printed, END, after].concat())
            .expect("it can be written");
    } else {
        assert!(said == printed, "run with UPDATE=1; the README does not say:\n{printed}");
    }
}
