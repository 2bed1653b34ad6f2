-- Steps with which staff moved a campaign's own money: few, and found without going over those of vouchers.
CREATE INDEX step_money ON step (campaign, step, number) WHERE claim IS NULL;
