-- What one key tells another is a row of the log, written with the decision that told it: nothing was ever kept here.
DROP TABLE mailbox;
