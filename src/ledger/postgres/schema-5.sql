-- Late payments, and those that were refunded, are found without going over all steps.
CREATE INDEX step_late ON step (number) WHERE step = 'late_payment';
CREATE UNIQUE INDEX step_repaid ON step (redemption) WHERE step = 'payment_refunded';
