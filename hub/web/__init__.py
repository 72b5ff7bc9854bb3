"""The console: documentation, and later pages and static files."""
