//! A machine that is a folder: PATH leads to fakes alone, and what `apt-get` and `rustup` are asked for is written down.
//!
//! `bin` and `root` are the machine's programs and files, `sysroot` is its Rust, `store` is what can be installed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/install.sh");

/// What each Debian has, and `install.sh` itself runs.
const ESSENTIAL: &[&str] = &[
    "awk", "bash", "cat", "chmod", "cp", "dirname", "env", "grep", "head", "ln", "mkdir", "mktemp", "rm", "sed",
    "sort", "tr", "uname",
];

const FAKES: &[(&str, &str)] = &[
    ("id", "cat $MACHINE/uid"),
    ("dpkg", "echo amd64"),
    ("timeout", "shift; exec \"$@\""),
    ("gcc", "if [ -e $MACHINE/root/crt1.o ]; then echo $MACHINE/root/crt1.o; else echo crt1.o; fi"),
    ("apt-cache", "grep -qx \"$2\" $MACHINE/unknown 2>/dev/null && echo 'Candidate: (none)' || echo 'Candidate: 1'"),
    (
        "apt-get",
        "echo \"apt-get $*\" >>$MACHINE/log
         [ ! -x $MACHINE/root/usr/sbin/policy-rc.d ] || echo 'services stay off' >>$MACHINE/log
         [ ! -e $MACHINE/offline ] || exit 100
         for word in \"$@\"; do ! [ -d $MACHINE/store/$word ] || cp -a $MACHINE/store/$word/. $MACHINE; done",
    ),
    (
        "go",
        "case $1 in
         version) cat $MACHINE/go ;;
         mod)
           echo \"go $*\" >>$MACHINE/log
           [ ! -e $MACHINE/offline ] || exit 1
           mkdir -p $GOMODCACHE/$3/bin $GOMODCACHE/$3/pkg/tool/linux_amd64
           printf '%s\n' '#!/usr/bin/env bash' 'echo go version go1.24.4 linux/amd64' >$GOMODCACHE/$3/bin/go
           : >$GOMODCACHE/$3/pkg/tool/linux_amd64/link ;;
         esac",
    ),
    (
        "rustc",
        "[ \"${RUSTUP_AUTO_INSTALL:-}\" = 0 ] || echo 'rustc installs by itself' >>$MACHINE/log
         [ -d $MACHINE/sysroot ] || exit 1
         case $1 in --print) echo $MACHINE/sysroot ;; --version) cat $MACHINE/rust ;; esac",
    ),
    (
        "rustup",
        "[ \"${RUSTUP_AUTO_INSTALL:-}\" = 0 ] || echo 'rustup installs by itself' >>$MACHINE/log
         if [ $1 = run ]; then [ -e $MACHINE/$2 ]; exit; fi
         echo \"rustup $*\" >>$MACHINE/log
         [ ! -e $MACHINE/offline ] || exit 1
         ! [ -d $MACHINE/store/rustup ] || cp -a $MACHINE/store/rustup/. $MACHINE",
    ),
];

/// One thing that `install.sh` looks for.
pub(super) struct Needed {
    /// How it sees that it is there.
    pub(super) check: String,
    /// Debian's package.
    pub(super) package: String,
    /// What it is for.
    pub(super) purpose: String,
}

impl Needed {
    /// All lines of the list in `install.sh`, and the one for `make fuzz`.
    pub(super) fn list() -> Vec<Self> {
        let script = fs::read_to_string(SCRIPT).unwrap();
        let lines = script.split("<<'LIST'\n").nth(1).unwrap().split("\nLIST\n").next().unwrap().lines();
        let needed: Vec<_> =
            lines.map(Self::of_line).chain([Self::of_line("command:g++ g++ compiles libFuzzer")]).collect();
        assert!(needed.len() > 20, "the list of install.sh is not where this test looks for it");
        needed
    }

    fn of_line(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap().to_owned();
        let (check, package) = (word(), word());
        Self { check, package, purpose: words.collect::<Vec<_>>().join(" ") }
    }

    /// Where on the machine it is.
    fn path(&self) -> String {
        match self.check.split_once(':').unwrap() {
            ("command", name) => format!("bin/{name}"),
            ("file", path) => format!("root{path}"),
            ("library", name) => format!("root/usr/lib/x86_64-linux-gnu/{name}"),
            ("c-library", name) => format!("root/{name}"),
            ("java", _) => "root/usr/lib/jvm".into(),
            ("go", _) => "bin/go".into(),
            (kind, _) => panic!("{kind} is a kind of check that this test does not know"),
        }
    }
}

/// How a run of `install.sh` ended.
pub(super) struct Ended {
    /// Its exit code was 0.
    pub(super) ok: bool,
    /// What it printed.
    pub(super) stdout: String,
    /// What it complained about.
    pub(super) stderr: String,
    /// What `apt-get`, `rustup` and `go` were asked for, one line each.
    pub(super) asked: Vec<String>,
}

impl Ended {
    /// It found all there, and asked nobody. How long it took is said where that is above 2 s.
    pub(super) fn is_silent(&self) -> bool {
        let is_time = |line: &str| line.starts_with("== setup: ") && line.ends_with(" s");
        self.ok && self.stdout.lines().all(is_time) && self.stderr.is_empty() && self.asked.is_empty()
    }
}

pub(super) struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Root's, by rustup; it has all that any recipe needs.
    pub(super) fn complete() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for name in ESSENTIAL {
            machine.link(name);
        }
        for needed in Needed::list() {
            machine.write(&needed.path(), "");
        }
        fs::remove_file(machine.path("root/usr/lib/jvm")).unwrap();
        machine.write("root/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "");
        machine.write("root/usr/lib/jvm/java-17-openjdk-amd64/release", "JAVA_VERSION=\"17.0.15\"\n");
        for name in ["cargo", "cargo-clippy", "java", "rustfmt"] {
            machine.write(&format!("bin/{name}"), "");
        }
        for (name, script) in FAKES {
            machine.write(&format!("bin/{name}"), &format!("#!/usr/bin/env bash\n{script}\n"));
        }
        for name in ["rustfmt", "cargo-clippy", &format!("../lib/rustlib/{}/lib/libstd-0f.rlib", target())] {
            machine.write(&format!("sysroot/bin/{name}"), "");
        }
        machine.write("root/usr/local/bin/.keep", "");
        machine.write("uid", "0");
        machine.write("nightly", "");
        machine.write("go", "go version go1.24.4 linux/amd64\n");
        machine.write("rust", "rustc 1.95.0 (59807616e 2026-04-14)\n");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Lays the real program into the machine's PATH.
    fn link(&self, name: &str) {
        let path = std::env::var_os("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
        fs::create_dir_all(self.path("bin")).unwrap();
        symlink(real.unwrap(), self.path("bin").join(name)).unwrap();
    }

    /// Writes an executable file.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a file holds.
    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Takes a file or folder away.
    pub(super) fn remove(&self, path: &str) {
        self.hide(path, "nowhere");
    }

    /// Takes a file or folder away; whoever is asked for the package puts it back.
    pub(super) fn hide(&self, path: &str, package: &str) {
        let target = self.path("store").join(package).join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::rename(self.path(path), target).unwrap();
    }

    /// Takes away what the check looks for.
    pub(super) fn hide_needed(&self, needed: &Needed) {
        self.hide(&needed.path(), &needed.package);
    }

    /// Puts back what `hide_needed` took away.
    pub(super) fn put_back(&self, needed: &Needed) {
        let stored = self.path("store").join(&needed.package).join(needed.path());
        fs::rename(stored, self.path(&needed.path())).unwrap();
    }

    /// Runs `install.sh ARGUMENTS`.
    pub(super) fn install(&self, arguments: &[&str]) -> Ended {
        let folder = self.folder.path();
        let _ = fs::remove_file(folder.join("log"));
        let path = std::env::join_paths([self.path("root/usr/local/bin"), self.path("bin")]).unwrap();
        let bash = Path::new("/bin/bash");
        let output = Command::new(bash)
            .arg(SCRIPT)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .env("MACHINE", folder)
            .env("SETUP_ROOT", folder.join("root"))
            .output()
            .unwrap();
        Ended {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            asked: fs::read_to_string(folder.join("log")).unwrap_or_default().lines().map(str::to_owned).collect(),
        }
    }
}

/// The target of the static binary on the machine that runs the test.
pub(super) fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}
