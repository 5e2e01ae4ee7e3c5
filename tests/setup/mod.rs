//! `make setup`: whatever is missing on a new machine is installed, or the command to type is named.

mod advisories;
mod machine;
mod recipes;

use machine::{Ended, Machine, Needed, target};

const BY_HAND: &str = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";

fn shown(ended: &Ended) -> String {
    format!("asked: {:#?}\nstdout: {}\nstderr: {}", ended.asked, ended.stdout, ended.stderr)
}

/// The packages of the one `apt-get install` that was run.
fn packages(ended: &Ended) -> Vec<&str> {
    let install = ended.asked.iter().find(|line| line.contains(" install ")).map_or("", String::as_str);
    install.rsplit(" -y ").next().unwrap().split(' ').collect()
}

#[test]
fn a_machine_that_has_all_is_left_alone_in_silence() {
    let machine = Machine::complete();
    for recipe in [&[][..], &["fuzz"], &["packages"]] {
        let ended = machine.install(recipe);
        assert!(ended.is_silent(), "{recipe:?}: {}", shown(&ended));
    }
}

#[test]
fn each_missing_package_is_installed_by_root() {
    let machine = Machine::complete();
    for needed in Needed::list() {
        machine.hide_needed(&needed);
        let ended = machine.install(&["fuzz"]);
        // Who has no compiler can't ask it for the C library.
        let wanted = if needed.package == "gcc" { vec!["gcc", "libc6-dev"] } else { vec![needed.package.as_str()] };
        assert!(ended.ok, "{}: {}", needed.check, shown(&ended));
        assert_eq!(packages(&ended), wanted, "{}: {}", needed.check, shown(&ended));
        assert!(ended.stdout.contains(&format!("missing {}: {}", needed.package, needed.purpose)), "{}", ended.stdout);
    }
    let again = machine.install(&["fuzz"]);
    assert!(again.is_silent(), "{}", shown(&again));
}

/// Debian starts the services of what it installs, Prometheus on every address.
#[test]
fn no_service_of_a_package_is_started() {
    let machine = Machine::complete();
    machine.write("root/usr/sbin/placeholder", "");
    let prometheus = Needed::list().into_iter().find(|needed| needed.package == "prometheus").unwrap();
    machine.hide_needed(&prometheus);
    let ended = machine.install(&[]);
    let install = ended.asked.iter().position(|line| line.contains(" install ")).unwrap();
    assert_eq!(ended.asked.get(install + 1).map(String::as_str), Some("services stay off"), "{}", shown(&ended));
    machine.hide_needed(&prometheus);
    machine.write("root/usr/sbin/policy-rc.d", "the person's own");
    machine.install(&[]);
    assert_eq!(machine.read("root/usr/sbin/policy-rc.d"), "the person's own", "and what was there stays");
}

#[test]
fn who_is_not_root_reads_the_command_to_type() {
    let machine = Machine::complete();
    machine.write("uid", "1000");
    for needed in Needed::list() {
        machine.hide_needed(&needed);
        let ended = machine.install(&["fuzz"]);
        machine.put_back(&needed);
        let command =
            ended.stderr.lines().find(|line| line.contains("sudo apt-get install --no-install-recommends -y "));
        assert!(!ended.ok && ended.asked.is_empty(), "{}: {}", needed.check, shown(&ended));
        assert!(command.is_some_and(|line| line.split(' ').any(|word| word == needed.package)), "{}", shown(&ended));
    }
    assert!(machine.install(&["fuzz"]).is_silent());
}

#[test]
fn what_is_missing_is_named_where_there_is_no_apt_get() {
    let machine = Machine::complete();
    machine.remove("bin/apt-get");
    machine.remove("bin/cmake");
    machine.remove("bin/kcat");
    let ended = machine.install(&[]);
    assert!(!ended.ok);
    assert!(ended.stderr.contains("cmake: builds the TLS provider's C"), "{}", ended.stderr);
    assert!(ended.stderr.contains("kcat: the benchmark's rival"), "{}", ended.stderr);
}

#[test]
fn an_apt_get_that_fails_names_the_command_to_type_again() {
    let machine = Machine::complete();
    machine.write("offline", "");
    machine.remove("bin/cmake");
    let ended = machine.install(&[]);
    assert!(!ended.ok);
    assert!(ended.stderr.contains("type: apt-get install --no-install-recommends -y cmake"), "{}", ended.stderr);
}

#[test]
fn what_a_package_did_not_bring_is_said() {
    let machine = Machine::complete();
    machine.remove("bin/cmake");
    let ended = machine.install(&[]);
    assert!(!ended.ok);
    assert!(ended.stderr.contains("still missing after apt-get:\n  cmake (cmake)"), "{}", ended.stderr);
}

#[test]
fn java_21_is_taken_where_debian_has_no_17() {
    let machine = Machine::complete();
    machine.remove("root/usr/lib/jvm");
    machine.write("unknown", "openjdk-17-jdk-headless\n");
    machine.write("store/openjdk-21-jdk-headless/root/usr/lib/jvm/java-21-openjdk-amd64/bin/java", "");
    machine
        .write("store/openjdk-21-jdk-headless/root/usr/lib/jvm/java-21-openjdk-amd64/release", "JAVA_VERSION=\"21\"\n");
    let ended = machine.install(&[]);
    assert!(ended.ok, "{}", shown(&ended));
    assert_eq!(packages(&ended), ["openjdk-21-jdk-headless"]);
}

#[test]
fn a_go_that_is_too_old_fetches_the_one_that_is_needed() {
    let machine = Machine::complete();
    machine.write("go", "go version go1.19.8 linux/amd64\n");
    let ended = machine.install(&[]);
    assert!(ended.ok, "{}", shown(&ended));
    assert_eq!(ended.asked.last().unwrap(), "go mod download golang.org/toolchain@v0.0.1-go1.24.4.linux-amd64");
    assert!(machine.install(&[]).is_silent());
}

#[test]
fn a_go_that_is_too_old_is_said_where_no_newer_one_can_be_had() {
    let machine = Machine::complete();
    machine.write("go", "go version go1.19.8 linux/amd64\n");
    machine.write("uid", "1000");
    let ended = machine.install(&[]);
    assert!(!ended.ok && ended.stderr.contains("tests/live/install.sh packages"), "{}", shown(&ended));
    machine.write("uid", "0");
    machine.write("offline", "");
    let ended = machine.install(&[]);
    assert!(!ended.ok && ended.stderr.contains("golang-go"), "{}", shown(&ended));
}

/// Each part of Rust: where it is, and what rustup is asked for where it is missing.
fn parts_of_rust() -> [(String, String); 4] {
    let target = target();
    let toolchain = "rustup toolchain install 1.95.0 --no-self-update --profile minimal --component rustfmt,clippy";
    [
        (format!("sysroot/lib/rustlib/{target}"), format!("rustup target add {target}")),
        ("sysroot/bin/rustfmt".into(), "rustup component add rustfmt".into()),
        ("sysroot/bin/cargo-clippy".into(), "rustup component add clippy".into()),
        ("sysroot".into(), format!("{toolchain} --target {target}")),
    ]
}

#[test]
fn each_missing_part_of_rust_is_installed_by_rustup() {
    for (path, command) in parts_of_rust() {
        let machine = Machine::complete();
        machine.write("uid", "1000");
        machine.hide(&path, "rustup");
        let ended = machine.install(&[]);
        assert!(ended.ok, "{path}: {}", shown(&ended));
        assert_eq!(ended.asked, [command], "{path}");
        assert!(machine.install(&[]).is_silent(), "{path}");
    }
}

#[test]
fn a_rustup_that_fails_names_the_command_to_type_again() {
    for (path, command) in parts_of_rust() {
        let machine = Machine::complete();
        machine.write("offline", "");
        machine.hide(&path, "rustup");
        let ended = machine.install(&[]);
        assert!(!ended.ok && ended.stderr.contains(&format!("type: {command}\n")), "{path}: {}", shown(&ended));
    }
}

#[test]
fn a_rustup_that_installs_for_another_rustc_is_said() {
    let machine = Machine::complete();
    machine.remove(&format!("sysroot/lib/rustlib/{}", target()));
    let ended = machine.install(&[]);
    assert!(!ended.ok && ended.stderr.contains(&format!("still lacks: target {}", target())), "{}", shown(&ended));
}

#[test]
fn nightly_rust_is_installed_for_fuzzing_alone() {
    let machine = Machine::complete();
    machine.hide("nightly", "rustup");
    assert!(machine.install(&[]).is_silent());
    let ended = machine.install(&["fuzz"]);
    assert!(ended.ok, "{}", shown(&ended));
    assert_eq!(ended.asked, ["rustup toolchain install nightly --no-self-update --profile minimal"]);
    assert!(machine.install(&["fuzz"]).is_silent());
}

#[test]
fn a_compiler_for_libfuzzer_is_installed_for_fuzzing_alone() {
    let machine = Machine::complete();
    machine.remove("bin/g++");
    assert!(machine.install(&[]).is_silent());
    assert_eq!(packages(&machine.install(&["fuzz"])), ["g++"]);
}

#[test]
fn a_machine_without_rust_reads_how_to_install_it_and_what_else_is_missing() {
    let machine = Machine::complete();
    machine.write("uid", "1000");
    for name in ["bin/cargo", "bin/rustc", "bin/rustup", "bin/cmake"] {
        machine.remove(name);
    }
    let ended = machine.install(&[]);
    assert!(!ended.ok);
    assert!(ended.stderr.contains(&format!("missing: Rust. Type: {BY_HAND}\n")), "{}", ended.stderr);
    assert!(ended.stderr.contains("sudo apt-get install --no-install-recommends -y cmake\n"), "{}", ended.stderr);
    machine.write(".cargo/bin/cargo", "");
    let ended = machine.install(&[]);
    assert!(ended.stderr.contains("not in PATH. Type: . "), "{}", ended.stderr);
}

#[test]
fn a_rust_that_is_not_rustups_is_taken_where_it_is_complete() {
    let machine = Machine::complete();
    machine.remove("bin/rustup");
    // Debian has these beside rustc, not below a sysroot of their own.
    machine.remove("sysroot/bin/rustfmt");
    assert!(machine.install(&[]).is_silent());
    machine.write("rust", "rustc 1.100.1 (built from a source tarball)\n");
    assert!(machine.install(&[]).is_silent());
}

#[test]
fn a_rust_that_is_not_rustups_is_told_from_what_is_needed() {
    let target = target();
    let lacks: [(&str, &str); 3] = [
        ("bin/rustfmt", "missing of Rust: component rustfmt"),
        (&format!("sysroot/lib/rustlib/{target}"), &format!("missing of Rust: target {target}")),
        ("rust", "missing of Rust: version"),
    ];
    for (path, expected) in lacks {
        let machine = Machine::complete();
        machine.remove("bin/rustup");
        machine.remove("sysroot/bin/rustfmt");
        machine.remove(path);
        machine.write("rust", if path == "rust" { "rustc 1.63.0\n" } else { "rustc 1.95.0\n" });
        let ended = machine.install(&[]);
        assert!(!ended.ok && ended.asked.is_empty(), "{path}: {}", shown(&ended));
        assert!(ended.stderr.contains(expected) && ended.stderr.contains(BY_HAND), "{path}: {}", ended.stderr);
    }
}

#[test]
fn root_can_install_the_packages_alone_where_somebody_else_builds() {
    let machine = Machine::complete();
    for name in ["bin/cargo", "bin/rustc", "bin/rustup"] {
        machine.remove(name);
    }
    machine.hide("bin/cmake", "cmake");
    let ended = machine.install(&["packages"]);
    assert!(ended.ok, "{}", shown(&ended));
    assert_eq!(packages(&ended), ["cmake"]);
}
