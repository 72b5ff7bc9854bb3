"""Manager actions: applied once on a backend that can neither deduplicate nor promise an answer."""
