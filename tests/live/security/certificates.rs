//! Certificates for brokers and clients, made new in each run: good ones, and one for each way to be bad.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// What brokers are called in good certificates.
pub(crate) const BROKER_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its key, PKCS#8.
    pub(crate) key: String,
}

impl Pair {
    fn new(certificate: &Certificate, key: &KeyPair) -> Self {
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Key and certificate in one text, as Kafka's PEM key stores have them.
    pub(crate) fn store(&self) -> String {
        format!("{}{}", self.key, self.certificate)
    }
}

/// Who signs.
pub(crate) struct Authority {
    /// Its own certificate, as PEM.
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority of this name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A broker's certificate for these hosts, valid in these years.
    pub(crate) fn broker(&self, hosts: &[&str], years: std::ops::Range<i32>) -> Pair {
        let mut params = named("broker", hosts);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(years.start, 1, 2);
        params.not_after = date_time_ymd(years.end, 1, 2);
        self.sign(&params)
    }

    /// A client's certificate, valid to the end of this year's first day.
    pub(crate) fn client(&self, name: &str, until: i32) -> Pair {
        let mut params = named(name, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = date_time_ymd(until, 1, 2);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair::new(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

/// A broker's certificate that nobody signed.
pub(crate) fn self_signed() -> Pair {
    let key = KeyPair::generate().unwrap();
    Pair::new(&named("loner", &BROKER_NAMES).self_signed(&key).unwrap(), &key)
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    // rcgen names itself where nothing is said.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
