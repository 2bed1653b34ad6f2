-- Campaigns that ended, for good, and when.
CREATE TABLE campaign_end (
    campaign INTEGER PRIMARY KEY REFERENCES campaign (number),
    ended_at_ms INTEGER NOT NULL
) STRICT;
