-- What one key tells another is a row of the log where both have one owner, and an arrival where they have two: nothing was
-- ever kept here.
DROP TABLE mailbox;
