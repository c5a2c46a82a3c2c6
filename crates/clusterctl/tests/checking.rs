//! `check` and `config`: files only, no cluster.

mod fake;

use fake::Place;

const FILE: &str = "\
name: shop
services:
  web:
    image: nginx
    cap_drop: [ALL]
    expose: [80]
    container_name: front
";

#[test]
fn every_key_has_its_line_and_no_cluster_is_asked() {
    let place = Place::empty();
    place.write("compose.yaml", FILE);
    let ran = place.run("check");
    assert_eq!(ran.code, 0, "{ran:?}");
    for (at, key, verdict) in [
        ("compose.yaml:4:5", "services.web.image", "honoured"),
        ("compose.yaml:5:5", "services.web.cap_drop", "honoured"),
        ("compose.yaml:6:5", "services.web.expose", "harmless here"),
        ("compose.yaml:7:5", "services.web.container_name", "emulated"),
    ] {
        let line = ran.out.lines().find(|l| l.contains(key)).unwrap_or_default();
        assert!(line.starts_with(at) && line.contains(verdict), "{key}: {line}");
    }
    let strict = place.run("check --strict");
    assert_eq!(strict.code, 1, "{strict:?}");
    place.write("compose.yaml", &FILE.replace("    expose: [80]\n", ""));
    assert_eq!(place.run("check --strict").code, 0);
}

#[test]
fn json_says_the_same() {
    let place = Place::empty();
    place.write("compose.yaml", FILE);
    let ran = place.run("check --json");
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["deployable"], true);
    assert_eq!(document["counts"]["harmless here"], 1);
    let key = document["keys"].as_array().unwrap().iter().find(|k| k["line"] == 6).unwrap();
    assert_eq!((&key["key"], &key["column"]), (&"services.web.expose".into(), &5.into()));
}

#[test]
fn a_path_of_this_machine_is_judged_as_a_deploy_would() {
    let place = Place::empty();
    let file = "services: {web: {image: nginx, volumes: [./web.conf:/etc/web.conf]}}\n";
    place.write("compose.yaml", file);
    place.write("web.conf", "listen 80;\n");
    let ran = place.run("check");
    assert_eq!(ran.code, 1, "{ran:?}");
    let line = ran.out.lines().find(|l| l.contains("./web.conf")).unwrap_or_default();
    for part in ["refused", "configs: [{source: web_conf, target: /etc/web.conf}]"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(place.run("check --nodes 1 --strict").code, 0);
    assert_eq!(place.run("config").code, 0);
    // What is offered works as it is written.
    let offered = "services: {web: {image: nginx, configs: [{source: web_conf, target: /etc/web.conf}]}}\n\
                   configs: {web_conf: {file: ./web.conf}}\n";
    place.write("compose.yaml", offered);
    let ran = place.run("check --strict");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_mistake_is_shown_with_its_line_and_fails() {
    let place = Place::empty();
    place.write("compose.yaml", &FILE.replace("image:", "imgae:"));
    let ran = place.run("check");
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in ["unknown key `imgae`; did you mean `image`?", "compose.yaml:4:5", "^^^^^"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
}

#[test]
fn attack_13_what_hands_over_the_host_names_its_flag() {
    let place = Place::empty();
    place.write("compose.yaml", &FILE.replace("cap_drop: [ALL]", "privileged: true"));
    let ran = place.run("check");
    let line = ran.out.lines().find(|l| l.contains("privileged")).unwrap();
    assert!(ran.code == 1 && line.contains("needs a flag") && line.contains("--allow-host"));
    assert_eq!(place.run("check --allow-host").code, 0);
    assert_eq!(place.run("check --allow-host --strict").code, 1);
}

#[test]
fn config_prints_what_several_files_come_to() {
    let place = Place::empty();
    place.write("compose.yaml", FILE);
    place.write(
        "compose.override.yaml",
        "services: {web: {environment: {A: $A}}, more: {image: x, profiles: [p]}}\n",
    );
    place.write(".env", "A=dotenv\nCOMPOSE_PROFILES=p\n");
    let ran = place.run("config");
    assert_eq!(ran.code, 0, "{ran:?}");
    let spec = compose::parse_canonical(&ran.out, false).unwrap();
    assert_eq!(spec.source, ran.out);
    assert!(ran.out.contains("A: dotenv") && ran.out.contains("more:"), "{}", ran.out);

    place.write("other.yaml", "services: {alone: {image: y}}\n");
    let named = place.command("config").env("COMPOSE_FILE", "other.yaml").output().unwrap();
    let out = String::from_utf8(named.stdout).unwrap();
    assert!(out.contains("alone:") && !out.contains("front"), "{out}");
    let profile = place.run("config --profile none");
    assert!(profile.code == 1 && profile.err.contains("no service has the profile"), "{profile:?}");
}

#[test]
fn included_files_are_shown_with_their_lines_and_links_do_not_lead_out() {
    let place = Place::empty();
    std::fs::create_dir(place.path("part")).unwrap();
    place.write("compose.yaml", "include: [part/app.yml]\nservices: {}\n");
    place.write("part/app.yml", "services:\n  api: {image: x, comand: y}\n");
    let ran = place.run("check");
    assert!(ran.err.contains("part/app.yml:2:19") && ran.err.contains("api: {image"), "{ran:?}");
    std::fs::remove_file(place.path("part/app.yml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.path("part/app.yml")).unwrap();
    let ran = place.run("check");
    assert!(ran.code == 1 && ran.err.contains("--allow-host"), "{ran:?}");
    assert!(!ran.err.contains("root:"), "{ran:?}");
}

#[test]
fn a_file_of_two_hundred_lines_is_checked_at_once() {
    let place = Place::empty();
    let service = |i: usize| {
        format!("  s{i}:\n    image: nginx\n    environment: {{A: b}}\n    expose: [80]\n")
    };
    let text: String = (0..50).map(service).collect();
    place.write("compose.yaml", &format!("name: shop\nservices:\n{text}"));
    let ran = place.run("check");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.lines().count() > 150);
}

/// Runs `check` with so much memory, in KiB, and no more: beyond it the program would abort.
fn check_within(place: &Place, kib: u32) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_clusterctl");
    let done = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {kib} && exec {program} check")])
        .current_dir(place.folder.path())
        .env("HOME", place.folder.path())
        .output()
        .expect("there is a shell");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn attack_11_hostile_files_need_little_memory() {
    let level = |n: usize| {
        let inner = if n == 0 { "lol".to_owned() } else { format!("*a{}", n - 1) };
        format!("x-{n}: &a{n} [{}]\n", vec![inner; 10].join(", "))
    };
    let bomb: String = (0..12).map(level).collect();
    let wide = format!("x: [{}]\n", vec!["a"; 190_000].join(","));
    let keys: Vec<String> = (0..200).map(|i| format!("k{i}: v")).collect();
    let copies: Vec<String> = (0..990).map(|i| format!("  s{i}: {{extends: base}}\n")).collect();
    let extends =
        format!("  base: {{image: a, labels: {{{}}}}}\n{}", keys.join(", "), copies.concat());
    let place = Place::empty();
    for (text, expected) in [
        (format!("{bomb}services: {{}}\n"), "more than 200000 values"),
        (format!("{wide}services: {{}}\n"), "no services"),
        (format!("services:\n{extends}"), "more than 200000 values"),
        (format!("x: {}", "[".repeat(500_000)), "levels deep"),
    ] {
        place.write("compose.yaml", &text);
        let (code, said) = check_within(&place, 160 * 1024);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
