//! Servers' jars from Maven, and archives of their loaded classes (AppCDS, which halve the start): made once, cached
//! outside the tree by version and content of the pom. Processes that want the same one at the same time make it once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use super::wait::say;

/// What Maven brings: one pom each, with pinned versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// ZooKeeper 3.9.5.
    Zookeeper,
    /// Kafka 2.4.1.
    Kafka24,
    /// Kafka 2.8.2.
    Kafka28,
    /// Kafka 3.9.2.
    Kafka39,
    /// Kafka 4.3.1.
    Kafka43,
    /// Prometheus' JMX exporter 1.0.1.
    JmxExporter,
}

/// Longest time that Maven may take for one package.
const MAVEN_LIMIT: &str = "600";

impl Package {
    fn name(self) -> &'static str {
        match self {
            Self::Zookeeper => "zookeeper-3.9.5",
            Self::Kafka24 => "kafka-2.4.1",
            Self::Kafka28 => "kafka-2.8.2",
            Self::Kafka39 => "kafka-3.9.2",
            Self::Kafka43 => "kafka-4.3.1",
            Self::JmxExporter => "jmx-exporter-1.0.1",
        }
    }

    fn pom(self) -> &'static str {
        match self {
            Self::Zookeeper => include_str!("../poms/zookeeper-3.9.5/pom.xml"),
            Self::Kafka24 => include_str!("../poms/kafka-2.4.1/pom.xml"),
            Self::Kafka28 => include_str!("../poms/kafka-2.8.2/pom.xml"),
            Self::Kafka39 => include_str!("../poms/kafka-3.9.2/pom.xml"),
            Self::Kafka43 => include_str!("../poms/kafka-4.3.1/pom.xml"),
            Self::JmxExporter => include_str!("../poms/jmx-exporter-1.0.1/pom.xml"),
        }
    }

    /// Name and a hash of the pom: what the cache knows it by.
    fn key(self) -> String {
        format!("{}-{}", self.name(), digest(self.pom().as_bytes()))
    }

    /// The class path: every jar by name, in order, since an archive of classes fits one order only.
    pub(crate) fn class_path(self) -> anyhow::Result<String> {
        let folder = self.jars()?;
        let mut jars: Vec<String> = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path().display().to_string()))
            .collect::<anyhow::Result<_>>()?;
        jars.sort();
        Ok(jars.join(":"))
    }

    fn jars(self) -> anyhow::Result<PathBuf> {
        let parent = cache()?.join("jars");
        let folder = parent.join(self.key());
        once(&folder, || {
            let making = tempfile::tempdir_in(&parent)?;
            fs::write(making.path().join("pom.xml"), self.pom())?;
            let jars = making.path().join("jars");
            say(&format!("servers: fetching {} with Maven (once)", self.name()));
            let output = Command::new("timeout")
                .args([MAVEN_LIMIT, "mvn", "-B", "-q", "dependency:copy-dependencies"])
                .arg(format!("-DoutputDirectory={}", jars.display()))
                .current_dir(making.path())
                .output()
                .context("failed to run mvn; `make setup` installs it")?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success(), "mvn failed to fetch {} ({}):\n{said}", self.name(), output.status);
            Ok(fs::rename(jars, &folder)?)
        })?;
        Ok(folder)
    }

    /// The archive of loaded classes; if there is none yet, `train` has to run a server that writes it to the given path.
    pub(super) fn archive(self, train: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
        let folder = cache()?.join("classes");
        // A JVM refuses an archive of another JVM.
        let archive = folder.join(format!("{}-{}.jsa", self.key(), digest(java()?.as_os_str().as_encoded_bytes())));
        once(&archive, || {
            say(&format!("servers: archiving the classes of {} (once)", self.name()));
            let making = tempfile::tempdir_in(&folder)?;
            let fresh = making.path().join("classes.jsa");
            train(&fresh)?;
            ensure!(fresh.exists(), "the JVM wrote no archive of the classes of {}", self.name());
            Ok(fs::rename(fresh, &archive)?)
        })?;
        Ok(archive)
    }
}

/// Makes `path` unless it is there, under a lock that other processes respect. `make` must put it there by a rename.
fn once(path: &Path, make: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.parent().context("a cached path has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
    let lock = File::create(path.with_added_extension("lock"))?;
    // Whoever holds it works under a limit of its own.
    lock.lock()?;
    if path.exists() { Ok(()) } else { make() }
}

/// Where everything is cached that outlives the tree.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
        }
    };
    Ok(base.join("kafka-toolbox"))
}

/// Java 17, or 21 where Debian has no older one, as `install.sh` accepts them: Kafka 3.9 and older do not start on 24 and later.
pub(crate) fn java() -> anyhow::Result<PathBuf> {
    let debian = ["17-openjdk-amd64", "17-openjdk-arm64", "21-openjdk-amd64", "21-openjdk-arm64"];
    let debian = debian.map(|name| PathBuf::from(format!("/usr/lib/jvm/java-{name}")));
    let homes = debian.into_iter().chain(std::env::var_os("JAVA_HOME").map(PathBuf::from));
    for home in homes {
        let java = home.join("bin/java");
        let release = fs::read_to_string(home.join("release")).unwrap_or_default();
        if java.exists() && ["17", "21"].iter().any(|version| release.contains(&format!("JAVA_VERSION=\"{version}"))) {
            return Ok(java);
        }
    }
    bail!("found no Java 17 or 21, neither under /usr/lib/jvm nor in JAVA_HOME; type `make setup`")
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("{:012x}", hash.iter().take(6).fold(0_u64, |number, &byte| number << 8 | u64::from(byte)))
}
