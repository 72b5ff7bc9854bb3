"""The ways out of the hub beside webhooks: mail, and the manager backends."""
