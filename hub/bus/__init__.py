"""The log every fact goes through: durable, ordered per account, read by whoever needs it."""
