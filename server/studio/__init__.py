"""The studio: a page in the server, at `/`, that shows what the API does. It uses the API only."""
