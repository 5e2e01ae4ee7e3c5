//! Trust stores and key stores in every form, made with the tools that people use: openssl and keytool.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::live::security::certificates::{Authority, Pair};

pub(crate) const STORE_PASSWORD: &str = "st0re-S3cret";
pub(crate) const KEY_PASSWORD: &str = "k3y-S3cret";

/// A folder of stores.
pub(crate) struct Stores {
    folder: tempfile::TempDir,
}

impl Stores {
    /// Makes every store of an authority's certificate and of a client's.
    pub(crate) fn new(authority: &Authority, client: &Pair) -> Self {
        let stores = Self { folder: tempfile::tempdir().unwrap() };
        stores.write("ca.pem", &authority.certificate);
        stores.write("client.crt", &client.certificate);
        stores.write("client.key", &client.key);
        stores.write("client.pem", &client.store());
        stores.trust();
        stores.keys();
        stores.write("sealed.pem", &format!("{}{}", stores.read("sealed.key"), client.certificate));
        stores.write("sealed-des.pem", &format!("{}{}", stores.read("sealed-des.key"), client.certificate));
        stores
    }

    fn trust(&self) {
        self.run(&["openssl", "pkcs12", "-export", "-nokeys", "-in", "ca.pem", "-out", "trust-openssl.p12"], "pass:");
        for (kind, file) in [("PKCS12", "trust-keytool.p12"), ("JKS", "trust.jks")] {
            let import = ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-keystore", file];
            self.run(&[&import[..], &["-storetype", kind, "-storepass", STORE_PASSWORD]].concat(), "");
        }
    }

    fn keys(&self) {
        let export =
            ["openssl", "pkcs12", "-export", "-in", "client.crt", "-inkey", "client.key", "-name", "me", "-out"];
        self.run(&[&export[..], &["key-openssl.p12"]].concat(), "pass:");
        let old = ["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"];
        self.run(&[&export[..], &["key-old.p12"], &old[..]].concat(), "pass:");
        for (kind, file) in [("PKCS12", "key-keytool.p12"), ("JKS", "key.jks"), ("JKS", "key-apart.jks")] {
            let import = ["keytool", "-importkeystore", "-noprompt", "-srckeystore", "key-openssl.p12"];
            let from = ["-srcstoretype", "PKCS12", "-srcstorepass", STORE_PASSWORD, "-srcalias", "me"];
            let to = ["-destkeystore", file, "-deststoretype", kind, "-deststorepass", STORE_PASSWORD];
            let apart = ["-destkeypass", if file == "key-apart.jks" { KEY_PASSWORD } else { STORE_PASSWORD }];
            self.run(&[&import[..], &from[..], &to[..], &apart[..]].concat(), "");
        }
        let seal = ["openssl", "pkcs8", "-topk8", "-in", "client.key"];
        let password = format!("pass:{KEY_PASSWORD}");
        for (cipher, file) in [("aes-256-cbc", "sealed.key"), ("des3", "sealed-des.key")] {
            self.run(&[&seal[..], &["-v2", cipher, "-out", file, "-passout", &password]].concat(), "");
        }
        let old = ["openssl", "ec", "-in", "client.key", "-aes128", "-out", "old-way.key", "-passout", &password];
        self.run(&old, "");
        self.run(&["openssl", "x509", "-in", "ca.pem", "-outform", "der", "-out", "ca.der"], "");
    }

    /// Runs a tool in the folder; `pass:` gives it the stores' password as openssl takes it.
    fn run(&self, command: &[&str], pass: &str) {
        let mut process = Command::new(command[0]);
        process.args(&command[1..]).current_dir(self.folder());
        if !pass.is_empty() {
            process.args(["-passout", &format!("{pass}{STORE_PASSWORD}")]);
        }
        let output = process.output().unwrap_or_else(|error| panic!("{}: {error}", command[0]));
        assert!(output.status.success(), "{command:?}: {output:?}");
    }

    /// Where the stores are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a store.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes one more file.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Properties that trust a store of this type.
    pub(crate) fn trusting(&self, kind: &str, name: &str) -> String {
        let password =
            if kind == "PEM" { String::new() } else { format!("ssl.truststore.password={STORE_PASSWORD}\n") };
        format!("ssl.truststore.type={kind}\nssl.truststore.location={}\n{password}", self.path(name).display())
    }

    /// Properties that show the certificate of a store of this type.
    pub(crate) fn showing(&self, kind: &str, name: &str) -> String {
        let password = if kind == "PEM" { String::new() } else { format!("ssl.keystore.password={STORE_PASSWORD}\n") };
        format!("ssl.keystore.type={kind}\nssl.keystore.location={}\n{password}", self.path(name).display())
    }
}

/// A PEM text as a property's value: one line each, joined.
pub(crate) fn inline(key: &str, pem: &str) -> String {
    format!("{key}={}\n", pem.trim().replace('\n', "\\n\\\n  "))
}
