"""The second shape: several processes of a few roles, on Kafka and PostgreSQL; each works on what it owns by lease."""
