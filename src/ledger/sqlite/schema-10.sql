-- A campaign's books are read without going over the postings of all others.
CREATE INDEX posting_campaign ON posting (campaign, number);
