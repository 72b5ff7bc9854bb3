"""The move of a hub from one machine's folder to Kafka and PostgreSQL: everything it knows goes along, and nothing is decided anew."""
