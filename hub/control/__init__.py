"""Who may do what: API keys, and later guards, approvals and the audit chain."""
