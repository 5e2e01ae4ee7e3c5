//! What an ensemble is to be like.

/// The password of `super` in [`Shape::of`].
pub(crate) const SUPER_PASSWORD: &str = "super-of-tests";

/// What a server is in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It votes.
    Participant,
    /// It does not.
    Observer,
}

impl Role {
    /// ZooKeeper's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        }
    }
}

/// A TLS port for clients beside the plaintext one.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// Key and certificate of every server, as PEM.
    pub(crate) store: String,
    /// Whose clients the servers believe, as PEM.
    pub(crate) trust: String,
    /// `ssl.clientAuth`: `none`, `want` or `need`.
    pub(crate) client_auth: &'static str,
}

/// How many servers, and what they offer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// Servers 1 to this start together, all of them participants.
    pub(crate) servers: u32,
    /// So many more have ports and folders, and are started by the test.
    pub(crate) spares: u32,
    /// `4lw.commands.whitelist`; none for ZooKeeper's own default, which is `srvr` alone.
    pub(crate) four_letter_words: Option<&'static str>,
    /// The password of the digest user `super`, who may do everything.
    pub(crate) super_password: Option<&'static str>,
    /// A TLS port for clients.
    pub(crate) tls: Option<Tls>,
    /// Users of SASL DIGEST-MD5 with their passwords.
    pub(crate) sasl_users: Vec<(&'static str, &'static str)>,
    /// Whether file modes bind the servers even where root runs the tests.
    pub(crate) obeys_modes: bool,
    /// Memory of each server, in MB; 0 for the usual 96.
    pub(crate) heap: u32,
    /// Lines of zoo.cfg, which win over those of the harness; one with an empty value removes that of the harness.
    pub(crate) properties: Vec<(String, String)>,
}

impl Shape {
    /// So many participants that answer every four-letter word, with a user `super` whose password is `secret`.
    pub(crate) fn of(servers: u32) -> Self {
        Self { servers, four_letter_words: Some("*"), super_password: Some(SUPER_PASSWORD), ..Self::default() }
    }

    /// The same with servers that the test starts by itself.
    #[must_use]
    pub(crate) fn spares(mut self, spares: u32) -> Self {
        self.spares = spares;
        self
    }

    /// The same with servers that file modes bind.
    #[must_use]
    pub(crate) fn obeying_modes(self) -> Self {
        Self { obeys_modes: true, ..self }
    }

    /// The same with servers that have so many MB of memory.
    #[must_use]
    pub(crate) fn heap(self, heap: u32) -> Self {
        Self { heap, ..self }
    }

    /// The same with one more line of zoo.cfg.
    #[must_use]
    pub(crate) fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }
}
