//! Who tills are: merchants by their keys, and what staff entered of them.

use std::sync::Arc;

use super::staff::Staff;
use crate::backoffice::access::Access;
use crate::backoffice::merchants::Merchants;
use crate::backoffice::redemptions::{Till, TillRefusal, Tills};
use crate::ledger::life::{Barred, Merchant};

/// Merchants by what staff entered, from memory.
pub(super) struct StaffTills {
    access: Arc<Access>,
    merchants: Arc<Merchants>,
}

impl StaffTills {
    pub(super) fn new(staff: &Staff) -> Self {
        Self { access: Arc::clone(&staff.access), merchants: Arc::clone(&staff.merchants) }
    }
}

impl Tills for StaffTills {
    fn till(&self, bearer: &str, shop: Option<&str>) -> Result<Till, TillRefusal> {
        let caller = self.access.merchant(bearer).map_err(|_| TillRefusal::Unknown)?;
        let id = caller.merchant.ok_or(TillRefusal::Unknown)?;
        let merchant = self.merchants.find(&id).ok_or(TillRefusal::Inactive)?;
        let details = merchant.served().ok_or(TillRefusal::Inactive)?;
        let shop = shop.map(|shop| details.shop(shop).ok_or(TillRefusal::UnknownShop)).transpose()?;
        let region = details.region_at(shop);
        let barred = match (merchant.active(), region) {
            (None, _) => Some(Barred::Suspended),
            (Some(_), None) => Some(Barred::ShopUnnamed),
            (Some(_), Some(_)) => None,
        };
        let merchant = Merchant {
            id,
            category: details.category.clone(),
            region: region.unwrap_or(&details.region).to_owned(),
            per_day: details.cap_per_day,
            person_per_day: details.cap_per_person_per_day,
        };
        Ok(Till { merchant, barred, trial: details.uat })
    }
}
