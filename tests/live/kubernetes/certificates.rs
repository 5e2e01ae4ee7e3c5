//! The cluster's own authority, and what it signs: server certificates, and clients known by name and groups.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Who signs for one cluster. All files are in its folder, as PEM.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority: `ca.crt`, `ca.key`, and `sa.key` that signs ServiceAccounts' tokens, with `sa.pub`.
    pub(crate) fn new(folder: &Path) -> Self {
        fs::create_dir(folder).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
        let tokens = KeyPair::generate().unwrap();
        fs::write(folder.join("sa.key"), tokens.serialize_pem()).unwrap();
        fs::write(folder.join("sa.pub"), tokens.public_key_pem()).unwrap();
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// A server that answers under these addresses and names.
    pub(crate) fn server(&self, file: &str, common_name: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        // A kubelet's certificate names its group too.
        if common_name.starts_with("system:node:") {
            params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(file, common_name, params);
    }

    /// A client that the API server knows by this name and group.
    pub(crate) fn client(&self, file: &str, name: &str, group: Option<&str>) {
        let mut params = CertificateParams::default();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, name, params);
    }

    /// A file of this authority.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    fn sign(&self, file: &str, common_name: &str, mut params: CertificateParams) {
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{file}.crt")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}
