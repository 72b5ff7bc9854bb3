"""The HTTP interface: routes, their scopes, and the OpenAPI page generated from both."""
