//! One order, from the request for a certificate to its chain (RFC 8555, 7.4), taken up where a dead node left it.

use std::{io, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use thiserror::Error as ThisError;
use tracing::{debug, warn};

use super::{
    challenges::is_token,
    schedule::Kind,
    store::{PendingOrder, Store},
};
use crate::tls::settings::ChallengeKind;

/// How we wait for the authority to look and to sign.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(300)).backoff(1.5).timeout(Duration::from_secs(120));

/// Why there is no certificate.
#[derive(Debug, ThisError)]
pub(super) enum OrderError {
    /// The authority refused, could not be reached, or did not answer in time.
    #[error(transparent)]
    Authority(#[from] Error),
    /// It did not find the challenge answered.
    #[error("the authority could not verify the host: {0}; check that its DNS leads here, and that the ports are open")]
    Unverified(String),
    /// It offers none of the configured challenges.
    #[error("the authority offers none of the configured challenges for this host; add one to edge.acme.challenges")]
    NoChallenge,
    /// The store cannot be read or written.
    #[error("the store cannot be used: {0}; check that this user may write to edge.acme.store")]
    Store(#[from] io::Error),
    /// A key or a request could not be made.
    #[error("no certificate request could be made: {0}")]
    Request(#[from] rcgen::Error),
    /// We were too slow, another node took over.
    #[error("another node took the order over")]
    Lost,
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}

impl OrderError {
    /// How soon another attempt may be made.
    pub fn kind(&self) -> Kind {
        match self {
            // Nonces run out under load, and the library gives up after three: nobody counts that.
            Self::Authority(Error::Api(_)) if self.is_problem("badNonce") => Kind::Unreachable,
            Self::Authority(Error::Api(problem)) if problem.status.is_none_or(|status| status < 500) => Kind::Refused,
            Self::Unverified(_) | Self::NoChallenge | Self::Authority(Error::Timeout(_)) => Kind::Refused,
            _ => Kind::Unreachable,
        }
    }

    /// True when the authority has forgotten us, a test authority after a restart for example.
    pub fn is_unknown_account(&self) -> bool {
        self.is_problem("accountDoesNotExist")
    }

    /// RFC 8555, 6.7.
    fn is_problem(&self, name: &str) -> bool {
        let Self::Authority(Error::Api(problem)) = self else { return false };
        let kind = problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:"));
        kind == Some(name)
    }
}

/// What is ordered, and how.
pub(super) struct Wanted<'a> {
    pub account: &'a Account,
    pub store: &'a Store,
    pub host: &'a str,
    /// First choice first.
    pub challenges: Vec<ChallengeKind>,
    /// The certificate that this one follows, when the authority wants to know (RFC 9773, 5).
    pub replaces: Option<CertificateIdentifier<'static>>,
}

/// A key and the chain for it, both PEM.
pub(super) struct Obtained {
    pub key: String,
    pub chain: String,
}

impl Wanted<'_> {
    /// Takes up the order in the store, or makes a new one, and sees it through.
    pub async fn obtain(&self) -> Result<Obtained, OrderError> {
        let (mut order, key) = match self.resume().await? {
            Some(resumed) => resumed,
            None => self.begin().await?,
        };
        let outcome = self.complete(&mut order, &key).await;
        // An order that cannot be reached is taken up again; one that was refused is over.
        if outcome.as_ref().map_or_else(|error| error.kind() == Kind::Refused, |_| false) {
            self.store.remove_order(self.host)?;
        }
        Ok(Obtained { key: key.serialize_pem(), chain: outcome? })
    }

    async fn resume(&self) -> Result<Option<(Order, KeyPair)>, OrderError> {
        let Some(pending) = self.store.order(self.host)? else { return Ok(None) };
        let mut order = match self.account.order(pending.url).await {
            Ok(order) => order,
            // Of an account that is gone, or too old.
            Err(Error::Api(_)) => {
                self.store.remove_order(self.host)?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        match KeyPair::from_pem(&pending.key) {
            Ok(key) if order.state().status != OrderStatus::Invalid => {
                debug!(host = self.host, "an order under way is taken up");
                Ok(Some((order, key)))
            }
            _ => {
                self.store.remove_order(self.host)?;
                Ok(None)
            }
        }
    }

    async fn begin(&self) -> Result<(Order, KeyPair), OrderError> {
        let identifiers = [Identifier::Dns(self.host.to_owned())];
        let order = match self.replaces.clone() {
            None => self.account.new_order(&NewOrder::new(&identifiers)).await?,
            Some(replaces) => match self.account.new_order(&NewOrder::new(&identifiers).replaces(replaces)).await {
                Ok(order) => order,
                // The certificate was replaced already, or is none of this account's: order without saying so.
                Err(Error::Api(problem)) => {
                    debug!(host = self.host, "the authority takes no replacement: {problem}");
                    self.account.new_order(&NewOrder::new(&identifiers)).await?
                }
                Err(error) => return Err(error.into()),
            },
        };
        let key = KeyPair::generate()?;
        let pending = PendingOrder { url: order.url().to_owned(), key: key.serialize_pem() };
        self.store.put_order(self.host, &pending)?;
        Ok((order, key))
    }

    async fn complete(&self, order: &mut Order, key: &KeyPair) -> Result<String, OrderError> {
        if order.state().status == OrderStatus::Pending {
            let mut answered = Vec::new();
            let ready = match self.answer(order, &mut answered).await {
                Ok(()) => order.poll_ready(&PATIENCE).await.map_err(OrderError::from),
                Err(error) => Err(error),
            };
            for (kind, name) in answered {
                self.store.remove_challenge(kind, &name)?;
            }
            if order.state().status == OrderStatus::Invalid {
                return Err(self.explain(order).await);
            }
            ready?;
        }
        if order.state().status == OrderStatus::Ready {
            let mut parameters = CertificateParams::new(vec![self.host.to_owned()])?;
            parameters.distinguished_name = DistinguishedName::new();
            order.finalize_csr(parameters.serialize_request(key)?.der()).await?;
        }
        Ok(order.poll_certificate(&PATIENCE).await?)
    }

    /// Writes the answers where every node finds them, then asks the authority to look.
    async fn answer(&self, order: &mut Order, answered: &mut Vec<(ChallengeKind, String)>) -> Result<(), OrderError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let offered = |kind: &&ChallengeKind| {
                authorization.challenges.iter().any(|challenge| challenge.r#type == challenge_type(**kind))
            };
            let kind = *self.challenges.iter().find(offered).ok_or(OrderError::NoChallenge)?;
            let Some(mut challenge) = authorization.challenge(challenge_type(kind)) else { continue };
            if !is_token(&challenge.token) {
                return Err(OrderError::Other("the authority's token is not base64url".into()));
            }
            let name = match kind {
                ChallengeKind::Http01 => challenge.token.clone(),
                ChallengeKind::TlsAlpn01 => self.host.to_owned(),
            };
            self.store.put_challenge(kind, &name, challenge.key_authorization().as_str())?;
            answered.push((kind, name));
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(())
    }

    /// What the authority saw; it says so at the challenge.
    async fn explain(&self, order: &mut Order) -> OrderError {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if let Err(error) = authorization.refresh().await {
                warn!(host = self.host, "the authority does not say why it refused: {error}");
                continue;
            }
            if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
                return OrderError::Unverified(problem.to_string());
            }
        }
        let reason = order.state().error.as_ref().map(ToString::to_string);
        OrderError::Unverified(reason.unwrap_or_else(|| "it gave no reason".into()))
    }
}

fn challenge_type(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Http01 => ChallengeType::Http01,
    }
}
