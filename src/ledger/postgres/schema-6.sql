-- Campaigns that ended, for good, and when.
CREATE TABLE campaign_end (
    campaign bigint PRIMARY KEY REFERENCES campaign (number),
    ended_at_ms bigint NOT NULL
);
