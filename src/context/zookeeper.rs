//! Opens a session with a ZooKeeper ensemble from flags, at the first use.
//!
//! The flags are for the commands that need ZooKeeper itself, and are flattened into those. A password is never a flag: it
//! stands in a file or in the environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::clients::files;
use crate::clients::zookeeper::live::Live;
use crate::clients::zookeeper::settings::{Given, Login, Scheme, Settings};
use crate::clients::zookeeper::{ZooKeeper, ZooKeeperError};
use crate::context::Context;
use crate::exit::Stop;
use crate::formats::secret::{SecretString, remember};

/// The variable that holds the password, where no file does.
const PASSWORD: &str = "TOOLBOX_ZOOKEEPER_PASSWORD";

/// The longest file with a password that is read, in bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Flags about ZooKeeper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ZooKeeperFlags {
    /// ZooKeeper servers to connect to, the first that answers, and the node that paths are relative to [default: `zookeeper`
    /// of the cluster in toolbox.yaml]
    #[arg(long, env = "TOOLBOX_ZOOKEEPER", help_heading = "ZooKeeper", value_name = "HOST:PORT[,HOST:PORT…][/CHROOT]")]
    pub zookeeper: Option<String>,

    /// Java properties of ZooKeeper's client: `zookeeper.client.secure`, `zookeeper.ssl.*`, `jute.maxbuffer` [default:
    /// `zookeeperConfig` of the cluster in toolbox.yaml]
    #[arg(long, env = "TOOLBOX_ZOOKEEPER_CONFIG", help_heading = "ZooKeeper", value_name = "FILE")]
    pub zookeeper_config: Option<PathBuf>,

    /// The user; its password is in --zookeeper-password-file, or in the variable TOOLBOX_ZOOKEEPER_PASSWORD
    #[arg(long, env = "TOOLBOX_ZOOKEEPER_USER", help_heading = "ZooKeeper", value_name = "NAME")]
    pub zookeeper_user: Option<String>,

    /// A file that holds the user's password, as Kubernetes mounts a Secret
    #[arg(long, env = "TOOLBOX_ZOOKEEPER_PASSWORD_FILE", help_heading = "ZooKeeper", value_name = "FILE")]
    pub zookeeper_password_file: Option<PathBuf>,

    /// How the user is proved: digest (`addauth`), or sasl (DIGEST-MD5)
    #[arg(
        long,
        env = "TOOLBOX_ZOOKEEPER_LOGIN",
        help_heading = "ZooKeeper",
        value_name = "HOW",
        default_value = "digest"
    )]
    pub zookeeper_login: LoginBy,
}

/// How a user is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LoginBy {
    /// The server gets the password and hashes it.
    #[default]
    Digest,
    /// SASL DIGEST-MD5.
    Sasl,
}

/// What toolbox.yaml says of the cluster's ZooKeeper.
#[derive(Debug, Clone, Default)]
pub(super) struct OfCluster {
    /// Servers and chroot.
    pub(super) servers: Option<String>,
    /// Client properties.
    pub(super) config: Option<PathBuf>,
    /// Whether the file was found through the working folder alone.
    pub(super) is_implicit: bool,
}

impl Context {
    /// The cluster's ZooKeeper servers as toolbox.yaml has them, `HOST:PORT,…` and maybe a chroot.
    pub fn zookeeper_of_cluster(&self) -> Option<&str> {
        self.zookeeper_of_cluster.servers.as_deref()
    }

    /// A session with the ensemble of the flags, else of the cluster in toolbox.yaml; the same one each time.
    pub async fn zookeeper(&self, flags: &ZooKeeperFlags) -> anyhow::Result<Arc<dyn ZooKeeper>> {
        let open = || async {
            let settings = self.zookeeper_settings(flags)?;
            let live = Live::connect(settings).await.map_err(|error| match error {
                ZooKeeperError::Settings(why) => anyhow::Error::from(Stop::usage(why)),
                error => error.into(),
            })?;
            Ok::<Arc<dyn ZooKeeper>, anyhow::Error>(Arc::new(live))
        };
        self.zookeeper.get_or_try_init(open).await.cloned()
    }

    /// Whether flags or toolbox.yaml name an ensemble.
    pub fn names_zookeeper(&self, flags: &ZooKeeperFlags) -> bool {
        flags.zookeeper.is_some() || self.zookeeper_of_cluster.servers.is_some()
    }

    /// Names the ensemble that this run is about, for the events, with its id once that is known.
    pub fn is_ensemble(&mut self, name: &str, id: Option<&str>) {
        self.cluster = Some(name.to_owned());
        self.cluster_id = id.map(str::to_owned);
    }

    /// The same context with another ensemble: the fake.
    #[must_use]
    pub fn with_zookeeper(mut self, zookeeper: Arc<dyn ZooKeeper>) -> Self {
        self.zookeeper = tokio::sync::OnceCell::new_with(Some(zookeeper));
        self
    }

    /// The servers that flags or toolbox.yaml name.
    pub fn zookeeper_servers<'a>(&'a self, flags: &'a ZooKeeperFlags) -> Option<&'a str> {
        flags.zookeeper.as_deref().or(self.zookeeper_of_cluster())
    }

    /// How the ensemble is reached; what is worth knowing about that goes to the log.
    pub fn zookeeper_settings(&self, flags: &ZooKeeperFlags) -> Result<Settings, Stop> {
        let given = flags.zookeeper.as_deref().or(self.zookeeper_of_cluster.servers.as_deref());
        let Some(zookeeper) = given else {
            return Err(Stop::usage(
                "which ZooKeeper? give --zookeeper HOST:PORT, or `zookeeper` of the cluster in toolbox.yaml",
            ));
        };
        let of_flag = flags.zookeeper_config.as_deref();
        let file = of_flag.or(self.zookeeper_of_cluster.config.as_deref());
        let login = self.zookeeper_login(flags)?;
        let is_implicit = of_flag.is_none() && self.zookeeper_of_cluster.is_implicit;
        let given = Given { zookeeper, timeout: self.flags.timeout, login, is_implicit };
        let settings = Settings::load(file, given).map_err(|error| Stop::usage(error.to_string()))?;
        for note in &settings.notes {
            if note.is_warning {
                tracing::warn!("{note}");
            } else {
                tracing::info!("{note}");
            }
        }
        Ok(settings)
    }

    /// Who we are. Servers that only the working folder names get no password that stands elsewhere.
    fn zookeeper_login(&self, flags: &ZooKeeperFlags) -> Result<Option<Login>, Stop> {
        let Some(user) = &flags.zookeeper_user else {
            return match &flags.zookeeper_password_file {
                None => Ok(None),
                Some(_) => Err(Stop::usage("--zookeeper-password-file needs --zookeeper-user")),
            };
        };
        if flags.zookeeper.is_none() && self.zookeeper_of_cluster.is_implicit {
            return Err(Stop::usage(
                "the password of --zookeeper-user is not sent to servers that only the toolbox.yaml of the working folder \
                 names: give --zookeeper, or name the file with --toolbox-file",
            ));
        }
        if user.contains(':') || user.is_empty() {
            return Err(Stop::usage("--zookeeper-user has no name that ZooKeeper takes: it must not hold a `:`"));
        }
        let password = match &flags.zookeeper_password_file {
            Some(path) => read_password(path)?,
            None => match std::env::var(PASSWORD) {
                Ok(password) if !password.is_empty() => remember(password),
                _ => {
                    let what = format!("--zookeeper-user needs --zookeeper-password-file, or the variable {PASSWORD}");
                    return Err(Stop::usage(what));
                }
            },
        };
        let scheme = match flags.zookeeper_login {
            LoginBy::Digest => Scheme::Digest,
            LoginBy::Sasl => Scheme::Sasl,
        };
        Ok(Some(Login { scheme, user: user.clone(), password }))
    }
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<SecretString, Stop> {
    use std::io::Read;
    let wrong = |why: String| Stop::usage(format!("--zookeeper-password-file {}: {why}", path.display()));
    let mut text = String::new();
    let file = files::open(path).map_err(|error| wrong(error.to_string()))?;
    file.take(PASSWORD_BYTES_MAX).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(remember(password)),
        _ => Err(wrong("it is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;
    use crate::cluster::address::Address;
    use crate::context::Flags;
    use crate::formats::secret::ExposeSecret;

    fn settings(line: &[&str], flags: &ZooKeeperFlags) -> Result<Settings, String> {
        Context::new(Flags::of(line.iter().copied())).zookeeper_settings(flags).map_err(|stop| stop.message)
    }

    fn flags(servers: &str) -> ZooKeeperFlags {
        ZooKeeperFlags { zookeeper: Some(servers.to_owned()), ..ZooKeeperFlags::default() }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn servers_deadline_and_properties_come_from_flags() {
        let properties = file("zookeeper.client.secure=true\njute.maxbuffer=2097152\n");
        let flags = ZooKeeperFlags { zookeeper_config: Some(properties.path().to_owned()), ..flags("a:1,b:2/k") };
        let settings = settings(&["--timeout", "3s"], &flags).unwrap();
        assert_eq!(settings.addresses.len(), 2);
        assert_eq!((settings.chroot.as_str(), settings.timeout), ("/k", Duration::from_secs(3)));
        assert!(settings.tls.is_some() && settings.login.is_none());
        assert_eq!(settings.bytes_max, 2 << 20);
    }

    #[test]
    fn a_password_stands_in_a_file_and_is_not_shown() {
        let password = file("s3cret-of-ada\nmore\n");
        let with = |flags: ZooKeeperFlags| ZooKeeperFlags { zookeeper_user: Some("ada".to_owned()), ..flags };
        let of_file = |path: &Path| ZooKeeperFlags { zookeeper_password_file: Some(path.to_owned()), ..flags("a:1") };
        let settings_of = |flags: &ZooKeeperFlags| settings(&[], flags);
        let found = settings_of(&with(of_file(password.path()))).unwrap();
        assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
        let login = found.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.expose_secret()), ("ada", "s3cret-of-ada"));
        assert!(settings_of(&of_file(password.path())).unwrap_err().contains("needs --zookeeper-user"));
        assert!(settings_of(&with(of_file(file("").path()))).unwrap_err().contains("it is empty"));
        assert!(settings_of(&with(flags("a:1"))).unwrap_err().contains(PASSWORD));
    }

    #[test]
    fn toolbox_yaml_names_servers_and_properties_and_flags_say_more() {
        let yaml = file("clusters: {one: {zookeeper: [a:1, 'b:2/k'], zookeeperConfig: zk.properties}}");
        let path = yaml.path().to_str().unwrap();
        let mut context = Context::new(Flags::of(["--toolbox-file", path]));
        context.read_toolbox_file().unwrap();
        assert_eq!(context.zookeeper_of_cluster.servers.as_deref(), Some("a:1,b:2/k"));
        let config = yaml.path().parent().unwrap().join("zk.properties");
        assert_eq!(context.zookeeper_of_cluster.config, Some(config));
        let none = file("jute.maxbuffer=4096\n");
        let flags = ZooKeeperFlags { zookeeper_config: Some(none.path().to_owned()), ..flags("c:3") };
        assert_eq!(context.zookeeper_settings(&flags).unwrap().addresses, [Address::new("c", 3)]);
        context.zookeeper_of_cluster.is_implicit = true;
        let user = ZooKeeperFlags { zookeeper_user: Some("ada".to_owned()), ..ZooKeeperFlags::default() };
        assert!(context.zookeeper_settings(&user).unwrap_err().message.contains("is not sent"));
        let nowhere = Context::new(Flags::of([])).zookeeper_settings(&ZooKeeperFlags::default()).unwrap_err();
        assert!(nowhere.message.contains("which ZooKeeper?"));
    }
}
