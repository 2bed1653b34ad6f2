//! What staff work with: keys, merchants, and what follows their documents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backoffice::access::Access;
use crate::backoffice::bans::Bans;
use crate::backoffice::documents::{DocumentWatch, Follower};
use crate::backoffice::heads::{Heads, Webhook};
use crate::backoffice::merchants::Merchants;
use crate::clock::Clock;
use crate::config::{AuditConfig, Config};
use crate::datadir::DataLock;
use crate::desk::outbound::Outbound;
use crate::domain::merchant::Categories;
use crate::domain::webhook::WebhookSecrets;
use crate::exit::{Exit, Failure};
use crate::guard::blocked::Blocked;
use crate::infile;
use crate::ledger::Ledger;
use crate::limits;

/// What publishes the audit chain's head.
pub(super) fn heads(config: &Config, ledger: &Arc<dyn Ledger>, clock: &Clock) -> Result<Heads, Failure> {
    let (file, webhook) = (named(&config.audit.head_file), webhook(&config.audit)?);
    Ok(Heads::new(Arc::clone(ledger), file, webhook, clock.clone()))
}

/// Where the head is posted, with the secret that the config names.
pub(super) fn webhook(audit: &AuditConfig) -> Result<Option<Webhook>, Failure> {
    let Some(path) = named(&audit.head_secret_file).filter(|_| !audit.head_url.is_empty()) else {
        return Ok(None);
    };
    let refused = |what: String| {
        Failure::new(Exit::Config, format!("config: audit.head_secret_file {}: {what}", path.display()))
    };
    let text =
        infile::read_text(&path, limits::KEY_FILE_BYTES_MAX).map_err(|error| refused(error.to_string()))?;
    let secrets = WebhookSecrets::parse(&text).map_err(|flaw| refused(flaw.to_string()))?;
    let outbound = Outbound::new().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    Ok(Some(Webhook { url: audit.head_url.clone(), secrets, outbound }))
}

fn named(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

/// All of it, read from the ledger.
pub(super) struct Staff {
    pub(super) access: Arc<Access>,
    pub(super) merchants: Arc<Merchants>,
    pub(super) bans: Arc<Bans>,
    /// Follows what others change.
    pub(super) documents: Arc<DocumentWatch>,
}

impl Staff {
    /// Reads it; makes an admin token if there is none.
    pub(super) async fn open(
        config: &Config,
        lock: &DataLock,
        ledger: &Arc<dyn Ledger>,
        blocked: &Blocked,
        clock: &Clock,
    ) -> Result<Self, Failure> {
        // Read again with each request, so that it can be changed.
        lock.dir().admin_token()?;
        let token_path = lock.dir().admin_token_path();
        let access = Arc::new(Access::new(Arc::clone(ledger), token_path, clock.clone()));
        let backoffice = &config.backoffice;
        let categories = Categories::with(&backoffice.categories);
        let merchants = Merchants::new(Arc::clone(ledger), categories, backoffice.approval, clock.clone());
        let merchants = Arc::new(merchants);
        let bans = Arc::new(Bans::new(Arc::clone(ledger), blocked.clone(), clock.clone()));
        let followers: Vec<Arc<dyn Follower>> =
            vec![Arc::clone(&access) as _, Arc::clone(&merchants) as _, Arc::clone(&bans) as _];
        let documents = Arc::new(DocumentWatch::new(Arc::clone(ledger), followers));
        documents.catch_up().await?;
        Ok(Self { access, merchants, bans, documents })
    }
}
